-- Registrations changed after change $1.
SELECT company_id, app, server, database_name, isolation FROM fbs_router.registration WHERE change_number > $1
