-- True if any row of solution $1 lies here, deleted and expired ones included. The schema says which tables there are.
SELECT fbs_router.holds_rows($1)
