-- True if the table named $1 is there.
SELECT pg_catalog.to_regclass($1) IS NOT NULL
