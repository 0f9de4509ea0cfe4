-- Waits for whoever is changing the ledger, and keeps the others waiting until the end.
UPDATE fbs_router.ledger SET change_number = change_number
