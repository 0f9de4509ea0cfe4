-- Move $4 of solution $1 and app $2 at epoch $3 ends on server $5 in database $6 (oid $7, uuid $8).
UPDATE fbs_router.placement
   SET placement = 'DEDICATED', epoch = epoch + 1, server = $5, database_name = $6, database_oid = $7, database_uuid = $8,
       released_uuid = nullif(released_uuid, $8), move_id = NULL, move_direction = NULL
 WHERE company_id = $1 AND app = $2 AND epoch = $3 AND placement = 'SYSTEM' AND move_id = $4
   AND move_direction = 'DEDICATED'
RETURNING epoch
