-- Adds to the history of document $2 of solution $1, whose row is locked: from state $3 to $4, by $5, comment $6.
INSERT INTO fbs_document.transition (company_id, document_id, number, from_state, to_state, actor, comment)
SELECT $1, $2, coalesce(max(t.number), 0) + 1, $3, $4, $5, $6
  FROM fbs_document.transition AS t WHERE t.company_id = $1 AND t.document_id = $2
