-- The record of solution $1 and app $2 at its first write: SYSTEM, epoch 0. Nothing if there is one.
INSERT INTO fbs_router.placement (company_id, app, placement, epoch)
SELECT $1, $2, 'SYSTEM', 0
 WHERE NOT EXISTS (SELECT FROM fbs_router.placement WHERE company_id = $1 AND app = $2)
ON CONFLICT (company_id, app) DO NOTHING
RETURNING epoch
