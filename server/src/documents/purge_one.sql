-- Removes document $2 of solution $1 if its time to be taken back is over.
DELETE FROM fbs_document.document WHERE company_id = $1 AND document_id = $2 AND purge_time <= now()
RETURNING document_id
