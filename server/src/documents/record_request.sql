-- Records request $3 of principal $2 to solution $1: method $4, digest $5, documents $6, kept for $7 seconds.
-- A row if it is new, or if the earlier one has expired; none if it is a repeat. Waits for an earlier one in flight.
-- The row tells what of the solution has expired: documents, contents, request records.
INSERT INTO fbs_router.request_record AS r
       (company_id, principal, request_id, method, digest, document_ids, expire_time)
VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))
ON CONFLICT (company_id, principal, request_id) DO UPDATE
   SET method = EXCLUDED.method, digest = EXCLUDED.digest, document_ids = EXCLUDED.document_ids,
       create_time = EXCLUDED.create_time, expire_time = EXCLUDED.expire_time
 WHERE r.expire_time <= now()
RETURNING EXISTS (SELECT FROM fbs_document.document AS d WHERE d.company_id = $1 AND d.purge_time <= now()) AS documents,
          EXISTS (SELECT FROM fbs_document.content AS c WHERE c.company_id = $1 AND c.expire_time <= now()) AS contents,
          EXISTS (SELECT FROM fbs_router.request_record AS e WHERE e.company_id = $1 AND e.expire_time <= now()) AS requests
