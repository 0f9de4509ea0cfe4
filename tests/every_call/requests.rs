//! A valid request of each RPC, and what has to be there for it: the list of them all.

use fbs_router_proto::{
    document::v1::{
        BatchCreateDocumentsRequest, BatchGetDocumentsRequest, CreateDocumentRequest, DeleteDocumentRequest, Document,
        DocumentType, GetDocumentStatsRequest, ListDocumentTransitionsRequest, ListDocumentTypesRequest,
        SearchDocumentsRequest, UndeleteDocumentRequest, UploadContentRequest,
    },
    router::v1::{
        BatchResolveDatabasesRequest, ExplainRouteRequest, ListDatabasesRequest, ListSolutionsRequest,
        ResolveDatabaseRequest,
    },
};
use prost::{Message, bytes::Bytes};

use super::scene::Scene;
use crate::support::{
    asking::{
        approval, archival, creation, definition, deletion, page, rejection, request_id, retitle, submission,
        undeletion,
    },
    draft,
    methods::{methods, path},
    transfers::{declared, frames as frames_of, header, noise, wanted},
};

/// The content that is uploaded and downloaded: small, in few messages.
const CONTENT: usize = 300;

/// A call that is ready to be made.
pub(super) struct Prepared {
    pub(super) path: String,
    pub(super) frames: Vec<Bytes>,
    pub(super) write: Option<Write>,
}

/// What a call that writes leaves behind, if it does.
pub(super) struct Write {
    pub(super) method: String,
    /// Empty, where the call is not safe to repeat.
    pub(super) request_id: String,
    /// A number of things done, as SQL.
    pub(super) effect: String,
    /// How many are done by one call; each leaves an audit row.
    pub(super) times: i64,
    /// Audit rows of the method that were there before.
    pub(super) audits_before: i64,
}

/// The methods of the services for callers. What operators do changes the ledger and moves data: `commands` has it.
pub(super) fn names() -> Vec<String> {
    let of_callers = |method: &prost_reflect::MethodDescriptor| method.parent_service().name() != "AdminService";
    methods().into_iter().filter(of_callers).map(|method| method.name().to_owned()).collect()
}

