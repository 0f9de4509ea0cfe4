-- What the runtime role needs in the ledger.
DO $$
DECLARE
    role text := current_setting('fbs_router.runtime_role');
BEGIN
    EXECUTE format(
        'GRANT SELECT, INSERT, UPDATE ON fbs_router.ledger, fbs_router.ledger_change, fbs_router.server, '
        'fbs_router.placement, fbs_router.registration TO %I', role);
END $$;
