-- A row for each view of our tables, also through another view, that shows their rows with its owner's eyes: what is wrong,
-- what mends it, and whether it matters only in a database that solutions share. In our schemas; elsewhere if everybody or
-- we may read it; in a shared database if anybody but its owner may.
WITH RECURSIVE views (oid) AS (
    SELECT c.oid FROM pg_namespace AS n JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p')
     WHERE n.nspname = 'fbs_document' OR n.nspname = 'fbs_router' AND c.relname IN ('fence', 'request_record', 'audit')
    UNION
    SELECT w.ev_class
      FROM views AS seen
      JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = seen.oid
                         AND d.classid = 'pg_rewrite'::regclass
      JOIN pg_rewrite AS w ON w.oid = d.objid)
SELECT format('%s: a view passes the policies', c.oid::regclass),
       CASE c.relkind WHEN 'v' THEN format('ALTER VIEW %s SET (security_invoker = true)', c.oid::regclass)
                      ELSE format('REVOKE ALL ON %s FROM PUBLIC, and from all but its owner', c.oid::regclass) END,
       NOT bool_or(n.nspname IN ('fbs_router', 'fbs_document') OR given.grantee IN (0, current_user::regrole))
  FROM views AS v
  JOIN pg_class AS c ON c.oid = v.oid AND c.relkind IN ('v', 'm')
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN LATERAL aclexplode(c.relacl) AS given ON given.grantee <> c.relowner
 WHERE NOT EXISTS (SELECT FROM pg_options_to_table(c.reloptions) AS o
                    WHERE o.option_name = 'security_invoker' AND o.option_value::boolean)
   AND (n.nspname IN ('fbs_router', 'fbs_document') OR given.grantee IS NOT NULL)
 GROUP BY c.oid, c.relkind
