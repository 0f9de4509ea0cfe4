-- What request $3 of principal $2 to solution $1 was, while it is remembered: method, digest, documents.
SELECT method, digest, document_ids
  FROM fbs_router.request_record
 WHERE company_id = $1 AND principal = $2 AND request_id = $3 AND expire_time > now()