/// A request of that method about `solution`, whose documents it may need are made first. Fails for a method that nobody
/// has written a request for.
pub(super) async fn prepare(scene: &Scene, method: &str, solution: &str, name: &str, safe: bool) -> Prepared {
    let request_id = if safe { request_id() } else { String::new() };
    let id = request_id.clone();
    let solution_ = || solution.to_owned();
    let make = async || scene.make(solution, name).await;
    let submit = async |document: &Document| scene.submit(solution, &document.document_id).await;
    let count = |table: &str, condition: &str| {
        format!("(SELECT count(*) FROM fbs_document.{table} WHERE company_id = '{solution}' AND {condition})")
    };
    let document = |document: &Document, condition: &str| {
        count("document", &format!("document_id = '{}' AND {condition}", document.document_id))
    };
    let about = ResolveDatabaseRequest { solution: solution_(), ..Default::default() };
    let read = |request: Vec<u8>| (vec![Bytes::from(request)], None);
    let write = |request: Vec<u8>, effect: String, times: i64| (vec![Bytes::from(request)], Some((effect, times)));
    let (frames, effect) = match method {
        "CreateDocument" => {
            let request = CreateDocumentRequest { request_id: id, ..creation(solution, draft(name)) };
            write(request.encode_to_vec(), count("document", &format!("name = '{name}'")), 1)
        }
        "UpdateDocument" => {
            let made = make().await;
            let mut request = retitle(solution, &made.document_id, "changed");
            request.request_id = id;
            write(request.encode_to_vec(), document(&made, "title = 'changed'"), 1)
        }
        "DeleteDocument" => {
            let made = make().await;
            let request = DeleteDocumentRequest { request_id: id, ..deletion(solution, &made.document_id) };
            write(request.encode_to_vec(), document(&made, "delete_time IS NOT NULL"), 1)
        }
        "UndeleteDocument" => {
            let made = make().await;
            scene.documents().delete_document(deletion(solution, &made.document_id)).await.unwrap();
            let request = UndeleteDocumentRequest { request_id: id, ..undeletion(solution, &made.document_id) };
            write(request.encode_to_vec(), document(&made, "delete_time IS NULL"), 1)
        }
        "SubmitDocument" => {
            let made = make().await;
            let mut request = submission(solution, &made.document_id);
            request.request_id = id;
            write(request.encode_to_vec(), document(&made, "state = 2"), 1)
        }
        "ApproveDocument" => {
            let submitted = submit(&make().await).await;
            let mut request = approval(&submitted, "boss");
            request.request_id = id;
            write(request.encode_to_vec(), document(&submitted, "state = 3"), 1)
        }
        "RejectDocument" => {
            let submitted = submit(&make().await).await;
            let mut request = rejection(&submitted, "no");
            request.request_id = id;
            write(request.encode_to_vec(), document(&submitted, "state = 4"), 1)
        }
        "ArchiveDocument" => {
            let submitted = submit(&make().await).await;
            scene.documents().reject_document(rejection(&submitted, "no")).await.unwrap();
            let mut request = archival(solution, &submitted.document_id);
            request.request_id = id;
            write(request.encode_to_vec(), document(&submitted, "state = 5"), 1)
        }
        "BatchCreateDocuments" => {
            // The solution is said once, for the whole batch.
            let one = || creation("", draft(name));
            let mut request = BatchCreateDocumentsRequest { solution: solution_(), ..Default::default() };
            (request.requests, request.request_id) = (vec![one(), one()], id);
            write(request.encode_to_vec(), count("document", &format!("name = '{name}'")), 2)
        }
        "PutDocumentType" => {
            let code = name.to_lowercase().replace('-', "_");
            let mut request =
                definition(solution, DocumentType { code: code.clone(), name: name.into(), ..Default::default() });
            request.request_id = id;
            write(request.encode_to_vec(), count("document_type", &format!("code = '{code}'")), 1)
        }
        "UploadContent" => {
            let (made, bytes) = (make().await, noise(CONTENT));
            let mut header = header(solution, &made.document_id, declared("a.bin", &bytes));
            header.request_id = id;
            let frames = frames_of(header, &bytes, CONTENT / 2);
            let whole = format!(
                "(SELECT count(*) FROM fbs_document.document d WHERE company_id = '{solution}' AND document_id = '{}' AND
                   content_size_bytes = (SELECT sum(length(bytes)) FROM fbs_document.content_chunk c
                                          WHERE c.company_id = d.company_id AND c.content_id = d.content_id))",
                made.document_id
            );
            (frames.iter().map(|frame| frame.encode_to_vec().into()).collect(), Some((whole, 1)))
        }
        "GetDocument" => read(scene.witness_of(solution).encode_to_vec()),
        "ListDocuments" => read(page(solution, 5).encode_to_vec()),
        "ListDocumentTransitions" => {
            let document_id = scene.witness_of(solution).document_id;
            read(
                ListDocumentTransitionsRequest { solution: solution_(), document_id, ..Default::default() }
                    .encode_to_vec(),
            )
        }
        "SearchDocuments" => {
            let query = "witness".to_owned();
            read(SearchDocumentsRequest { solution: solution_(), query, ..Default::default() }.encode_to_vec())
        }
        "GetDocumentStats" => {
            read(GetDocumentStatsRequest { solution: solution_(), ..Default::default() }.encode_to_vec())
        }
        "BatchGetDocuments" => {
            let document_ids = vec![scene.witness_of(solution).document_id];
            read(BatchGetDocumentsRequest { solution: solution_(), document_ids, ..Default::default() }.encode_to_vec())
        }
        "ListDocumentTypes" => {
            read(ListDocumentTypesRequest { solution: solution_(), ..Default::default() }.encode_to_vec())
        }
        "DownloadContent" => read(wanted(solution, &scene.witness_of(solution).document_id).encode_to_vec()),
        "ResolveDatabase" => read(about.encode_to_vec()),
        "BatchResolveDatabases" => read(BatchResolveDatabasesRequest { requests: vec![about] }.encode_to_vec()),
        "ExplainRoute" => read(ExplainRouteRequest { request: Some(about) }.encode_to_vec()),
        "ListSolutions" => read(ListSolutionsRequest::default().encode_to_vec()),
        "ListDatabases" => read(ListDatabasesRequest::default().encode_to_vec()),
        other => panic!("{other} has no request here, and so nobody knows what an interrupted one leaves"),
    };
    let path = methods().iter().find(|known| known.name() == method).map(path).unwrap();
    let write = match effect {
        None => None,
        Some((effect, times)) => {
            let audits_before = scene.audits(solution, method).await;
            Some(Write { method: method.to_owned(), request_id, effect, times, audits_before })
        }
    };
    Prepared { path, frames, write }
}

/// Frames of the content that each witness has.
pub(super) fn witness_content(solution: &str, document_id: &str) -> Vec<UploadContentRequest> {
    let bytes = noise(CONTENT);
    frames_of(header(solution, document_id, declared("w.bin", &bytes)), &bytes, CONTENT)
}
