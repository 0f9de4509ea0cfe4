-- Upload $2 of solution $1 goes on, and expires in $3 seconds. No row if it has expired, or was given up.
UPDATE fbs_document.content SET expire_time = now() + make_interval(secs => $3)
 WHERE company_id = $1 AND content_id = $2 AND expire_time > now()
RETURNING true
