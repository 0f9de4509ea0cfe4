-- Turns the record of solution $1 and app $2 from SYSTEM at epoch $7 to DEDICATED on server $3 in database $4
-- (oid $5, uuid $6) at the next epoch. Nothing if it is not so any more.
UPDATE fbs_router.placement
   SET placement = 'DEDICATED', epoch = epoch + 1, server = $3, database_name = $4, database_oid = $5, database_uuid = $6
 WHERE company_id = $1 AND app = $2 AND placement = 'SYSTEM' AND epoch = $7 AND move_id IS NULL
   AND released_uuid IS DISTINCT FROM $6
RETURNING epoch
