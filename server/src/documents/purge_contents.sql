-- Removes up to 100 pieces of contents of solution $1 that have expired, and up to 100 such contents that had no piece left
-- before. The arrays are made once, and nothing is scanned where there are none, as with request records.
WITH pieces AS (
     DELETE FROM fbs_document.content_chunk
      WHERE company_id = $1
        AND (SELECT min(c.expire_time) FROM fbs_document.content AS c WHERE c.company_id = $1) <= now()
        AND ctid = ANY (ARRAY(
            SELECT k.ctid FROM fbs_document.content AS c
              JOIN fbs_document.content_chunk AS k ON k.company_id = $1 AND k.content_id = c.content_id
             WHERE c.company_id = $1 AND c.expire_time <= now() LIMIT 100 FOR UPDATE OF c SKIP LOCKED)))
DELETE FROM fbs_document.content
 WHERE company_id = $1
   AND (SELECT min(c.expire_time) FROM fbs_document.content AS c WHERE c.company_id = $1) <= now()
   AND ctid = ANY (ARRAY(
       SELECT c.ctid FROM fbs_document.content AS c
        WHERE c.company_id = $1 AND c.expire_time <= now()
          AND NOT EXISTS (SELECT FROM fbs_document.content_chunk AS k
                           WHERE k.company_id = $1 AND k.content_id = c.content_id)
        LIMIT 100 FOR UPDATE OF c SKIP LOCKED))
