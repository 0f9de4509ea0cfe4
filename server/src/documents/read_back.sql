-- Document $2 of solution $1 as it is now. Purged ones are gone.
SELECT document_id, name, title, description, document_type, category, tags, confidentiality, metadata, expire_time,
       state, etag, created_by, approved_by, create_time, update_time, delete_time, purge_time
  FROM fbs_document.document
 WHERE company_id = $1 AND document_id = $2 AND (purge_time IS NULL OR purge_time > now())
