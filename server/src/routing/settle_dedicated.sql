-- An operator's decision: solution $1 and app $2 live on server $3 in database $4 (oid $5, uuid $6), at epoch $7 or the
-- next one. Nothing while a move is going on, or if the record is not at epoch $8 any more (null: there was none).
INSERT INTO fbs_router.placement (company_id, app, placement, epoch, server, database_name, database_oid, database_uuid)
VALUES ($1, $2, 'DEDICATED', $7, $3, $4, $5, $6)
ON CONFLICT (company_id, app) DO UPDATE
   SET placement = 'DEDICATED', epoch = greatest(placement.epoch + 1, EXCLUDED.epoch), server = EXCLUDED.server,
       database_name = EXCLUDED.database_name, database_oid = EXCLUDED.database_oid,
       database_uuid = EXCLUDED.database_uuid, released_uuid = nullif(placement.released_uuid, EXCLUDED.database_uuid)
 WHERE placement.move_id IS NULL AND placement.epoch = $8
RETURNING epoch
