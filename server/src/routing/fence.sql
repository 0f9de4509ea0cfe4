-- The fence of solution $1: epoch, whether it is ACTIVE, whether a copy of a move stands behind it.
SELECT epoch, state = 'ACTIVE', state = 'COPYING' FROM fbs_router.fence WHERE company_id = $1
