-- Principal $2 did $3 to solution $1, which is at epoch $4.
INSERT INTO fbs_router.audit (company_id, principal, action, epoch) VALUES ($1, $2, $3, $4)
