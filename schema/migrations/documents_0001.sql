-- Version 1 of what every documents database holds: identity, fence, request records, audit, documents.
-- Runs as the owner of the database, in one transaction; needs no superuser and no extension.
CREATE SCHEMA fbs_router;
CREATE SCHEMA fbs_document;

CREATE TABLE fbs_router.schema_version (
    component       text        NOT NULL CHECK (component IN ('documents', 'ledger')),
    version         integer     NOT NULL CHECK (version > 0),
    -- The oldest router schema version that still works with this one: additive migrations keep it.
    compatible_from integer     NOT NULL,
    checksum        bytea       NOT NULL,
    apply_time      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (component, version)
);

-- Which database this is. One row, or none in a template and in a fresh copy of it.
CREATE TABLE fbs_router.identity (
    sole          boolean PRIMARY KEY DEFAULT true CHECK (sole),
    database_uuid uuid NOT NULL DEFAULT gen_random_uuid(),
    kind          text NOT NULL CHECK (kind IN ('dedicated', 'system')),
    solution      text COLLATE "C" CHECK (solution ~ '^[a-z0-9][a-z0-9_-]*$'),
    ledger_id     uuid,
    CHECK ((kind = 'dedicated') = (solution IS NOT NULL)),
    CHECK (kind = 'dedicated' OR ledger_id IS NOT NULL)
);

-- Whether this database may serve a solution, and at which epoch.
CREATE TABLE fbs_router.fence (
    company_id    text COLLATE "C" PRIMARY KEY CHECK (company_id ~ '^[a-z0-9][a-z0-9_-]*$'),
    epoch         bigint NOT NULL CHECK (epoch >= 0),
    state         text NOT NULL CHECK (state IN ('ACTIVE', 'FROZEN', 'COPYING', 'MOVED')),
    database_uuid uuid NOT NULL,
    move_id       uuid,
    update_time   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (state <> 'COPYING' OR move_id IS NOT NULL)
);

-- What each request_id did, so that a repeat finds its result.
CREATE TABLE fbs_router.request_record (
    company_id   text COLLATE "C" NOT NULL,
    principal    text COLLATE "C" NOT NULL,
    request_id   uuid NOT NULL,
    method       text COLLATE "C" NOT NULL,
    digest       bytea NOT NULL,
    document_ids uuid[] NOT NULL,
    create_time  timestamptz NOT NULL DEFAULT now(),
    expire_time  timestamptz NOT NULL,
    PRIMARY KEY (company_id, principal, request_id)
);
CREATE INDEX request_record_expiry ON fbs_router.request_record (company_id, expire_time);

-- Who did what. Append-only: the runtime role may only insert.
CREATE TABLE fbs_router.audit (
    company_id  text COLLATE "C" NOT NULL,
    audit_id    uuid NOT NULL DEFAULT gen_random_uuid(),
    create_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    principal   text COLLATE "C" NOT NULL,
    actor       text COLLATE "C" NOT NULL DEFAULT '',
    action      text COLLATE "C" NOT NULL,
    document_id uuid,
    request_id  uuid,
    epoch       bigint NOT NULL,
    PRIMARY KEY (company_id, audit_id)
);

CREATE TABLE fbs_document.document (
    company_id      text COLLATE "C" NOT NULL,
    document_id     uuid NOT NULL,
    name            text COLLATE "C" NOT NULL,
    title           text COLLATE "C" NOT NULL,
    description     text COLLATE "C" NOT NULL,
    document_type   text COLLATE "C" NOT NULL,
    category        text COLLATE "C" NOT NULL,
    tags            text[] COLLATE "C" NOT NULL,
    confidentiality smallint NOT NULL CHECK (confidentiality BETWEEN 1 AND 3),
    metadata        jsonb,
    expire_time     timestamptz,
    state           smallint NOT NULL CHECK (state BETWEEN 1 AND 5),
    -- A fresh one with every change.
    etag            uuid NOT NULL DEFAULT gen_random_uuid(),
    created_by      text COLLATE "C" NOT NULL,
    approved_by     text COLLATE "C" NOT NULL DEFAULT '',
    create_time     timestamptz NOT NULL,
    update_time     timestamptz NOT NULL,
    delete_time     timestamptz,
    purge_time      timestamptz,
    PRIMARY KEY (company_id, document_id),
    CHECK ((delete_time IS NULL) = (purge_time IS NULL))
);
-- One index an order of ListDocuments; all begin with the solution and end with the tie breaker.
CREATE INDEX document_by_create_time ON fbs_document.document (company_id, create_time, document_id);
CREATE INDEX document_by_update_time ON fbs_document.document (company_id, update_time, document_id);
CREATE INDEX document_by_name ON fbs_document.document (company_id, name, document_id);
CREATE INDEX document_by_title ON fbs_document.document (company_id, title, document_id);
CREATE INDEX document_purge ON fbs_document.document (company_id, purge_time) WHERE purge_time IS NOT NULL;

