-- Rows that begin with whether the fence admits the call ($2 epoch, $3 database) and whether document $4 of solution $1 is
-- there; then up to $6 steps of its history after number $5: number, from, to, actor, comment, time.
SELECT gate.admitted, gate.found, t.number, t.from_state, t.to_state, t.actor, t.comment, t.create_time
  FROM (SELECT fbs_router.admits($1, $2, $3) AS admitted,
               EXISTS (SELECT FROM fbs_document.document AS d
                        WHERE d.company_id = $1 AND d.document_id = $4 AND d.delete_time IS NULL) AS found) AS gate
  LEFT JOIN (
       SELECT * FROM fbs_document.transition
        WHERE company_id = $1 AND document_id = $4 AND number > $5
        ORDER BY number LIMIT $6) AS t ON gate.admitted AND gate.found
 ORDER BY t.number
