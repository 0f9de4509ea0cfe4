-- Closes this database for solution $1 at epoch $2. Nothing if its fence is further.
INSERT INTO fbs_router.fence (company_id, epoch, state, database_uuid)
SELECT $1, $2, 'MOVED', identity.database_uuid FROM fbs_router.identity
ON CONFLICT (company_id) DO UPDATE
   SET epoch = EXCLUDED.epoch, state = 'MOVED', move_id = NULL, update_time = clock_timestamp()
 WHERE fence.epoch < EXCLUDED.epoch
RETURNING epoch
