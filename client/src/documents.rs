//! The documents of one solution.
//!
//! Invariant: no request leaves for another solution than the one the handle was made for; a request that names
//! another is refused here.

use fbs_router_proto::document::v1::{
    CreateDocumentRequest, DeleteDocumentRequest, Document, GetDocumentRequest, ListDocumentsRequest,
    ListDocumentsResponse, UndeleteDocumentRequest, UpdateDocumentRequest,
};
use uuid::Uuid;

use crate::{Answer, Ask, Client, Error, call::Call};

/// A solution's documents. Requests may leave `solution` empty; a mutation without a `request_id` gets one.
#[derive(Debug, Clone)]
pub struct Documents {
    client: Client,
    solution: String,
}

impl Documents {
    pub(crate) fn new(client: Client, solution: String) -> Self {
        Self { client, solution }
    }

    /// The solution.
    pub fn solution(&self) -> &str {
        &self.solution
    }

    /// Creates a document in DRAFT, from a document or from a whole request.
    pub async fn create(&self, request: impl Ask<CreateDocumentRequest>) -> Result<Answer<Document>, Error> {
        let mut request = request.ask();
        self.claim(&mut request.solution)?;
        let call = self.mutation(&mut request.request_id);
        let mut stub = self.client.documents.clone();
        let request = call.request(request);
        document(call.reply(stub.create_document(request)).await?.map(|reply| reply.document))
    }

    /// Reads a document, by id or by a whole request; also while it is deleted.
    pub async fn get(&self, request: impl Ask<GetDocumentRequest>) -> Result<Answer<Document>, Error> {
        let mut request = request.ask();
        self.claim(&mut request.solution)?;
        let call = self.reading();
        let mut stub = self.client.documents.clone();
        let request = call.request(request);
        document(call.reply(stub.get_document(request)).await?.map(|reply| reply.document))
    }

    /// One page. The next one is the same request with `page_token` set to this page's `next_page_token`, until that
    /// is empty.
    pub async fn list(&self, request: impl Ask<ListDocumentsRequest>) -> Result<Answer<ListDocumentsResponse>, Error> {
        let mut request = request.ask();
        self.claim(&mut request.solution)?;
        let call = self.reading();
        let mut stub = self.client.documents.clone();
        let request = call.request(request);
        call.reply(stub.list_documents(request)).await
    }

    /// Changes the fields that `update_mask` names.
    pub async fn update(&self, request: impl Ask<UpdateDocumentRequest>) -> Result<Answer<Document>, Error> {
        let mut request = request.ask();
        self.claim(&mut request.solution)?;
        let call = self.mutation(&mut request.request_id);
        let mut stub = self.client.documents.clone();
        let request = call.request(request);
        document(call.reply(stub.update_document(request)).await?.map(|reply| reply.document))
    }

    /// Marks a document deleted, by id or by a whole request; it is purged later.
    pub async fn delete(&self, request: impl Ask<DeleteDocumentRequest>) -> Result<Answer<Document>, Error> {
        let mut request = request.ask();
        self.claim(&mut request.solution)?;
        let call = self.mutation(&mut request.request_id);
        let mut stub = self.client.documents.clone();
        let request = call.request(request);
        document(call.reply(stub.delete_document(request)).await?.map(|reply| reply.document))
    }

    /// Takes a delete back, by id or by a whole request.
    pub async fn undelete(&self, request: impl Ask<UndeleteDocumentRequest>) -> Result<Answer<Document>, Error> {
        let mut request = request.ask();
        self.claim(&mut request.solution)?;
        let call = self.mutation(&mut request.request_id);
        let mut stub = self.client.documents.clone();
        let request = call.request(request);
        document(call.reply(stub.undelete_document(request)).await?.map(|reply| reply.document))
    }

    fn claim(&self, solution: &mut String) -> Result<(), Error> {
        if solution.is_empty() {
            solution.clone_from(&self.solution);
        }
        if *solution == self.solution { Ok(()) } else { Err(Error::other_solution(&self.solution, solution)) }
    }

    fn reading(&self) -> Call {
        Call { deadline: self.client.deadline, request_id: None }
    }

    fn mutation(&self, request_id: &mut String) -> Call {
        if request_id.is_empty() {
            *request_id = Uuid::new_v4().to_string();
        }
        Call { deadline: self.client.deadline, request_id: Some(request_id.clone()) }
    }
}

fn document(answer: Answer<Option<Document>>) -> Result<Answer<Document>, Error> {
    let (document, served) = answer.into_parts();
    let document = document.ok_or_else(|| Error::reply("a reply without its document".to_owned()))?;
    Ok(Answer::new(document, served))
}
