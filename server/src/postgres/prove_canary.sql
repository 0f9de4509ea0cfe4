-- The row of a company that no solution can be, which nobody sees who has not named it: like the rows of prove_tables.sql.
SELECT 'fbs_document.canary: another company''s row is visible', 'what else is said of this database, or of the role', false
  FROM fbs_document.canary
