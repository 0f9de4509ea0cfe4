-- One row a database, closed ones and templates included: they exist. system_identifier, standby (or, if $1: where another
-- host may be the primary by now, one that takes no writes)?, name, oid, and how many connections our role may open yet, with whatever others of it there are.
SELECT c.system_identifier::text, pg_catalog.pg_is_in_recovery()
       OR $1 AND pg_catalog.current_setting('transaction_read_only') = 'on', d.datname::text, d.oid,
       (SELECT least(pg_catalog.current_setting('max_connections')::bigint
                     - pg_catalog.current_setting('superuser_reserved_connections')::bigint
                     - coalesce(nullif(pg_catalog.current_setting('reserved_connections', true), '')::bigint, 0)
                     - count(*) FILTER (WHERE a.datid IS NOT NULL),
                     (SELECT nullif(r.rolconnlimit, -1) FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)
                     - count(*) FILTER (WHERE a.usename = current_user AND a.datid IS NOT NULL))
          FROM pg_catalog.pg_stat_activity a)
  FROM pg_catalog.pg_database d, pg_catalog.pg_control_system() c
