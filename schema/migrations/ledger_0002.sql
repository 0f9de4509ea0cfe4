-- Version 2 of the ledger: a server may be removed. Its row stays, because readers ask for what changed.
ALTER TABLE fbs_router.server ADD COLUMN remove_time timestamptz;
