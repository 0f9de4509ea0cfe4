-- Records that the database of solution $1 and app $2 at epoch $3, which proved uuid $4, is on server $5 in
-- database $6 (oid $7) now.
UPDATE fbs_router.placement SET epoch = epoch + 1, server = $5, database_name = $6, database_oid = $7
 WHERE company_id = $1 AND app = $2 AND placement = 'DEDICATED' AND epoch = $3 AND database_uuid = $4
   AND move_id IS NULL
RETURNING epoch
