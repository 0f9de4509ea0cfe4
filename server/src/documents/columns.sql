document_id, name, title, description, document_type, category, tags, confidentiality, metadata, expire_time, state, etag,
created_by, approved_by, create_time, update_time, delete_time, purge_time, content_id, content_generation,
content_filename, content_media_type, content_size_bytes, content_sha256
