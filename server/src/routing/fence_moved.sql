-- Closes this database for solution $1 at epoch $2. Nothing if its fence is further. Where it was closed before, the id of a
-- move or purge that left rows unfinished stays.
INSERT INTO fbs_router.fence (company_id, epoch, state, database_uuid)
SELECT $1, $2, 'MOVED', identity.database_uuid FROM fbs_router.identity
ON CONFLICT (company_id) DO UPDATE
   SET epoch = EXCLUDED.epoch, state = 'MOVED', move_id = CASE fence.state WHEN 'MOVED' THEN fence.move_id END, update_time = clock_timestamp()
 WHERE fence.epoch < EXCLUDED.epoch
RETURNING epoch
