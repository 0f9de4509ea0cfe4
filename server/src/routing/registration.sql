-- What is particular to solution $1 and app $2.
SELECT server, database_name, isolation FROM fbs_router.registration WHERE company_id = $1 AND app = $2
