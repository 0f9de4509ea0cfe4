-- Names the solution for the policies and bounds the transaction; all of it ends with the transaction.
SELECT pg_catalog.set_config('fbs_router.company_id', $1, true),
       pg_catalog.set_config('statement_timeout', $2, true),
       pg_catalog.set_config('lock_timeout', $3, true),
       pg_catalog.set_config('idle_in_transaction_session_timeout', $4, true)
