-- Upload $2 of solution $1 has failed: nothing is added to it any more, and it may be removed. No row if there is none, or if
-- a document names it: then it has not failed after all.
UPDATE fbs_document.content SET expire_time = now()
 WHERE company_id = $1 AND content_id = $2 AND expire_time IS NOT NULL
RETURNING true
