-- Document $2 of solution $1, locked until the end: state, etag, deleted?, type, creator. Purged ones are gone.
SELECT state, etag, delete_time IS NOT NULL, document_type, created_by
  FROM fbs_document.document
 WHERE company_id = $1 AND document_id = $2 AND (purge_time IS NULL OR purge_time > now())
   FOR UPDATE
