-- Version 3: a canary, by which a router proves on each new connection that policies bind its role. Additive: compatible from 2.

-- The one row is of a company that no solution can be: whoever sees it without having named it is not bound by policies.
-- A table of its own, not a row among the documents: an owner who counts or copies his documents finds his documents, and
-- a template holds none. That the other tables have the same policy is read from the catalog.
CREATE TABLE fbs_document.canary (
    company_id text COLLATE "C" PRIMARY KEY
);
INSERT INTO fbs_document.canary VALUES ('-canary');
-- No solution is called so, hence no fence ever lets it be changed or removed.
CREATE TRIGGER fence BEFORE INSERT OR UPDATE OR DELETE ON fbs_document.canary
    FOR EACH ROW EXECUTE FUNCTION fbs_router.enforce_fence();
ALTER TABLE fbs_document.canary ENABLE ROW LEVEL SECURITY;
CREATE POLICY solution ON fbs_document.canary
    USING (company_id = (SELECT current_setting('fbs_router.company_id', true)));
