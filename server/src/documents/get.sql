-- After the gate and the columns of a document: document $4 of solution $1, or nulls. Purged ones are gone.
  FROM (SELECT fbs_router.admits($1, $2, $3) AS admitted) AS gate
  LEFT JOIN fbs_document.document AS d
    ON gate.admitted AND d.company_id = $1 AND d.document_id = $4
   AND (d.purge_time IS NULL OR d.purge_time > statement_timestamp())
