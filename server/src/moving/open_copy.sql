-- Lets move $3 of solution $1 at epoch $2 write into database $4, and nobody else.
INSERT INTO fbs_router.fence (company_id, epoch, state, database_uuid, move_id)
SELECT $1, $2, 'COPYING', identity.database_uuid, $3 FROM fbs_router.identity WHERE identity.database_uuid = $4
ON CONFLICT (company_id) DO UPDATE
   SET epoch = EXCLUDED.epoch, state = 'COPYING', move_id = EXCLUDED.move_id, update_time = clock_timestamp()
 WHERE fence.epoch <= EXCLUDED.epoch AND fence.state <> 'ACTIVE'
RETURNING epoch
