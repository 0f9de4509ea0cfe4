-- Removes upload $2 of solution $1, which was given up and has no piece left.
DELETE FROM fbs_document.content WHERE company_id = $1 AND content_id = $2 AND expire_time <= now()
