-- The fence of solution $1 at its first write in system database $2: ACTIVE, epoch 0. Nothing if there is one.
INSERT INTO fbs_router.fence (company_id, epoch, state, database_uuid)
SELECT $1, 0, 'ACTIVE', identity.database_uuid
  FROM fbs_router.identity WHERE identity.database_uuid = $2 AND identity.kind = 'system'
ON CONFLICT (company_id) DO NOTHING
