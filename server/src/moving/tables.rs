//! Every table that holds a solution's rows, in the order in which they may be copied.
//!
//! Columns are named one by one, so that none is copied by accident or left out unnoticed: a test compares them with the
//! catalog of a real database, and a schema newer than this build is not moved by it.

use tokio_postgres::types::Type;

use crate::postgres::Statement;

/// One table.
#[derive(Debug)]
pub(super) struct Table {
    /// For logs.
    pub(super) name: &'static str,
    /// Places of the key behind the solution among the columns.
    pub(super) key: &'static [usize],
    /// The first rows in order of the key. `$2`: how many.
    pub(super) first: Statement,
    /// The rows behind a key. `$2`: how many; `$3`…: the key.
    pub(super) next: Statement,
    /// One row. `$1`…: its columns.
    pub(super) insert: Statement,
    /// Removes some rows. `$2`: how many. None: they go with the rows that they belong to.
    pub(super) clear: Option<Statement>,
    /// How many rows.
    pub(super) count: Statement,
    /// How many rows, and a sum over what is in them.
    pub(super) sum: Statement,
    /// Rows in one flight: they are held in memory.
    pub(super) rows: i64,
}

/// Name, columns, key and its places, parameters for key and for all columns, what is summed up, rows in a flight. Types of
/// columns are left to Postgres.
macro_rules! table {
    (
        $name:literal, $columns:literal, $key:literal at $places:expr, $after:literal, $values:literal,
        clear $clear:literal, rows $rows:literal
    ) => {
        Table {
            name: $name,
            key: &$places,
            first: statement(
                concat!("SELECT ", $columns, " FROM ", $name, " WHERE company_id = $1 ORDER BY ", $key, " LIMIT $2"),
                SOME,
            ),
            next: statement(
                concat!(
                    "SELECT ",
                    $columns,
                    " FROM ",
                    $name,
                    " WHERE company_id = $1 AND (",
                    $key,
                    ") > (",
                    $after,
                    ") ORDER BY ",
                    $key,
                    " LIMIT $2"
                ),
                SOME,
            ),
            insert: statement(concat!("INSERT INTO ", $name, " (", $columns, ") VALUES (", $values, ")"), &[]),
            clear: if $clear {
                Some(statement(
                    concat!(
                        "DELETE FROM ",
                        $name,
                        " WHERE company_id = $1 AND (",
                        $key,
                        ") IN (SELECT ",
                        $key,
                        " FROM ",
                        $name,
                        " WHERE company_id = $1 ORDER BY ",
                        $key,
                        " LIMIT $2) RETURNING 1"
                    ),
                    SOME,
                ))
            } else {
                None
            },
            count: statement(concat!("SELECT count(*) FROM ", $name, " WHERE company_id = $1"), ALL),
            // The first 64 bits of a digest of every row, added up: the order does not matter.
            sum: statement(
                concat!(
                    "SELECT count(*), coalesce(sum(('x' || left(md5(ROW(",
                    $columns,
                    ")::text), 16))::bit(64)::bigint::numeric), 0)::text FROM ",
                    $name,
                    " WHERE company_id = $1"
                ),
                ALL,
            ),
            rows: $rows,
        }
    };
}

const fn statement(sql: &'static str, types: &'static [Type]) -> Statement {
    Statement { name: "move", sql, types }
}

/// The solution.
const ALL: &[Type] = &[Type::TEXT];
/// The solution, and how many rows. A key behind them is left to Postgres.
const SOME: &[Type] = &[Type::TEXT, Type::INT8];

/// What others refer to comes first; it is removed in the opposite order.
pub(super) static TABLES: [Table; 6] = [
    table!(
        "fbs_document.document_type",
        "company_id, code, name, description, requires_approval, allowed_extensions, max_content_size_bytes, four_eyes",
        "code" at [1], "$3",
        "$1, $2, $3, $4, $5, $6, $7, $8",
        clear true, rows 500
    ),
    table!(
        "fbs_document.document",
        "company_id, document_id, name, title, description, document_type, category, tags, confidentiality, metadata, \
         expire_time, state, etag, created_by, approved_by, create_time, update_time, delete_time, purge_time, \
         content_id, content_filename, content_media_type, content_size_bytes, content_sha256, content_generation",
        "document_id" at [1], "$3",
        "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25",
        clear true, rows 200
    ),
    table!(
        "fbs_document.transition",
        "company_id, document_id, number, from_state, to_state, actor, comment, create_time",
        "document_id, number" at [1, 2], "$3, $4",
        "$1, $2, $3, $4, $5, $6, $7, $8",
        clear false, rows 500
    ),
    table!(
        "fbs_document.content",
        "company_id, content_id, document_id, expire_time",
        "content_id" at [1], "$3",
        "$1, $2, $3, $4",
        clear true, rows 500
    ),
    table!(
        "fbs_document.content_chunk",
        "company_id, content_id, first_byte, bytes",
        "content_id, first_byte" at [1, 2], "$3, $4",
        "$1, $2, $3, $4",
        clear true, rows 8
    ),
    table!(
        "fbs_router.request_record",
        "company_id, principal, request_id, method, digest, document_ids, create_time, expire_time",
        "principal, request_id" at [1, 2], "$3, $4",
        "$1, $2, $3, $4, $5, $6, $7, $8",
        clear true, rows 500
    ),
];
