-- Servers changed after change $1.
SELECT server, system_identifier FROM fbs_router.server WHERE change_number > $1
