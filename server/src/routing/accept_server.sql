-- Server $1 is cluster $2 now.
UPDATE fbs_router.server SET system_identifier = $2, remove_time = NULL WHERE server = $1 RETURNING server
