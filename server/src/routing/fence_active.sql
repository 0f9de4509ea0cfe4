-- Opens this database, if it is $3, for solution $1 at epoch $2. Nothing if its fence is as far or further.
INSERT INTO fbs_router.fence (company_id, epoch, state, database_uuid)
SELECT $1, $2, 'ACTIVE', identity.database_uuid FROM fbs_router.identity WHERE identity.database_uuid = $3
ON CONFLICT (company_id) DO UPDATE
   SET epoch = EXCLUDED.epoch, state = 'ACTIVE', move_id = NULL, update_time = clock_timestamp()
 WHERE fence.epoch < EXCLUDED.epoch
RETURNING epoch
