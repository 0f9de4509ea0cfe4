-- Server $1, with system_identifier $2, which the ledger does not know.
INSERT INTO fbs_router.server (server, system_identifier)
SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM fbs_router.server WHERE server = $1)
ON CONFLICT (server) DO NOTHING
RETURNING server
