-- Lets $3 remove the rows that solution $1 left in database $4 when it moved away, at epoch $2 at the latest.
UPDATE fbs_router.fence SET move_id = $3
 WHERE company_id = $1 AND epoch <= $2 AND database_uuid = $4 AND state = 'MOVED'
RETURNING epoch
