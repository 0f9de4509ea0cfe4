-- After the gate ($2 epoch, $3 database) and the columns of a document, score and snippet: a page of the documents of
-- solution $1 that match text $4, best first. $5 to $14 are the conditions of list.sql, null where they do not apply; at
-- most $15 matches are ranked. The page begins after score $16 and id $17 and has at most $18 rows.
-- The matching ones are found by a function, and read here under the policies: see the schema. A snippet is made without
-- phrases, whose search in a long text takes gigabytes, and of the first $19 characters.
  FROM (SELECT fbs_router.admits($1, $2, $3) AS admitted,
               pg_catalog.websearch_to_tsquery('pg_catalog.simple', fbs_document.searchable($4)) AS query) AS gate
  LEFT JOIN LATERAL (
       SELECT best.*, pg_catalog.ts_headline('pg_catalog.simple',
              pg_catalog.left(fbs_document.searchable(pg_catalog.concat_ws(' · ', best.name, best.title,
                  nullif(best.description, ''), nullif(pg_catalog.array_to_string(best.tags, ' '), ''),
                  fbs_document.metadata_text(best.metadata))), $19),
              pg_catalog.regexp_replace(gate.query::text, '<[-0-9]+>', '&', 'g')::pg_catalog.tsquery,
              'StartSel=«, StopSel=», MaxFragments=2, MinWords=5, MaxWords=20, FragmentDelimiter=" … "') AS snippet
         FROM (SELECT d.*, pg_catalog.ts_rank_cd(d.search, gate.query, 1)::float8 AS score
                 FROM fbs_document.document AS d
                WHERE d.company_id = $1 AND d.document_id IN (
                      SELECT fbs_document.search_matches(gate.query, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15))
              ) AS best
        WHERE $16::float8 IS NULL OR best.score < $16 OR best.score = $16 AND best.document_id > $17
        ORDER BY best.score DESC, best.document_id LIMIT $18) AS page ON gate.admitted
 ORDER BY page.score DESC, page.document_id
