-- A new document $2 of solution $1 in DRAFT, created by $12. No row if the id is taken, also by a purged one.
INSERT INTO fbs_document.document
       (company_id, document_id, name, title, description, document_type, category, tags, confidentiality, metadata,
        expire_time, state, created_by, create_time, update_time)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12, now(), now())
ON CONFLICT (company_id, document_id) DO NOTHING
