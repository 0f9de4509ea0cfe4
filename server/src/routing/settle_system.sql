-- An operator's decision: solution $1 and app $2 live in the system database, at epoch $3 or the next one. The database
-- given up, $4 or the recorded one, is never taken over by itself. Nothing while a move is going on.
INSERT INTO fbs_router.placement (company_id, app, placement, epoch, released_uuid) VALUES ($1, $2, 'SYSTEM', $3, $4)
ON CONFLICT (company_id, app) DO UPDATE
   SET placement = 'SYSTEM', epoch = greatest(placement.epoch + 1, EXCLUDED.epoch), server = NULL, database_name = NULL,
       database_oid = NULL, database_uuid = NULL,
       released_uuid = coalesce(EXCLUDED.released_uuid, placement.database_uuid, placement.released_uuid)
 WHERE placement.move_id IS NULL
RETURNING epoch
