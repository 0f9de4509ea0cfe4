-- One row: newest version of the ledger's schema, and the oldest build it works with; nulls if none was recorded.
SELECT pg_catalog.max(version), (pg_catalog.array_agg(compatible_from ORDER BY version DESC))[1]
  FROM fbs_router.schema_version WHERE component = 'ledger'
