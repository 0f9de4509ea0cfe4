-- Principal $2, on behalf of $3, did $4 to document $5 of solution $1 with request $6 at epoch $7.
INSERT INTO fbs_router.audit (company_id, principal, actor, action, document_id, request_id, epoch)
VALUES ($1, $2, $3, $4, $5, $6, $7)
