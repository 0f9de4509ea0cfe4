-- Closes the source of move $3 for solution $1, which is at epoch $2 in database $4. After the exclusive lock: whoever
-- was writing has ended.
UPDATE fbs_router.fence SET state = 'FROZEN', move_id = $3, update_time = clock_timestamp()
 WHERE company_id = $1 AND epoch = $2 AND database_uuid = $4 AND state IN ('ACTIVE', 'FROZEN')
RETURNING epoch
