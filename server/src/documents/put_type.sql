-- Defines or replaces type $2 of solution $1: name $3, description $4, approval? $5, extensions $6, most bytes $7, four eyes? $8.
INSERT INTO fbs_document.document_type AS t
       (company_id, code, name, description, requires_approval, allowed_extensions, max_content_size_bytes, four_eyes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (company_id, code) DO UPDATE
   SET name = EXCLUDED.name, description = EXCLUDED.description, requires_approval = EXCLUDED.requires_approval,
       allowed_extensions = EXCLUDED.allowed_extensions, max_content_size_bytes = EXCLUDED.max_content_size_bytes,
       four_eyes = EXCLUDED.four_eyes
RETURNING code, name, description, requires_approval, four_eyes, allowed_extensions, max_content_size_bytes
