-- Removes document $2 of solution $1 if its time to be taken back is over, and lets its content expire.
WITH gone AS (
     DELETE FROM fbs_document.document WHERE company_id = $1 AND document_id = $2 AND purge_time <= now()
  RETURNING content_id)
UPDATE fbs_document.content AS c SET expire_time = now()
  FROM gone WHERE c.company_id = $1 AND c.content_id = gone.content_id
