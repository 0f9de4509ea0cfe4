-- One row: database, oid, system_identifier, standby?, role that policies do not bind?
SELECT d.datname::text, d.oid, c.system_identifier::text, pg_catalog.pg_is_in_recovery(),
       r.rolsuper OR r.rolbypassrls
       OR EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.member = r.oid)
  FROM pg_catalog.pg_database d, pg_catalog.pg_control_system() c, pg_catalog.pg_roles r
 WHERE d.datname = pg_catalog.current_database() AND r.rolname = current_user
