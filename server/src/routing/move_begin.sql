-- A move of solution $1 and app $2 at epoch $3 begins, with id $4, to placement $5. Nothing while another one goes on.
UPDATE fbs_router.placement SET move_id = $4, move_direction = $5
 WHERE company_id = $1 AND app = $2 AND epoch = $3 AND placement <> $5 AND move_id IS NULL
RETURNING epoch
