-- One row: database, oid, system_identifier, standby?, role that policies do not bind?, role that owns something here?,
-- settings of role or database that switch triggers off, let nothing be read, or name a solution or a move by themselves?, role,
-- when Postgres was started in microseconds
SELECT d.datname::text, d.oid, c.system_identifier::text, pg_catalog.pg_is_in_recovery(),
       r.rolsuper OR r.rolbypassrls OR current_user <> session_user
       OR EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.member = r.oid),
       EXISTS (SELECT FROM pg_catalog.pg_shdepend s
                WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = r.oid AND s.deptype = 'o'
                  AND (s.dbid = d.oid
                       OR s.dbid = 0 AND s.classid = 'pg_catalog.pg_database'::pg_catalog.regclass AND s.objid = d.oid)),
       pg_catalog.current_setting('session_replication_role') <> 'origin'
       OR pg_catalog.current_setting('row_security') <> 'on'
       OR pg_catalog.concat(pg_catalog.current_setting('fbs_router.company_id', true),
                            pg_catalog.current_setting('fbs_router.move', true)) <> '',
       session_user::text,
       (extract(epoch FROM pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint
  FROM pg_catalog.pg_database d, pg_catalog.pg_control_system() c, pg_catalog.pg_roles r
 WHERE d.datname = pg_catalog.current_database() AND r.rolname = current_user
