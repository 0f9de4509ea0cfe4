-- The record of solution $1 and app $2, which has none: DEDICATED on server $3 in database $4 (oid $5, uuid $6).
INSERT INTO fbs_router.placement (company_id, app, placement, epoch, server, database_name, database_oid, database_uuid)
SELECT $1, $2, 'DEDICATED', 1, $3, $4, $5, $6
 WHERE NOT EXISTS (SELECT FROM fbs_router.placement WHERE company_id = $1 AND app = $2)
ON CONFLICT (company_id, app) DO NOTHING
RETURNING epoch
