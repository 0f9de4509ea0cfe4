-- Ledger and fences are on disk before anybody acts on them, whatever the server's default.
SELECT pg_catalog.set_config('synchronous_commit', 'on', true)
