-- True if any row of solution $1 lies here, deleted and expired ones included.
SELECT EXISTS (SELECT FROM fbs_document.document WHERE company_id = $1)
    OR EXISTS (SELECT FROM fbs_router.request_record WHERE company_id = $1)
