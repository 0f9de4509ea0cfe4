-- One row: whether the fence admits the call, then document $4 of solution $1, or nulls. Purged ones are gone.
SELECT gate.admitted, d.document_id, d.name, d.title, d.description, d.document_type, d.category, d.tags,
       d.confidentiality, d.metadata, d.expire_time, d.state, d.etag, d.created_by, d.approved_by,
       d.create_time, d.update_time, d.delete_time, d.purge_time
  FROM (SELECT fbs_router.admits($1, $2, $3) AS admitted) AS gate
  LEFT JOIN fbs_document.document AS d
    ON gate.admitted AND d.company_id = $1 AND d.document_id = $4
   AND (d.purge_time IS NULL OR d.purge_time > now())
