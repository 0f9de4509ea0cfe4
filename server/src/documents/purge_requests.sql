-- Removes up to 100 request records of solution $1 that need not be remembered any more. The array is made once: a
-- plan may run a subquery in a join once a row, and each run would find others. Where nothing has expired nothing is
-- scanned: without statistics a plan may look at all rows of the solution for those of the array.
DELETE FROM fbs_router.request_record
 WHERE company_id = $1
   AND (SELECT min(r.expire_time) FROM fbs_router.request_record AS r WHERE r.company_id = $1) <= now()
   AND ctid = ANY (ARRAY(
       SELECT r.ctid FROM fbs_router.request_record AS r
        WHERE r.company_id = $1 AND r.expire_time <= now()
        ORDER BY r.expire_time LIMIT 100 FOR UPDATE SKIP LOCKED))
