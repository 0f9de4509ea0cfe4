-- Upload $2 for document $3 of solution $1, of which nothing is visible; it expires in $4 seconds.
INSERT INTO fbs_document.content (company_id, content_id, document_id, expire_time)
VALUES ($1, $2, $3, now() + make_interval(secs => $4))
ON CONFLICT (company_id, content_id) DO NOTHING
