-- Behind a pooler: whether this transaction is in database $1 of cluster $2, as role $3 and nobody else, and whether no
-- other user of the connection left a setting that switches triggers or policies off, or names a move.
SELECT d.oid = $1 AND c.system_identifier::text = $2 AND session_user = $3 AND current_user = session_user
       AND NOT pg_catalog.pg_is_in_recovery()
       AND pg_catalog.current_setting('session_replication_role') = 'origin'
       AND pg_catalog.current_setting('row_security') = 'on'
       AND pg_catalog.concat(pg_catalog.current_setting('fbs_router.move', true)) = ''
  FROM pg_catalog.pg_database d, pg_catalog.pg_control_system() c
 WHERE d.datname = pg_catalog.current_database()
