-- Type $2 of solution $1 as it is now.
SELECT code, name, description, requires_approval, four_eyes, allowed_extensions, max_content_size_bytes
  FROM fbs_document.document_type WHERE company_id = $1 AND code = $2
