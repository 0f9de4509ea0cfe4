-- The fence of solution $1 here: epoch, and whether rows lie behind it that nobody finished copying.
SELECT epoch, state = 'COPYING' OR (state = 'MOVED' AND move_id IS NOT NULL) FROM fbs_router.fence WHERE company_id = $1
