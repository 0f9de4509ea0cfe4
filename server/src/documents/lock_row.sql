-- State of document $2 of solution $1, locked until the end: state, etag, deleted? Purged ones are gone.
SELECT state, etag, delete_time IS NOT NULL
  FROM fbs_document.document
 WHERE company_id = $1 AND document_id = $2 AND (purge_time IS NULL OR purge_time > now())
   FOR UPDATE
