-- Forgets server $1, unless a placement is on it.
UPDATE fbs_router.server SET remove_time = clock_timestamp()
 WHERE server = $1 AND remove_time IS NULL AND NOT EXISTS (SELECT FROM fbs_router.placement WHERE server = $1)
RETURNING server
