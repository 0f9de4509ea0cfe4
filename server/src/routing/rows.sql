-- True if any row of solution $1 lies here, deleted and expired ones included. The schema says which tables there are.
-- While it looks, indexes answer, whatever Postgres knows of the tables: where few solutions have nearly all rows it expects to
-- meet one of $1 soon if it just reads on, and for a solution that has none it reads them all. A row is answered last of all,
-- so the setting is as it was by then.
WITH looked AS MATERIALIZED (
     SELECT fbs_router.holds_rows($1) AS holds FROM pg_catalog.set_config('enable_seqscan', 'off', true))
SELECT holds, pg_catalog.set_config('enable_seqscan', 'on', true) FROM looked
