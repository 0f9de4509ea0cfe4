-- The fence of solution $1: epoch, and whether it is ACTIVE.
SELECT epoch, state = 'ACTIVE' FROM fbs_router.fence WHERE company_id = $1
