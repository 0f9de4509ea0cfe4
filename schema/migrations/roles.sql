-- The runtime role: logs in, owns nothing, belongs to nothing, bypasses nothing. Give it a
-- password yourself, with ALTER ROLE … PASSWORD '…'.
DO $$
DECLARE
    role text := current_setting('fbs_router.runtime_role');
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role) THEN
        EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT', role);
    END IF;
END $$;
