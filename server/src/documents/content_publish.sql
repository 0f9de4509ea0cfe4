-- Upload $2 of solution $1, which was for document $3, is to stay. No row if it has expired, or was given up.
UPDATE fbs_document.content SET expire_time = NULL
 WHERE company_id = $1 AND content_id = $2 AND document_id = $3 AND expire_time > now()
RETURNING true
