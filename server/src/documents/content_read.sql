-- Rows that begin with whether the fence admits the call ($2 epoch, $3 database); then up to $6 pieces of content $4 of
-- solution $1, the first of which holds byte $5: first byte, bytes.
SELECT gate.admitted, piece.first_byte, piece.bytes
  FROM (SELECT fbs_router.admits($1, $2, $3) AS admitted) AS gate
  LEFT JOIN (
       SELECT first_byte, bytes FROM fbs_document.content_chunk
        WHERE company_id = $1 AND content_id = $4
          AND first_byte >= (SELECT max(k.first_byte) FROM fbs_document.content_chunk AS k
                              WHERE k.company_id = $1 AND k.content_id = $4 AND k.first_byte <= $5)
        ORDER BY first_byte LIMIT $6) AS piece ON gate.admitted
 ORDER BY piece.first_byte
