-- An operator's decision: this database of solution $1, whichever ledger it belonged to, belongs to ledger $2.
UPDATE fbs_router.identity SET ledger_id = $2 WHERE kind = 'dedicated' AND solution = $1
