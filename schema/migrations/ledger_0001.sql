-- Version 1 of the ledger: where each (solution, app) lives. Only in the documents app's system database.

CREATE TABLE fbs_router.ledger (
    sole          boolean PRIMARY KEY DEFAULT true CHECK (sole),
    ledger_id     uuid NOT NULL DEFAULT gen_random_uuid(),
    -- The last change. A reader that has seen a number and uuid which ledger_change lacks has seen another future.
    change_number bigint NOT NULL DEFAULT 0,
    change_uuid   uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO fbs_router.ledger DEFAULT VALUES;

CREATE TABLE fbs_router.ledger_change (
    change_number bigint PRIMARY KEY,
    change_uuid   uuid NOT NULL,
    create_time   timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO fbs_router.ledger_change SELECT change_number, change_uuid FROM fbs_router.ledger;

CREATE TABLE fbs_router.server (
    server            text COLLATE "C" PRIMARY KEY CHECK (server <> ''),
    -- As text: unsigned 64 bits.
    system_identifier text COLLATE "C" NOT NULL CHECK (system_identifier ~ '^[0-9]{1,20}$'),
    change_number     bigint NOT NULL,
    update_time       timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE fbs_router.placement (
    company_id     text COLLATE "C" NOT NULL CHECK (company_id ~ '^[a-z0-9][a-z0-9_-]*$'),
    app            text COLLATE "C" NOT NULL CHECK (app <> ''),
    placement      text NOT NULL CHECK (placement IN ('DEDICATED', 'SYSTEM')),
    epoch          bigint NOT NULL CHECK (epoch >= 0),
    server         text COLLATE "C" REFERENCES fbs_router.server,
    database_name  text COLLATE "C" CHECK (octet_length(database_name) BETWEEN 1 AND 63),
    database_oid   oid,
    -- Null for apps whose tables are not ours: they have no identity row.
    database_uuid  uuid,
    -- The database given up by a release: never taken over again by itself.
    released_uuid  uuid,
    move_id        uuid,
    move_direction text CHECK (move_direction IN ('DEDICATED', 'SYSTEM')),
    change_number  bigint NOT NULL,
    update_time    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (company_id, app),
    CHECK ((placement = 'DEDICATED') = (server IS NOT NULL)),
    CHECK ((placement = 'DEDICATED') = (database_name IS NOT NULL)),
    CHECK ((placement = 'DEDICATED') = (database_oid IS NOT NULL)),
    CHECK (placement = 'DEDICATED' OR database_uuid IS NULL),
    CHECK ((move_id IS NULL) = (move_direction IS NULL))
);
-- One database, one solution: a uuid recorded for one pair is refused to another solution.
CREATE UNIQUE INDEX placement_database_uuid ON fbs_router.placement (database_uuid);
CREATE INDEX placement_change ON fbs_router.placement (change_number);

CREATE TABLE fbs_router.registration (
    company_id    text COLLATE "C" NOT NULL CHECK (company_id ~ '^[a-z0-9][a-z0-9_-]*$'),
    app           text COLLATE "C" NOT NULL CHECK (app <> ''),
    server        text COLLATE "C",
    database_name text COLLATE "C" CHECK (octet_length(database_name) BETWEEN 1 AND 63),
    isolation     text NOT NULL DEFAULT 'required' CHECK (isolation IN ('required', 'preferred')),
    change_number bigint NOT NULL,
    update_time   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (company_id, app)
);
CREATE UNIQUE INDEX registration_database ON fbs_router.registration (app, database_name);
CREATE INDEX registration_change ON fbs_router.registration (change_number);

-- Numbers each change in the order of commits (the row of the ledger is held until then) and wakes the routers.
-- A definer function is not needed: whoever may change the ledger may number the change.
CREATE FUNCTION fbs_router.number_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    change fbs_router.ledger;
BEGIN
    UPDATE fbs_router.ledger SET change_number = change_number + 1, change_uuid = gen_random_uuid()
        RETURNING * INTO STRICT change;
    INSERT INTO fbs_router.ledger_change (change_number, change_uuid) VALUES (change.change_number, change.change_uuid);
    NEW.change_number := change.change_number;
    NEW.update_time := clock_timestamp();
    PERFORM pg_notify('fbs_router_ledger', '');
    RETURN NEW;
END $$;
CREATE TRIGGER change BEFORE INSERT OR UPDATE ON fbs_router.server
    FOR EACH ROW EXECUTE FUNCTION fbs_router.number_change();
CREATE TRIGGER change BEFORE INSERT OR UPDATE ON fbs_router.placement
    FOR EACH ROW EXECUTE FUNCTION fbs_router.number_change();
CREATE TRIGGER change BEFORE INSERT OR UPDATE ON fbs_router.registration
    FOR EACH ROW EXECUTE FUNCTION fbs_router.number_change();

-- The placement of a pair only moves on.
CREATE FUNCTION fbs_router.check_placement() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.epoch < OLD.epoch OR (NEW.placement <> OLD.placement AND NEW.epoch = OLD.epoch) THEN
        RAISE EXCEPTION USING ERRCODE = 'FBS03', MESSAGE = 'the epoch of a placement only grows';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER epoch BEFORE UPDATE ON fbs_router.placement
    FOR EACH ROW EXECUTE FUNCTION fbs_router.check_placement();
