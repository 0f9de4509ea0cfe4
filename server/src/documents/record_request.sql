-- Records request $3 of principal $2 to solution $1: method $4, digest $5, documents $6, kept for $7 seconds.
-- A row if it is new, or if the earlier one has expired; none if it is a repeat. Waits for an earlier one in flight.
-- The row tells what of the solution has expired: documents, contents, request records. The earliest of each is asked for, which
-- an index answers; for whether there is any, a plan may read on through the expired rows of others.
INSERT INTO fbs_router.request_record AS r
       (company_id, principal, request_id, method, digest, document_ids, expire_time)
VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))
ON CONFLICT (company_id, principal, request_id) DO UPDATE
   SET method = EXCLUDED.method, digest = EXCLUDED.digest, document_ids = EXCLUDED.document_ids,
       create_time = EXCLUDED.create_time, expire_time = EXCLUDED.expire_time
 WHERE r.expire_time <= now()
RETURNING coalesce((SELECT min(d.purge_time) FROM fbs_document.document AS d WHERE d.company_id = $1) <= now(), false) AS documents,
          coalesce((SELECT min(c.expire_time) FROM fbs_document.content AS c WHERE c.company_id = $1) <= now(), false) AS contents,
          coalesce((SELECT min(e.expire_time) FROM fbs_router.request_record AS e WHERE e.company_id = $1) <= now(), false) AS requests
