-- One row: ledger, number and uuid of its last change, and whether it contains change $1 with uuid $2.
SELECT ledger_id, change_number, change_uuid,
       EXISTS (SELECT FROM fbs_router.ledger_change c WHERE c.change_number = $1 AND c.change_uuid = $2)
  FROM fbs_router.ledger
