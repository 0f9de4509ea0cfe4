-- What the runtime role needs in a documents database, and nothing more: no TRUNCATE, no DDL.
DO $$
DECLARE
    role text := current_setting('fbs_router.runtime_role');
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA fbs_router, fbs_document TO %I', role);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON fbs_document.document, fbs_document.document_type, '
                   'fbs_document.content, fbs_router.request_record TO %I', role);
    -- Bytes are written once; history is written once, and goes with its document.
    EXECUTE format('GRANT SELECT, INSERT, DELETE ON fbs_document.content_chunk TO %I', role);
    EXECUTE format('GRANT SELECT, INSERT ON fbs_document.transition TO %I', role);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON fbs_router.fence, fbs_router.identity TO %I', role);
    EXECUTE format('GRANT SELECT ON fbs_router.schema_version, fbs_document.canary TO %I', role);
    EXECUTE format('GRANT INSERT ON fbs_router.audit TO %I', role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION fbs_document.search_matches TO %I', role);
END $$;
-- Other SQL roles may see the fence that their writes meet, under its policy.
GRANT USAGE ON SCHEMA fbs_router TO PUBLIC;
GRANT SELECT ON fbs_router.fence TO PUBLIC;
