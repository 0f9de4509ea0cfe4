-- Removes up to 100 documents of solution $1 whose time to be taken back is over.
DELETE FROM fbs_document.document
 WHERE company_id = $1 AND document_id IN (
       SELECT d.document_id FROM fbs_document.document AS d
        WHERE d.company_id = $1 AND d.purge_time <= now()
        ORDER BY d.purge_time LIMIT 100 FOR UPDATE SKIP LOCKED)
