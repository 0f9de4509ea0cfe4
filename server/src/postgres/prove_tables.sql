-- A row for each table of ours whose rows are not kept apart: what is wrong, what mends it, and whether it matters only in
-- a database that solutions share. Row-level security is disabled; a policy that applies to us is missing, changed or added;
-- the trigger of the fence is missing or disabled (before each row that is inserted or updated, 23, or deleted, 31); a rule;
-- a privilege that passes policies or fence. Runs with search_path = pg_catalog, so that expressions read alike.
SELECT format('%s: %s', t.name, found.wrong), format(found.mend, t.name, t.schema, current_user), found.shared
  FROM (SELECT c.oid, c.oid::regclass::text AS name, n.oid AS schema_oid, n.nspname AS schema, c.relowner, c.relacl,
               c.relrowsecurity, c.relhasrules, n.nspname = 'fbs_router' AND c.relname = 'fence' AS is_fence,
               n.nspname = 'fbs_document' OR c.relname IN ('fence', 'request_record', 'audit') AS guarded,
               CASE WHEN n.nspname = 'fbs_document' OR c.relname = 'request_record' THEN 'enforce_fence'
                    WHEN c.relname = 'fence' THEN 'check_fence' END AS fenced_by
          FROM pg_namespace AS n JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p')
         WHERE n.nspname IN ('fbs_router', 'fbs_document')) AS t,
       LATERAL (VALUES
           ('row-level security is disabled', 'ALTER TABLE %1$s ENABLE ROW LEVEL SECURITY', false,
               t.guarded AND NOT t.relrowsecurity),
           ('a policy is missing, changed or added', 'one policy FOR ALL on %1$s, as `fbs-router schema print` has it', false,
               t.guarded AND (
               SELECT count(*) <> 1 OR NOT bool_and(p.polpermissive AND p.polcmd = '*' AND p.polwithcheck IS NULL
                      AND regexp_replace(pg_get_expr(p.polqual, p.polrelid), '\s|pg_catalog\.|AS current_setting', '', 'g')
                          = '(company_id=(SELECTcurrent_setting(''fbs_router.company_id''::text,true)))')
                 FROM pg_policy AS p
                WHERE p.polrelid = t.oid AND p.polroles && ARRAY[0, current_user::regrole]::oid[])),
           ('the trigger of the fence is disabled or missing',
               'ALTER TABLE %1$s ENABLE TRIGGER USER, or the trigger as `fbs-router schema print` has it', false,
               t.fenced_by IS NOT NULL AND NOT EXISTS (
               SELECT FROM pg_trigger AS g
                WHERE g.tgrelid = t.oid AND g.tgenabled IN ('O', 'A') AND g.tgqual IS NULL AND g.tgattr = ''
                  AND g.tgtype = CASE t.fenced_by WHEN 'check_fence' THEN 23 ELSE 31 END
                  AND g.tgfoid = to_regproc('fbs_router.' || t.fenced_by))),
           ('a rule rewrites statements', 'DROP RULE … ON %1$s', false,
               t.relhasrules AND EXISTS (SELECT FROM pg_rewrite AS w WHERE w.ev_class = t.oid)),
           ('everybody has privileges', 'REVOKE ALL ON %1$s FROM PUBLIC', false,
               has_any_column_privilege('public', t.oid, 'INSERT, UPDATE, REFERENCES')
               OR has_table_privilege('public', t.oid, 'DELETE, TRUNCATE, TRIGGER')
               OR has_any_column_privilege('public', t.oid, 'SELECT') AND NOT t.is_fence),
           ('the runtime role has privileges that pass the policies',
               'REVOKE TRUNCATE, TRIGGER, REFERENCES ON %1$s FROM %3$I', false,
               has_table_privilege(t.oid, 'TRUNCATE, TRIGGER') OR has_any_column_privilege(t.oid, 'REFERENCES')),
           ('a role has privileges that pass the policies', 'REVOKE TRUNCATE, TRIGGER, REFERENCES ON %1$s FROM it', true,
               t.relacl IS NOT NULL AND EXISTS (
               SELECT FROM aclexplode(t.relacl) AS given
                WHERE given.grantee <> t.relowner AND given.privilege_type IN ('TRUNCATE', 'TRIGGER', 'REFERENCES'))),
           ('everybody, or the runtime role, may create in its schema', 'REVOKE CREATE ON SCHEMA %2$I FROM PUBLIC, %3$I',
               false, has_schema_privilege(t.schema_oid, 'CREATE') OR has_schema_privilege('public', t.schema_oid, 'CREATE'))
       ) AS found (wrong, mend, shared, holds)
 WHERE found.holds
