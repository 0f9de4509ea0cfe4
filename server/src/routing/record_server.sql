-- Server $1, with system_identifier $2, which the ledger does not know, or not any more.
INSERT INTO fbs_router.server (server, system_identifier)
SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM fbs_router.server WHERE server = $1 AND remove_time IS NULL)
ON CONFLICT (server) DO UPDATE SET system_identifier = EXCLUDED.system_identifier, remove_time = NULL
 WHERE server.remove_time IS NOT NULL
RETURNING server
