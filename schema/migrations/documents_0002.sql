-- Version 2: workflow history, document types, content, full-text search.
-- Compatible from 2 only: version 1 does not count the new rows when it decides whether a solution may be taken over, and would
-- leave them behind. So this one step is not "schema first, then routers": both change at once.

-- Rules for documents of one kind. A code nobody defined follows the default.
CREATE TABLE fbs_document.document_type (
    company_id             text COLLATE "C" NOT NULL,
    code                   text COLLATE "C" NOT NULL,
    name                   text COLLATE "C" NOT NULL,
    description            text COLLATE "C" NOT NULL,
    requires_approval      boolean NOT NULL,
    allowed_extensions     text[] COLLATE "C" NOT NULL,
    max_content_size_bytes bigint NOT NULL CHECK (max_content_size_bytes >= 0),
    four_eyes              boolean NOT NULL,
    PRIMARY KEY (company_id, code)
);

-- The steps of each document through the workflow, numbered under the lock of its row.
CREATE TABLE fbs_document.transition (
    company_id  text COLLATE "C" NOT NULL,
    document_id uuid NOT NULL,
    number      bigint NOT NULL CHECK (number > 0),
    from_state  smallint NOT NULL CHECK (from_state BETWEEN 1 AND 5),
    to_state    smallint NOT NULL CHECK (to_state BETWEEN 1 AND 5),
    actor       text COLLATE "C" NOT NULL,
    comment     text COLLATE "C" NOT NULL,
    -- Not now(): that is the beginning of a transaction, which may have waited for the one before.
    create_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (company_id, document_id, number),
    FOREIGN KEY (company_id, document_id) REFERENCES fbs_document.document ON DELETE CASCADE
);

-- One upload. It is a document's content while the document names it; anything else expires and is removed in passing.
CREATE TABLE fbs_document.content (
    company_id  text COLLATE "C" NOT NULL,
    content_id  uuid NOT NULL,
    document_id uuid NOT NULL,
    -- Null while a document names it.
    expire_time timestamptz,
    PRIMARY KEY (company_id, content_id)
);
CREATE INDEX content_expiry ON fbs_document.content (company_id, expire_time) WHERE expire_time IS NOT NULL;

