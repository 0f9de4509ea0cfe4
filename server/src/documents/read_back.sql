-- After the columns of a document: documents $2 of solution $1 as they are now. Purged ones are gone.
  FROM fbs_document.document
 WHERE company_id = $1 AND document_id = ANY ($2) AND (purge_time IS NULL OR purge_time > now())
