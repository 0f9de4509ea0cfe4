-- Version 4: the words of a document are found by one function whose plan a session keeps. Additive: compatible from 2.

-- The same words as before, of the same texts. In SQL each call planned this function and five more inside it anew, which
-- was a quarter of what a new document costs: the fence's trigger has the column computed at every change of a row, whatever
-- changes.
CREATE OR REPLACE FUNCTION fbs_document.search_words(
    company text, name text, title text, description text, tags text[], metadata jsonb
) RETURNS tsvector
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- The expression of `searchable` four times over: a call of it costs more than what it does.
    RETURN array_to_tsvector(ARRAY[chr(1) || company])
        || setweight(to_tsvector('pg_catalog.simple',
               regexp_replace((name || ' ' || title) COLLATE "C", '(\S{128})', '\1 ', 'g')), 'A')
        || setweight(to_tsvector('pg_catalog.simple',
               regexp_replace(array_to_string(tags, ' ') COLLATE "C", '(\S{128})', '\1 ', 'g')), 'B')
        || setweight(to_tsvector('pg_catalog.simple',
               regexp_replace(description COLLATE "C", '(\S{128})', '\1 ', 'g')), 'C')
        || setweight(to_tsvector('pg_catalog.simple',
               regexp_replace(coalesce(CASE WHEN metadata IS NOT NULL THEN fbs_document.metadata_text(metadata) END, '')
                   COLLATE "C", '(\S{128})', '\1 ', 'g')), 'D');
END
$$;
