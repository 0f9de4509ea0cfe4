-- Removes up to 100 request records of solution $1 that need not be remembered any more.
DELETE FROM fbs_router.request_record
 WHERE company_id = $1 AND (principal, request_id) IN (
       SELECT r.principal, r.request_id FROM fbs_router.request_record AS r
        WHERE r.company_id = $1 AND r.expire_time <= now()
        ORDER BY r.expire_time LIMIT 100 FOR UPDATE SKIP LOCKED)
