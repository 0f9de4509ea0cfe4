-- One row: database, oid, system_identifier, standby?, role that policies do not bind?, tables here that they do not?
SELECT d.datname::text, d.oid, c.system_identifier::text, pg_catalog.pg_is_in_recovery(),
       r.rolsuper OR r.rolbypassrls
       OR EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.member = r.oid),
       EXISTS (SELECT FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
                WHERE n.nspname IN ('fbs_router', 'fbs_document') AND t.relkind IN ('r', 'p')
                  AND (t.relowner = r.oid
                       OR (n.nspname = 'fbs_document' OR t.relname IN ('fence', 'request_record', 'audit')) AND NOT t.relrowsecurity))
  FROM pg_catalog.pg_database d, pg_catalog.pg_control_system() c, pg_catalog.pg_roles r
 WHERE d.datname = pg_catalog.current_database() AND r.rolname = current_user
