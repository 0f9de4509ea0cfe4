-- True if this is database $3 and serves solution $1 at epoch $2. After the lock, as a statement of its own.
SELECT fbs_router.admits($1, $2, $3)