-- Its bytes in pieces, without gaps. No cascade: a gigabyte is removed over many transactions.
CREATE TABLE fbs_document.content_chunk (
    company_id text COLLATE "C" NOT NULL,
    content_id uuid NOT NULL,
    first_byte bigint NOT NULL CHECK (first_byte >= 0),
    bytes      bytea NOT NULL CHECK (length(bytes) > 0),
    PRIMARY KEY (company_id, content_id, first_byte),
    FOREIGN KEY (company_id, content_id) REFERENCES fbs_document.content
);
-- Most files are compressed already.
ALTER TABLE fbs_document.content_chunk ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- Text for the parser of words, queries included: runs without a blank are broken after 128 characters, because the parser
-- looks ahead from each of some characters (`a_a_a_…`) to the end of the run, which takes minutes for 64 KiB.
CREATE FUNCTION fbs_document.searchable(written text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT regexp_replace(written COLLATE "C", '(\S{128})', '\1 ', 'g')
$$;

-- The texts and numbers of metadata, however deep, without their keys.
CREATE FUNCTION fbs_document.metadata_text(metadata jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(value #>> '{}', ' ')
      FROM jsonb_path_query(metadata, 'strict $.** ? (@.type() == "string" || @.type() == "number")') AS value
$$;

-- What full-text search looks at, the most telling first: A name and title, B tags, C description, D metadata. `simple`
-- folds case as the database's locale does, and knows no language, so no word is lost and every language is treated alike. The solution is a word
-- too, so that the index, which cannot begin with a column, is bound to the solution all the same; no text yields it,
-- because control characters separate words.
CREATE FUNCTION fbs_document.search_words(
    company text, name text, title text, description text, tags text[], metadata jsonb
) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT array_to_tsvector(ARRAY[chr(1) || company])
        || setweight(to_tsvector('pg_catalog.simple', fbs_document.searchable(name || ' ' || title)), 'A')
        || setweight(to_tsvector('pg_catalog.simple', fbs_document.searchable(array_to_string(tags, ' '))), 'B')
        || setweight(to_tsvector('pg_catalog.simple', fbs_document.searchable(description)), 'C')
        || setweight(to_tsvector('pg_catalog.simple', fbs_document.searchable(coalesce(
               fbs_document.metadata_text(metadata), ''))), 'D')
$$;

ALTER TABLE fbs_document.document
    ADD COLUMN content_id         uuid,
    ADD COLUMN content_filename   text COLLATE "C",
    ADD COLUMN content_media_type text COLLATE "C",
    ADD COLUMN content_size_bytes bigint CHECK (content_size_bytes >= 0),
    ADD COLUMN content_sha256     bytea CHECK (length(content_sha256) = 32),
    -- How many contents the document has had.
    ADD COLUMN content_generation bigint NOT NULL DEFAULT 0 CHECK (content_generation >= 0),
    ADD COLUMN search             tsvector NOT NULL GENERATED ALWAYS AS (
        fbs_document.search_words(company_id, name, title, description, tags, metadata)) STORED,
    ADD CHECK (num_nulls(content_id, content_filename, content_media_type, content_size_bytes, content_sha256) IN (0, 5)),
    ADD CHECK (content_id IS NULL OR content_generation > 0);
-- Without a list of pending entries, which every search would read through.
CREATE INDEX document_search ON fbs_document.document USING gin (search) WITH (fastupdate = off);

-- Ids of the session's solution's documents that match, and meet conditions that are null where they do not apply: of
-- more than `most` the newest.
-- Runs as its owner, because @@ is not leakproof: under row-level security it may look only at rows that a policy has let
-- through, so no index could be used. It takes no solution from its caller but the session's, and returns ids alone:
-- the rows are read under the policies by whoever called it.
CREATE FUNCTION fbs_document.search_matches(
    query tsquery, states smallint[], document_types text[], below text, all_tags text[], confidentialities smallint[],
    creator text, created_from timestamptz, created_until timestamptz, expires_before timestamptz, contains jsonb,
    most integer
) RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    -- A condition that does not apply is to cost nothing.
    SET plan_cache_mode = force_custom_plan
    -- Changed in it, and as before after it.
    SET enable_seqscan = on SET enable_indexscan = on AS $$
DECLARE
    company text COLLATE "C" := current_setting('fbs_router.company_id', true);
    matches uuid[];
    asked   tsquery := query && ('''' || chr(1) || company || '''')::tsquery;
BEGIN
    -- Words that are none leave an empty query, which would match everything.
    IF numnode(query) = 0 THEN
        RETURN;
    END IF;
    -- First through the index of words alone, as many as asked for and one: the planner knows how many documents have a
    -- word, and not how many of this solution. Only if there are more is the order worth walking through, newest first.
    FOR step IN 1..2 LOOP
        PERFORM set_config('enable_seqscan', CASE step WHEN 1 THEN 'off' ELSE 'on' END, true),
                set_config('enable_indexscan', CASE step WHEN 1 THEN 'off' ELSE 'on' END, true);
        matches := ARRAY(
            SELECT d.document_id FROM fbs_document.document AS d
             WHERE d.company_id = company
               AND d.search @@ asked
               AND d.delete_time IS NULL
               AND (states IS NULL OR d.state = ANY (states))
               AND (document_types IS NULL OR d.document_type = ANY (document_types))
               AND (below IS NULL OR d.category = below OR starts_with(d.category, below || '/'))
               AND (all_tags IS NULL OR d.tags @> all_tags)
               AND (confidentialities IS NULL OR d.confidentiality = ANY (confidentialities))
               AND (creator IS NULL OR d.created_by = creator)
               AND (created_from IS NULL OR d.create_time >= created_from)
               AND (created_until IS NULL OR d.create_time < created_until)
               AND (expires_before IS NULL OR d.expire_time < expires_before)
               AND (contains IS NULL OR d.metadata @> contains)
             ORDER BY CASE WHEN step = 2 THEN d.create_time END DESC
             LIMIT CASE step WHEN 1 THEN most + 1 ELSE most END);
        EXIT WHEN cardinality(matches) <= most;
    END LOOP;
    RETURN QUERY SELECT unnest(matches);
END $$;
REVOKE EXECUTE ON FUNCTION fbs_document.search_matches FROM PUBLIC;

-- True if any row of the solution lies here, deleted and expired ones included: then it is not taken over.
CREATE FUNCTION fbs_router.holds_rows(company text) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN EXISTS (SELECT FROM fbs_document.document AS t WHERE t.company_id = company)
        OR EXISTS (SELECT FROM fbs_document.document_type AS t WHERE t.company_id = company)
        OR EXISTS (SELECT FROM fbs_document.content AS t WHERE t.company_id = company)
        OR EXISTS (SELECT FROM fbs_router.request_record AS t WHERE t.company_id = company);
END $$;

CREATE TRIGGER fence BEFORE INSERT OR UPDATE OR DELETE ON fbs_document.document_type
    FOR EACH ROW EXECUTE FUNCTION fbs_router.enforce_fence();
CREATE TRIGGER fence BEFORE INSERT OR UPDATE OR DELETE ON fbs_document.transition
    FOR EACH ROW EXECUTE FUNCTION fbs_router.enforce_fence();
CREATE TRIGGER fence BEFORE INSERT OR UPDATE OR DELETE ON fbs_document.content
    FOR EACH ROW EXECUTE FUNCTION fbs_router.enforce_fence();
CREATE TRIGGER fence BEFORE INSERT OR UPDATE OR DELETE ON fbs_document.content_chunk
    FOR EACH ROW EXECUTE FUNCTION fbs_router.enforce_fence();

ALTER TABLE fbs_document.document_type ENABLE ROW LEVEL SECURITY;
ALTER TABLE fbs_document.transition    ENABLE ROW LEVEL SECURITY;
ALTER TABLE fbs_document.content       ENABLE ROW LEVEL SECURITY;
ALTER TABLE fbs_document.content_chunk ENABLE ROW LEVEL SECURITY;
CREATE POLICY solution ON fbs_document.document_type
    USING (company_id = (SELECT current_setting('fbs_router.company_id', true)));
CREATE POLICY solution ON fbs_document.transition
    USING (company_id = (SELECT current_setting('fbs_router.company_id', true)));
CREATE POLICY solution ON fbs_document.content
    USING (company_id = (SELECT current_setting('fbs_router.company_id', true)));
CREATE POLICY solution ON fbs_document.content_chunk
    USING (company_id = (SELECT current_setting('fbs_router.company_id', true)));
