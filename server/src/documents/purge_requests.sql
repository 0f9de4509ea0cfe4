-- Removes up to 100 request records of solution $1 that need not be remembered any more. MATERIALIZED: a plan may run
-- a subquery with LIMIT once a row, and each run would find others.
WITH due AS MATERIALIZED (
     SELECT r.principal, r.request_id FROM fbs_router.request_record AS r
      WHERE r.company_id = $1 AND r.expire_time <= now()
      ORDER BY r.expire_time LIMIT 100 FOR UPDATE SKIP LOCKED)
DELETE FROM fbs_router.request_record AS gone USING due
 WHERE gone.company_id = $1 AND gone.principal = due.principal AND gone.request_id = due.request_id
