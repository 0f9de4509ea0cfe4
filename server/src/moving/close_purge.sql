-- The rows of solution $1 that $2 was to remove are gone.
UPDATE fbs_router.fence SET state = 'MOVED', move_id = NULL
 WHERE company_id = $1 AND move_id = $2 AND state IN ('COPYING', 'MOVED') RETURNING epoch
