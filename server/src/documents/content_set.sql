-- Document $2 of solution $1 has content $3 now: filename $4, media type $5, size $6, digest $7.
UPDATE fbs_document.document
   SET content_id = $3, content_filename = $4, content_media_type = $5, content_size_bytes = $6, content_sha256 = $7,
       content_generation = content_generation + 1, etag = gen_random_uuid(),
       update_time = greatest(now(), update_time + interval '1 microsecond')
 WHERE company_id = $1 AND document_id = $2
