-- The move of solution $1 and app $2 that is going on: epoch, id, direction, and how many seconds ago it last gave a sign
-- of life here.
SELECT p.epoch, p.move_id, p.move_direction,
       extract(epoch FROM clock_timestamp() - greatest(p.update_time, f.update_time))::float8
  FROM fbs_router.placement p LEFT JOIN fbs_router.fence f ON f.company_id = p.company_id
 WHERE p.company_id = $1 AND p.app = $2 AND p.move_id IS NOT NULL
