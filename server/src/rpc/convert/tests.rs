//! The rules of requests, as tables, and that nothing a caller sends makes a panic.

mod arbitrary;
mod content;
mod documents;
mod lists;
mod requests;
mod workflow;

use fbs_router_proto::document::v1 as proto;

use super::*;
use crate::domain::naming::{App, Pattern};

const ID: &str = "0190a5d2-7c3b-7def-8123-456789abcdef";

/// The apps of tests.
pub(in crate::rpc) fn naming() -> Naming {
    let app = |name: &str, pattern: &str| App {
        name: name.into(),
        pattern: Pattern::parse(pattern),
        system_database: Some("fbs_system_db".into()),
        server: "main".into(),
        ready_table: None,
        own_role: None,
    };
    let apps = vec![app("fbs_dms", "djo_{solution}_db"), app("odoo", "fbs_{solution}_db")];
    Naming::new(apps, "fbs_dms", []).unwrap()
}

fn document() -> proto::Document {
    proto::Document { name: "INV-1".to_owned(), title: "Invoice".to_owned(), ..Default::default() }
}

fn create_request(document: proto::Document) -> proto::CreateDocumentRequest {
    proto::CreateDocumentRequest { solution: "acme".to_owned(), document: Some(document), ..Default::default() }
}

fn list_request() -> proto::ListDocumentsRequest {
    proto::ListDocumentsRequest { solution: "acme".to_owned(), ..Default::default() }
}

fn update_request(paths: &[&str], document: proto::Document) -> proto::UpdateDocumentRequest {
    proto::UpdateDocumentRequest {
        solution: "acme".to_owned(),
        document_id: ID.to_owned(),
        document: Some(document),
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
        ..Default::default()
    }
}

/// The kind of an error and the paths it lists.
fn told<T: std::fmt::Debug>(result: Result<T>) -> (&'static str, Vec<String>) {
    let (kind, violations) = match result {
        Err(Error::SolutionInvalid(violations)) => ("SOLUTION_INVALID", violations),
        Err(Error::SolutionReserved(violations)) => ("SOLUTION_RESERVED", violations),
        Err(Error::FieldInvalid(violations)) => ("FIELD_INVALID", violations),
        Err(Error::FilterInvalid(violations)) => ("FILTER_INVALID", violations),
        Err(Error::UpdateMaskInvalid(violations)) => ("UPDATE_MASK_INVALID", violations),
        other => panic!("{other:?}"),
    };
    (kind, violations.into_iter().map(|violation| violation.field).collect())
}

/// True if the document is taken; otherwise the one wrong field must be `field`.
fn is_taken(field: &str, change: impl FnOnce(&mut proto::Document)) -> bool {
    let mut document = document();
    change(&mut document);
    match create(create_request(document), &naming()) {
        Ok(_) => true,
        refused => {
            let (kind, fields) = told(refused);
            assert_eq!(kind, "FIELD_INVALID");
            assert!(fields.iter().all(|path| path.starts_with(&format!("document.{field}"))), "{fields:?}");
            false
        }
    }
}
