-- Brings document $2 of solution $1 into state $3; $4 has approved it, null keeps who did.
UPDATE fbs_document.document
   SET state = $3, approved_by = coalesce($4, approved_by), etag = gen_random_uuid(),
       update_time = greatest(now(), update_time + interval '1 microsecond')
 WHERE company_id = $1 AND document_id = $2
