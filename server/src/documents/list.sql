-- After the gate ($2 epoch, $3 database) and the columns of a document: a page of documents of solution $1.
-- Conditions are null where they do not apply: $4 deleted ones too, $5 states, $6 types, $7 category, $8 tags,
-- $9 confidentialities, $10 creator, $11 $12 created from and until, $13 expiring before, $14 metadata.
-- The operator of arrays is named with its schema: pg_catalog has it for any array only, so that one for text arrays
-- elsewhere would be taken instead.
-- list.rs adds the page's beginning ($15, $16), order and length ($17).
  FROM (SELECT fbs_router.admits($1, $2, $3) AS admitted) AS gate
  LEFT JOIN (
       SELECT d.* FROM fbs_document.document AS d
        WHERE d.company_id = $1
          AND (d.delete_time IS NULL OR $4 AND d.purge_time > now())
          AND ($5::smallint[] IS NULL OR d.state = ANY ($5))
          AND ($6::text[] IS NULL OR d.document_type = ANY ($6))
          AND ($7::text IS NULL OR d.category = $7 OR starts_with(d.category, $7 || '/'))
          AND ($8::text[] IS NULL OR d.tags OPERATOR(pg_catalog.@>) $8)
          AND ($9::smallint[] IS NULL OR d.confidentiality = ANY ($9))
          AND ($10::text IS NULL OR d.created_by = $10)
          AND ($11::timestamptz IS NULL OR d.create_time >= $11)
          AND ($12::timestamptz IS NULL OR d.create_time < $12)
          AND ($13::timestamptz IS NULL OR d.expire_time < $13)
          AND ($14::jsonb IS NULL OR d.metadata @> $14)
