-- Names a company that is nobody's, and lets catalog expressions read alike whatever the role's search_path is.
SELECT pg_catalog.set_config('fbs_router.company_id', '-nobody', true), pg_catalog.set_config('search_path', 'pg_catalog', true)
