-- Marks document $2 of solution $1 deleted; it can be taken back for $3 seconds.
UPDATE fbs_document.document
   SET delete_time = now(), purge_time = now() + make_interval(secs => $3), etag = gen_random_uuid(),
       update_time = greatest(now(), update_time + interval '1 microsecond')
 WHERE company_id = $1 AND document_id = $2
