-- One row a database, closed ones and templates included: they exist.
-- system_identifier, standby?, role that policies do not bind?, name, oid.
SELECT c.system_identifier::text, pg_catalog.pg_is_in_recovery(),
       r.rolsuper OR r.rolbypassrls
       OR EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.member = r.oid),
       d.datname::text, d.oid
  FROM pg_catalog.pg_database d, pg_catalog.pg_control_system() c, pg_catalog.pg_roles r
 WHERE r.rolname = current_user
