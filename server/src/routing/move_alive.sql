-- A sign of life of move $2 of solution $1. Nothing if it is not its move any more.
UPDATE fbs_router.fence SET update_time = clock_timestamp() WHERE company_id = $1 AND move_id = $2 RETURNING epoch
