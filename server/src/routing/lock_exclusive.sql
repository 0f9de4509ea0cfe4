-- Waits for every writer of solution $1 in this database, and keeps them out until the end.
SELECT pg_catalog.pg_advisory_xact_lock(fbs_router.solution_lock($1))
