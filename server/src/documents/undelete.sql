-- Takes the deletion of document $2 of solution $1 back.
UPDATE fbs_document.document
   SET delete_time = NULL, purge_time = NULL, etag = gen_random_uuid(),
       update_time = greatest(now(), update_time + interval '1 microsecond')
 WHERE company_id = $1 AND document_id = $2
