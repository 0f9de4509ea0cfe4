//! The statements, each declared once with its parameter types.
//!
//! Reads have `$1` solution, `$2` epoch, `$3` database uuid, and `admitted` as their first column in a row that is
//! always there; writes have `$1` solution. Both are bound by the session. A statement that answers documents is put
//! together with `columns.sql`, so that `row.rs` finds the same columns everywhere.

use tokio_postgres::types::Type;

use crate::postgres::Statement;

macro_rules! statement {
    ($name:ident, $file:literal, [$($type:ident),*]) => {
        statement!(@ $name, $file, include_str!($file), [$($type),*]);
    };
    // Reads documents.
    ($name:ident, SELECT $file:literal, [$($type:ident),*]) => {
        statement!(@ $name, $file, concat!("SELECT gate.admitted, ", include_str!("columns.sql"), include_str!($file)), [$($type),*]);
    };
    // Reads documents inside a transaction that writes, where the fence was asked before.
    ($name:ident, SELECT UNGATED $file:literal, [$($type:ident),*]) => {
        statement!(@ $name, $file, concat!("SELECT ", include_str!("columns.sql"), include_str!($file)), [$($type),*]);
    };
    // Reads documents, a score and a snippet.
    ($name:ident, SELECT SCORED $file:literal, [$($type:ident),*]) => {
        statement!(@ $name, $file, concat!("SELECT gate.admitted, ", include_str!("columns.sql"), ", score, snippet ", include_str!($file)), [$($type),*]);
    };
    // Changes documents and answers them.
    ($name:ident, $file:literal RETURNING, [$($type:ident),*]) => {
        statement!(@ $name, $file, concat!(include_str!($file), "RETURNING ", include_str!("columns.sql")), [$($type),*]);
    };
    (@ $name:ident, $file:literal, $sql:expr, [$($type:ident),*]) => {
        pub(super) static $name: Statement = Statement { name: $file, sql: $sql, types: &[$(Type::$type),*] };
    };
}

// === Documents ===

statement!(GET, SELECT "get.sql", [TEXT, INT8, UUID, UUID]);
statement!(GET_MANY, SELECT "get_many.sql", [TEXT, INT8, UUID, UUID_ARRAY]);
statement!(READ_BACK, SELECT UNGATED "read_back.sql", [TEXT, UUID_ARRAY]);
statement!(LOCK_ROW, "lock_row.sql", [TEXT, UUID]);
statement!(
    INSERT,
    "insert.sql" RETURNING,
    [TEXT, UUID, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT_ARRAY, INT2, JSONB, TIMESTAMPTZ, TEXT]
);
statement!(UPDATE, "update.sql" RETURNING, [TEXT, UUID, TEXT, TEXT, TEXT, TEXT, TEXT_ARRAY, INT2, JSONB, TIMESTAMPTZ]);
statement!(DELETE, "delete.sql" RETURNING, [TEXT, UUID, FLOAT8]);
statement!(UNDELETE, "undelete.sql" RETURNING, [TEXT, UUID]);

// === Workflow and types ===

statement!(STEP, "step.sql" RETURNING, [TEXT, UUID, INT2, TEXT]);
statement!(RECORD_TRANSITION, "record_transition.sql", [TEXT, UUID, INT2, INT2, TEXT, TEXT]);
statement!(TRANSITIONS, "transitions.sql", [TEXT, INT8, UUID, UUID, INT8, INT8]);
statement!(TYPE_RULES, "type_rules.sql", [TEXT, TEXT]);
statement!(PUT_TYPE, "put_type.sql", [TEXT, TEXT, TEXT, TEXT, BOOL, TEXT_ARRAY, INT8, BOOL]);
statement!(READ_TYPE, "read_type.sql", [TEXT, TEXT]);
statement!(TYPES, "types.sql", [TEXT, INT8, UUID, TEXT, INT8]);

// === Search and figures ===

statement!(
    SEARCH,
    SELECT SCORED "search.sql",
    [
        TEXT, INT8, UUID, TEXT, INT2_ARRAY, TEXT_ARRAY, TEXT, TEXT_ARRAY, INT2_ARRAY, TEXT, TIMESTAMPTZ, TIMESTAMPTZ,
        TIMESTAMPTZ, JSONB, INT4, FLOAT8, UUID, INT8, INT4
    ]
);
statement!(STATS, "stats.sql", [TEXT, INT8, UUID, INT8]);

// === Content ===

statement!(CONTENT_BEGIN, "content_begin.sql", [TEXT, UUID, UUID, FLOAT8]);
statement!(CONTENT_KEEP, "content_keep.sql", [TEXT, UUID, FLOAT8]);
statement!(CONTENT_APPEND, "content_append.sql", [TEXT, UUID, INT8, BYTEA]);
statement!(CONTENT_PUBLISH, "content_publish.sql", [TEXT, UUID, UUID]);
statement!(CONTENT_EXPIRE, "content_expire.sql", [TEXT, UUID]);
statement!(CONTENT_SET, "content_set.sql" RETURNING, [TEXT, UUID, UUID, TEXT, TEXT, INT8, BYTEA]);
statement!(CONTENT_GIVE_UP, "content_give_up.sql", [TEXT, UUID]);
statement!(CONTENT_REMOVE_PIECES, "content_remove_pieces.sql", [TEXT, UUID, INT8]);
statement!(CONTENT_REMOVE, "content_remove.sql", [TEXT, UUID]);
statement!(CONTENT_READ, "content_read.sql", [TEXT, INT8, UUID, UUID, INT8, INT8]);

// === What surrounds every write ===

statement!(RECORD_REQUEST, "record_request.sql", [TEXT, TEXT, UUID, TEXT, BYTEA, UUID_ARRAY, FLOAT8]);
statement!(FIND_REQUEST, "find_request.sql", [TEXT, TEXT, UUID]);
statement!(AUDIT, "audit.sql", [TEXT, TEXT, TEXT, TEXT, UUID, UUID, INT8]);
statement!(PURGE_ONE, "purge_one.sql", [TEXT, UUID]);
statement!(PURGE_DOCUMENTS, "purge_documents.sql", [TEXT]);
statement!(PURGE_CONTENTS, "purge_contents.sql", [TEXT]);
statement!(PURGE_REQUESTS, "purge_requests.sql", [TEXT]);
