-- Removes up to $3 pieces of upload $2 of solution $1, if it was given up. A row for each.
DELETE FROM fbs_document.content_chunk
 WHERE company_id = $1 AND content_id = $2
   AND EXISTS (SELECT FROM fbs_document.content AS c
                WHERE c.company_id = $1 AND c.content_id = $2 AND c.expire_time <= now())
   AND first_byte IN (
       SELECT k.first_byte FROM fbs_document.content_chunk AS k
        WHERE k.company_id = $1 AND k.content_id = $2 ORDER BY k.first_byte LIMIT $3)
RETURNING true
