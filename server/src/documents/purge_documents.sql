-- Removes up to 100 documents of solution $1 whose time to be taken back is over, and lets their contents expire. The array
-- is made once, and nothing is scanned where there is none, as with request records.
WITH gone AS (
     DELETE FROM fbs_document.document
      WHERE company_id = $1
        AND (SELECT min(d.purge_time) FROM fbs_document.document AS d WHERE d.company_id = $1) <= now()
        AND ctid = ANY (ARRAY(
            SELECT d.ctid FROM fbs_document.document AS d
             WHERE d.company_id = $1 AND d.purge_time <= now()
             ORDER BY d.purge_time LIMIT 100 FOR UPDATE SKIP LOCKED))
  RETURNING content_id)
UPDATE fbs_document.content AS c SET expire_time = now()
  FROM gone WHERE c.company_id = $1 AND c.content_id = gone.content_id
