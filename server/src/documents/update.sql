-- New values for document $2 of solution $1; null keeps what is there. Metadata and expire_time come as a jsonb
-- and a time that say themselves whether they change anything: see write.rs.
UPDATE fbs_document.document
   SET name = coalesce($3, name), title = coalesce($4, title), description = coalesce($5, description),
       category = coalesce($6, category), tags = coalesce($7, tags), confidentiality = coalesce($8, confidentiality),
       metadata = $9, expire_time = $10, etag = gen_random_uuid(),
       update_time = greatest(now(), update_time + interval '1 microsecond')
 WHERE company_id = $1 AND document_id = $2
