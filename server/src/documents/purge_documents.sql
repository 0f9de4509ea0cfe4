-- Removes up to 100 documents of solution $1 whose time to be taken back is over. MATERIALIZED: a plan may run a
-- subquery with LIMIT once a row, and each run would find others.
WITH due AS MATERIALIZED (
     SELECT d.document_id FROM fbs_document.document AS d
      WHERE d.company_id = $1 AND d.purge_time <= now()
      ORDER BY d.purge_time LIMIT 100 FOR UPDATE SKIP LOCKED)
DELETE FROM fbs_document.document AS gone USING due
 WHERE gone.company_id = $1 AND gone.document_id = due.document_id
