-- Waits for whoever moves or takes over solution $1 in this database, and keeps them waiting until the end.
SELECT pg_catalog.pg_advisory_xact_lock_shared(fbs_router.solution_lock($1))
