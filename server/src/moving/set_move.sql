-- This transaction belongs to move $1: the fence lets it copy and purge.
SELECT pg_catalog.set_config('fbs_router.move', $1, true)
