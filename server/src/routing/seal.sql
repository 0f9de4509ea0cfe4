-- No move of solution $1 that began below epoch $2 opens this database any more. Nothing if the copy of one lies here.
INSERT INTO fbs_router.fence (company_id, epoch, state, database_uuid)
SELECT $1, $2, 'MOVED', identity.database_uuid FROM fbs_router.identity
ON CONFLICT (company_id) DO UPDATE
   SET epoch = CASE WHEN fence.state = 'ACTIVE' THEN fence.epoch ELSE greatest(fence.epoch, EXCLUDED.epoch) END,
       state = CASE WHEN fence.state = 'ACTIVE' OR fence.epoch > EXCLUDED.epoch THEN fence.state ELSE 'MOVED' END,
       update_time = clock_timestamp()
 WHERE fence.state <> 'COPYING'
RETURNING epoch
