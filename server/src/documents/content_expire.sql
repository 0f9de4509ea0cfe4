-- The content of document $2 of solution $1 may be removed: another one takes its place.
UPDATE fbs_document.content AS c SET expire_time = now()
  FROM fbs_document.document AS d
 WHERE d.company_id = $1 AND d.document_id = $2 AND c.company_id = $1 AND c.content_id = d.content_id
