-- Move $4 of solution $1 and app $2 at epoch $3 is taken back. At the next epoch, so that nothing which was decided before
-- or during the move holds any more.
UPDATE fbs_router.placement SET epoch = epoch + 1, move_id = NULL, move_direction = NULL
 WHERE company_id = $1 AND app = $2 AND epoch = $3 AND move_id = $4
RETURNING epoch, placement
