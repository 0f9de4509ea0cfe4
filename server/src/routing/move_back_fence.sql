-- The fence of solution $1 in the system database after a move was taken back to epoch $2: open if the solution lives here ($3).
-- Else closed, and it keeps the id of the move if rows of it may lie here.
UPDATE fbs_router.fence
   SET epoch = $2, state = CASE WHEN $3 THEN 'ACTIVE' ELSE 'MOVED' END,
       move_id = CASE WHEN NOT $3 AND state IN ('COPYING', 'MOVED') THEN move_id END, update_time = clock_timestamp()
 WHERE company_id = $1 AND epoch < $2
RETURNING epoch
