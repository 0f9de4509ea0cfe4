-- The identity row, or none: database uuid, solution, ledger.
SELECT database_uuid, solution, ledger_id FROM fbs_router.identity
