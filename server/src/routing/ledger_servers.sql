-- Servers changed after change $1, and whether they were removed.
SELECT server, system_identifier, remove_time IS NOT NULL FROM fbs_router.server WHERE change_number > $1
