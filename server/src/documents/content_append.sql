-- A piece of upload $2 of solution $1: from byte $3 on, bytes $4. One that is there already came by an earlier try.
INSERT INTO fbs_document.content_chunk (company_id, content_id, first_byte, bytes) VALUES ($1, $2, $3, $4)
ON CONFLICT (company_id, content_id, first_byte) DO NOTHING
