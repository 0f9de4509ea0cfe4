-- Settings that let a crash of Postgres or of its machine lose acknowledged writes, as they hold for this session.
SELECT s.name FROM pg_catalog.unnest(ARRAY['fsync', 'full_page_writes', 'synchronous_commit']) AS s (name)
 WHERE pg_catalog.current_setting(s.name) = 'off'
