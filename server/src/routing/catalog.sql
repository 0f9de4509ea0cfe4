-- One row a database, closed ones and templates included: they exist. system_identifier, standby?, name, oid.
SELECT c.system_identifier::text, pg_catalog.pg_is_in_recovery(), d.datname::text, d.oid
  FROM pg_catalog.pg_database d, pg_catalog.pg_control_system() c
