-- A row for each function that runs with the rights of somebody whom the policies do not bind: what is wrong, what mends
-- it, and whether it matters only in a database that solutions share. In our schemas one may, which takes the session's
-- solution. Elsewhere those count that we may call; not what came with initdb (oids below 16384) or an extension.
SELECT format('%s: a function passes the policies', f.oid::regprocedure),
       format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC, %I, or ALTER FUNCTION … SECURITY INVOKER', f.oid::regprocedure, current_user),
       n.nspname NOT IN ('fbs_router', 'fbs_document')
  FROM pg_proc AS f JOIN pg_namespace AS n ON n.oid = f.pronamespace
 WHERE f.oid >= 16384 AND f.prosecdef
   AND CASE WHEN n.nspname IN ('fbs_router', 'fbs_document') THEN NOT (
            n.nspname = 'fbs_document' AND f.proname = 'search_matches' AND f.prorettype = 'uuid'::regtype
            AND f.proconfig @> ARRAY['search_path=pg_catalog, pg_temp'] AND f.proowner = n.nspowner
            AND NOT has_function_privilege('public', f.oid, 'EXECUTE'))
       ELSE f.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
            AND has_function_privilege(f.oid, 'EXECUTE') AND has_schema_privilege(n.oid, 'USAGE')
            AND (f.proowner = (SELECT nspowner FROM pg_namespace WHERE nspname = 'fbs_document')
                 OR EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = f.proowner AND (r.rolsuper OR r.rolbypassrls)))
            AND NOT EXISTS (SELECT FROM pg_depend AS d
                             WHERE d.classid = 'pg_proc'::regclass AND d.objid = f.oid AND d.deptype = 'e')
       END
