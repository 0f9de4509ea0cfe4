-- Makes this database solution $1's in ledger $2, unless it is somebody's. One row: whoever is second changes nothing.
INSERT INTO fbs_router.identity (kind, solution, ledger_id) VALUES ('dedicated', $1, $2)
ON CONFLICT (sole) DO UPDATE SET ledger_id = EXCLUDED.ledger_id
 WHERE identity.kind = 'dedicated' AND identity.solution = $1 AND identity.ledger_id IS NULL
