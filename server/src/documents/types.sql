-- Rows that begin with whether the fence admits the call ($2 epoch, $3 database); then up to $5 types of solution $1 after
-- code $4.
SELECT gate.admitted, t.code, t.name, t.description, t.requires_approval, t.four_eyes, t.allowed_extensions,
       t.max_content_size_bytes
  FROM (SELECT fbs_router.admits($1, $2, $3) AS admitted) AS gate
  LEFT JOIN (
       SELECT * FROM fbs_document.document_type WHERE company_id = $1 AND code > $4
        ORDER BY code LIMIT $5) AS t ON gate.admitted
 ORDER BY t.code
