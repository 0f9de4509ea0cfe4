-- Move $4 of solution $1 and app $2 at epoch $3 ends in the system database. The database it came from is never taken
-- over by itself.
UPDATE fbs_router.placement
   SET placement = 'SYSTEM', epoch = epoch + 1, server = NULL, database_name = NULL, database_oid = NULL,
       released_uuid = database_uuid, database_uuid = NULL, move_id = NULL, move_direction = NULL
 WHERE company_id = $1 AND app = $2 AND epoch = $3 AND placement = 'DEDICATED' AND move_id = $4
   AND move_direction = 'SYSTEM'
RETURNING epoch
