//! Reading a page of documents: keyset paging over the index of the order.
//!
//! One statement an order, direction, and first or later page, so that the last page costs what the first one does.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_postgres::types::{ToSql, Type};

use super::{conditions::Conditions, row};
use crate::{
    domain::{
        Error, Result,
        document::{Cursor, CursorKey, Document, Order, OrderKey, PageRequest},
    },
    postgres::Statement,
    routing::Session,
};

/// One page, and whether there is more.
#[derive(Debug)]
pub struct Page {
    /// In order.
    pub documents: Vec<Document>,
    /// There is at least one more after them.
    pub more: bool,
}

macro_rules! page_statement {
    ($name:ident, $key:literal, $key_type:ident, $direction:literal, $comparison:literal) => {
        static $name: [Statement; 2] = [
            Statement {
                name: concat!("list.sql by ", $key, $direction),
                sql: concat!(
                    "SELECT gate.admitted, ",
                    include_str!("columns.sql"),
                    include_str!("list.sql"),
                    // The types of the cursor's parameters stand, so that both statements take the same.
                    " AND ($15::",
                    stringify!($key_type),
                    " IS NULL AND $16::uuid IS NULL)",
                    " ORDER BY d.",
                    $key,
                    $direction,
                    ", d.document_id",
                    $direction,
                    " LIMIT $17) AS page ON gate.admitted",
                    " ORDER BY page.",
                    $key,
                    $direction,
                    ", page.document_id",
                    $direction
                ),
        types: TYPES[page_statement!(@types $key_type)],
            },
            Statement {
                name: concat!("list.sql by ", $key, $direction, ", later pages"),
                sql: concat!(
                    "SELECT gate.admitted, ",
                    include_str!("columns.sql"),
                    include_str!("list.sql"),
                    " AND (d.",
                    $key,
                    ", d.document_id) ",
                    $comparison,
                    " ($15, $16)",
                    " ORDER BY d.",
                    $key,
                    $direction,
                    ", d.document_id",
                    $direction,
                    " LIMIT $17) AS page ON gate.admitted",
                    " ORDER BY page.",
                    $key,
                    $direction,
                    ", page.document_id",
                    $direction
                ),
        types: TYPES[page_statement!(@types $key_type)],
            },
        ];
    };
    (@types timestamptz) => {
        0
    };
    (@types text) => {
        1
    };
}

macro_rules! types {
    ($key:ident) => {
        &[
            Type::TEXT,
            Type::INT8,
            Type::UUID,
            Type::BOOL,
            Type::INT2_ARRAY,
            Type::TEXT_ARRAY,
            Type::TEXT,
            Type::TEXT_ARRAY,
            Type::INT2_ARRAY,
            Type::TEXT,
            Type::TIMESTAMPTZ,
            Type::TIMESTAMPTZ,
            Type::TIMESTAMPTZ,
            Type::JSONB,
            Type::$key,
            Type::UUID,
            Type::INT8,
        ]
    };
}
static TYPES: [&[Type]; 2] = [types!(TIMESTAMPTZ), types!(TEXT)];

page_statement!(CREATE_TIME_ASC, "create_time", timestamptz, "", ">");
page_statement!(CREATE_TIME_DESC, "create_time", timestamptz, " DESC", "<");
page_statement!(UPDATE_TIME_ASC, "update_time", timestamptz, "", ">");
page_statement!(UPDATE_TIME_DESC, "update_time", timestamptz, " DESC", "<");
page_statement!(NAME_ASC, "name", text, "", ">");
page_statement!(NAME_DESC, "name", text, " DESC", "<");
page_statement!(TITLE_ASC, "title", text, "", ">");
page_statement!(TITLE_DESC, "title", text, " DESC", "<");

/// Reads one page.
pub async fn list(session: &mut Session, request: &PageRequest) -> Result<Page> {
    let (time, text) = match request.after.as_ref().map(|cursor| &cursor.key) {
        Some(CursorKey::Number(microseconds)) => (Some(from_microseconds(*microseconds)), None),
        Some(CursorKey::Text(text)) => (None, Some(text)),
        Some(CursorKey::Score(_)) | None => (None, None),
    };
    let key: &(dyn ToSql + Sync) = if is_time(request.order.key) { &time } else { &text };
    let after = request.after.as_ref().map(|cursor| cursor.id);
    let wanted = i64::try_from(request.size + 1).unwrap_or(i64::MAX);
    let conditions = Conditions::new(&request.filter);
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&request.show_deleted];
    parameters.extend(conditions.parameters());
    parameters.extend([key, &after, &wanted]);
    let rows = session.read(statement(request.order, request.after.is_some()), &parameters).await?;
    let mut documents = Vec::with_capacity(rows.len());
    // The gate's row is there also when the page is empty.
    for row in rows.iter().filter(|row| row.get::<_, Option<uuid::Uuid>>(1).is_some()) {
        documents.push(row::document(row, 1)?);
    }
    let more = documents.len() > request.size;
    documents.truncate(request.size);
    Ok(Page { documents, more })
}

/// Where the page after `document` begins.
pub fn cursor(document: &Document, order: Order) -> Result<Cursor> {
    let key = match order.key {
        OrderKey::CreateTime => CursorKey::Number(microseconds(document.create_time)?),
        OrderKey::UpdateTime => CursorKey::Number(microseconds(document.update_time)?),
        OrderKey::Name => CursorKey::Text(document.draft.name.clone()),
        OrderKey::Title => CursorKey::Text(document.draft.title.clone()),
    };
    Ok(Cursor { key, id: document.document_id })
}

fn statement(order: Order, later: bool) -> &'static Statement {
    let pair = match (order.key, order.descending) {
        (OrderKey::CreateTime, false) => &CREATE_TIME_ASC,
        (OrderKey::CreateTime, true) => &CREATE_TIME_DESC,
        (OrderKey::UpdateTime, false) => &UPDATE_TIME_ASC,
        (OrderKey::UpdateTime, true) => &UPDATE_TIME_DESC,
        (OrderKey::Name, false) => &NAME_ASC,
        (OrderKey::Name, true) => &NAME_DESC,
        (OrderKey::Title, false) => &TITLE_ASC,
        (OrderKey::Title, true) => &TITLE_DESC,
    };
    &pair[usize::from(later)]
}

fn is_time(key: OrderKey) -> bool {
    match key {
        OrderKey::CreateTime | OrderKey::UpdateTime => true,
        OrderKey::Name | OrderKey::Title => false,
    }
}

/// Stored times have whole microseconds, so nothing is lost.
fn microseconds(time: SystemTime) -> Result<i64> {
    let count = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()),
        Err(before) => i64::try_from(before.duration().as_micros()).map(|count| -count),
    };
    count.map_err(|_| Error::internal("a stored time beyond all bounds"))
}

fn from_microseconds(count: i64) -> SystemTime {
    let distance = Duration::from_micros(count.unsigned_abs());
    if count < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}
