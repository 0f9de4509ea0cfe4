-- After the gate and the columns of a document: document $4 of solution $1, or nulls. Purged ones are gone.
-- What fbs_router.admits asks, in line: this is what is called most, and calling the function costs as much as the rest.
  FROM (SELECT EXISTS (SELECT FROM fbs_router.fence AS f
                        WHERE f.company_id = $1 AND f.state = 'ACTIVE' AND f.epoch = $2 AND f.database_uuid = $3)
            OR ($2 = 0 AND NOT EXISTS (SELECT FROM fbs_router.fence AS f WHERE f.company_id = $1)
                AND EXISTS (SELECT FROM fbs_router.identity AS i
                             WHERE i.kind = 'system' AND i.database_uuid = $3)) AS admitted) AS gate
  LEFT JOIN fbs_document.document AS d
    ON gate.admitted AND d.company_id = $1 AND d.document_id = $4
   AND (d.purge_time IS NULL OR d.purge_time > statement_timestamp())