-- The key of a solution's advisory lock in this database: shared by its writers, exclusive for whoever
-- moves or takes over. A collision makes two solutions wait for each other, never more.
CREATE FUNCTION fbs_router.solution_lock(company text) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN pg_catalog.hashtextextended($1, 7234017283807667300);

-- True if this database serves the solution at exactly that epoch and is exactly that database.
-- Read in the statement that reads, or after the lock in a transaction that writes.
-- In a system database no fence row means ACTIVE at epoch 0.
-- plpgsql, because its plans are kept: an SQL function that holds subqueries is planned anew in every call.
CREATE FUNCTION fbs_router.admits(company text, expected_epoch bigint, expected_uuid uuid) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    fence fbs_router.fence;
BEGIN
    SELECT * INTO fence FROM fbs_router.fence AS f WHERE f.company_id = company;
    IF FOUND THEN
        RETURN fence.state = 'ACTIVE' AND fence.epoch = expected_epoch AND fence.database_uuid = expected_uuid;
    END IF;
    RETURN EXISTS (SELECT FROM fbs_router.identity AS i
                    WHERE i.kind = 'system' AND expected_epoch = 0 AND i.database_uuid = expected_uuid);
END $$;

-- Lets a write through only while the fence says so. Takes the lock first and reads the fence second, in a
-- statement of its own: one statement would read the fence as it was before it waited.
CREATE FUNCTION fbs_router.enforce_fence() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    company text := CASE TG_OP WHEN 'DELETE' THEN OLD.company_id ELSE NEW.company_id END;
    fence   fbs_router.fence;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION USING ERRCODE = 'FBS02', MESSAGE = 'documents are written under READ COMMITTED only';
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.company_id <> NEW.company_id THEN
        RAISE EXCEPTION USING ERRCODE = 'FBS02', MESSAGE = 'a row never changes its solution';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(fbs_router.solution_lock(company));
    SELECT * INTO fence FROM fbs_router.fence AS f WHERE f.company_id = company;
    IF fence.state = 'ACTIVE'
       OR (fence.move_id = nullif(current_setting('fbs_router.move', true), '')::uuid
           AND (fence.state = 'COPYING' AND TG_OP IN ('INSERT', 'DELETE')
                OR fence.state = 'MOVED' AND TG_OP = 'DELETE')) THEN
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'FBS01', MESSAGE = 'this database does not serve the solution now';
END $$;

CREATE TRIGGER fence BEFORE INSERT OR UPDATE OR DELETE ON fbs_document.document
    FOR EACH ROW EXECUTE FUNCTION fbs_router.enforce_fence();
CREATE TRIGGER fence BEFORE INSERT OR UPDATE OR DELETE ON fbs_router.request_record
    FOR EACH ROW EXECUTE FUNCTION fbs_router.enforce_fence();

-- A fence belongs to the database it stands in: a dedicated one takes no solution but its own, and epochs only grow.
CREATE FUNCTION fbs_router.check_fence() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    identity fbs_router.identity;
BEGIN
    SELECT * INTO identity FROM fbs_router.identity;
    IF identity.database_uuid IS DISTINCT FROM NEW.database_uuid
       OR (identity.kind = 'dedicated' AND identity.solution <> NEW.company_id) THEN
        RAISE EXCEPTION USING ERRCODE = 'FBS03', MESSAGE = 'the fence is for another database';
    END IF;
    IF TG_OP = 'UPDATE' AND (NEW.epoch < OLD.epoch OR NEW.company_id <> OLD.company_id) THEN
        RAISE EXCEPTION USING ERRCODE = 'FBS03', MESSAGE = 'the epoch of a fence only grows';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER identity BEFORE INSERT OR UPDATE ON fbs_router.fence
    FOR EACH ROW EXECUTE FUNCTION fbs_router.check_fence();

-- Row-level security: a session sees the solution it names, and nothing while it names none.
-- Enabled, not forced: the runtime role owns nothing, and the owner's backups stay whole.
ALTER TABLE fbs_document.document     ENABLE ROW LEVEL SECURITY;
ALTER TABLE fbs_router.fence          ENABLE ROW LEVEL SECURITY;
ALTER TABLE fbs_router.request_record ENABLE ROW LEVEL SECURITY;
ALTER TABLE fbs_router.audit          ENABLE ROW LEVEL SECURITY;
CREATE POLICY solution ON fbs_document.document
    USING (company_id = (SELECT current_setting('fbs_router.company_id', true)));
CREATE POLICY solution ON fbs_router.fence
    USING (company_id = (SELECT current_setting('fbs_router.company_id', true)));
CREATE POLICY solution ON fbs_router.request_record
    USING (company_id = (SELECT current_setting('fbs_router.company_id', true)));
CREATE POLICY solution ON fbs_router.audit
    USING (company_id = (SELECT current_setting('fbs_router.company_id', true)));
