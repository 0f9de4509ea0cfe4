-- Rows of kind, key, count: each begins with whether the fence admits the call ($2 epoch, $3 database); figures of
-- the live documents of solution $1: by state, and the $4 most frequent types and first parts of categories, with `/`
-- for all others; last the totals of documents, of those of the last 30 days, and of bytes.
WITH gate AS MATERIALIZED (SELECT fbs_router.admits($1, $2, $3) AS admitted),
live AS MATERIALIZED (
     SELECT d.state, d.document_type, split_part(d.category, '/', 1) AS category,
            count(*) AS documents,
            count(*) FILTER (WHERE d.create_time > now() - interval '30 days') AS recent,
            coalesce(sum(d.content_size_bytes), 0)::bigint AS bytes
       FROM fbs_document.document AS d
      WHERE d.company_id = $1 AND d.delete_time IS NULL
      GROUP BY 1, 2, 3),
ranked AS (
     SELECT kind, key, documents, row_number() OVER (PARTITION BY kind ORDER BY documents DESC, key) AS place
       FROM (SELECT 'state', state::text, sum(documents)::bigint FROM live GROUP BY 2
             UNION ALL SELECT 'type', document_type, sum(documents)::bigint FROM live GROUP BY 2
             UNION ALL SELECT 'category', category, sum(documents)::bigint FROM live GROUP BY 2)
              AS counted (kind, key, documents))
SELECT admitted, 'gate', '', 0::bigint FROM gate
UNION ALL
SELECT (SELECT admitted FROM gate), kind, CASE WHEN place <= $4 THEN key ELSE '/' END, sum(documents)::bigint FROM ranked GROUP BY 2, 3
UNION ALL
SELECT (SELECT admitted FROM gate), total.kind, '', total.value
  FROM (SELECT sum(documents)::bigint AS documents, sum(recent)::bigint AS recent, sum(bytes)::bigint AS bytes FROM live) AS l,
       LATERAL (VALUES ('documents', l.documents), ('recent', l.recent), ('bytes', l.bytes)) AS total (kind, value)
