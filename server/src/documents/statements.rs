//! The statements, each declared once with its parameter types.
//!
//! Reads have `$1` solution, `$2` epoch, `$3` database uuid, and `admitted` as their first column in a row that is
//! always there; writes have `$1` solution. Both are bound by the session.

use tokio_postgres::types::Type;

use crate::postgres::Statement;

macro_rules! statement {
    ($name:ident, $file:literal, [$($type:ident),*]) => {
        pub(super) static $name: Statement =
            Statement { name: $file, sql: include_str!($file), types: &[$(Type::$type),*] };
    };
}

statement!(GET, "get.sql", [TEXT, INT8, UUID, UUID]);
statement!(LOCK_ROW, "lock_row.sql", [TEXT, UUID]);
statement!(READ_BACK, "read_back.sql", [TEXT, UUID]);
statement!(
    INSERT,
    "insert.sql",
    [TEXT, UUID, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT_ARRAY, INT2, JSONB, TIMESTAMPTZ, TEXT]
);
statement!(UPDATE, "update.sql", [TEXT, UUID, TEXT, TEXT, TEXT, TEXT, TEXT_ARRAY, INT2, JSONB, TIMESTAMPTZ]);
statement!(DELETE, "delete.sql", [TEXT, UUID, FLOAT8]);
statement!(UNDELETE, "undelete.sql", [TEXT, UUID]);
statement!(RECORD_REQUEST, "record_request.sql", [TEXT, TEXT, UUID, TEXT, BYTEA, UUID_ARRAY, FLOAT8]);
statement!(FIND_REQUEST, "find_request.sql", [TEXT, TEXT, UUID]);
statement!(AUDIT, "audit.sql", [TEXT, TEXT, TEXT, TEXT, UUID, UUID, INT8]);
statement!(PURGE_ONE, "purge_one.sql", [TEXT, UUID]);
statement!(PURGE_DOCUMENTS, "purge_documents.sql", [TEXT]);
statement!(PURGE_REQUESTS, "purge_requests.sql", [TEXT]);
