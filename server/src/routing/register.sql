-- What is particular to solution $1 and app $2: server $3, database $4 (none: as the pattern says), isolation $5.
INSERT INTO fbs_router.registration (company_id, app, server, database_name, isolation) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (company_id, app) DO UPDATE
   SET server = EXCLUDED.server, database_name = EXCLUDED.database_name, isolation = EXCLUDED.isolation
RETURNING change_number
