-- At the end of move $3 the fence of solution $1 here goes from state $4 to state $5, at epoch $2.
UPDATE fbs_router.fence SET epoch = $2, state = $5, move_id = NULL, update_time = clock_timestamp()
 WHERE company_id = $1 AND move_id = $3 AND state = $4 AND epoch < $2
RETURNING epoch
