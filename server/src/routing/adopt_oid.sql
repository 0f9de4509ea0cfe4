-- Records oid $5 of the database which solution $1 and app $2 have at epoch $3, and which proved uuid $4.
UPDATE fbs_router.placement SET database_oid = $5
 WHERE company_id = $1 AND app = $2 AND placement = 'DEDICATED' AND epoch = $3 AND database_uuid = $4
RETURNING epoch
