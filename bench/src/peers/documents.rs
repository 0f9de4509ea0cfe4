//! `DocumentService` as a first version has it: a pool, one statement, a row made into the message.

use std::{path::Path, str::FromStr, time::SystemTime};

use deadpool_postgres::{ClientWrapper, Manager, ManagerConfig, Pool, RecyclingMethod};
use fbs_router_proto::document::v1::{
    self as proto, CreateDocumentRequest, CreateDocumentResponse, Document, GetDocumentRequest, GetDocumentResponse,
    document_service_server::DocumentService,
};
use fbs_router_sandbox::platform::{ACME_DATABASE, PASSWORD};
use futures_util::future::{join, join3};
use tokio_postgres::{NoTls, Row, types::ToSql};
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use crate::{Outcome, world};

/// From the table without policies and triggers.
const GET: &str = "SELECT document_id, name, title, description, document_type, category, tags, confidentiality, \
     metadata, expire_time, state, etag, created_by, approved_by, create_time, update_time, delete_time, purge_time \
     FROM bench.document WHERE company_id = $1 AND document_id = $2";
/// The same, from the table that the service reads.
const GET_UNDER_POLICY: &str = "SELECT document_id, name, title, description, document_type, category, tags, \
     confidentiality, metadata, expire_time, state, etag, created_by, approved_by, create_time, update_time, \
     delete_time, purge_time FROM fbs_document.document WHERE company_id = $1 AND document_id = $2";
/// The service's own.
const GET_BEHIND_FENCE: &str = concat!(
    "SELECT gate.admitted, ",
    include_str!("../../../server/src/documents/columns.sql"),
    include_str!("../../../server/src/documents/get.sql")
);
const NAME_THE_SOLUTION: &str = "SELECT pg_catalog.set_config('fbs_router.company_id', $1, true)";
const INSERT: &str = "INSERT INTO bench.created (company_id, document_id, name, title, description, document_type, \
     category, tags, confidentiality, metadata, expire_time, state, created_by, create_time, update_time) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 2, NULL, NULL, 1, 'anonymous', now(), now()) \
     RETURNING document_id, name, title, description, document_type, category, tags, confidentiality, metadata, \
     expire_time, state, etag, created_by, approved_by, create_time, update_time, delete_time, purge_time";

/// How it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// One statement in autocommit.
    Autocommit,
    /// In a transaction that names the solution, sent in one go.
    Policies,
    /// And asking the fence.
    Fence,
}

/// The service.
pub(super) struct Documents {
    how: How,
    pool: Pool,
    epoch: i64,
    database: Uuid,
}

impl Documents {
    pub(super) async fn connect(how: How, folder: &Path) -> Outcome<Self> {
        let mut config = tokio_postgres::Config::from_str(&std::fs::read_to_string(folder.join(world::URL))?)?;
        config.dbname(ACME_DATABASE).password(PASSWORD);
        let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pool = Pool::builder(manager).max_size(world::POOL).build()?;
        let mut client = pool.get().await?;
        let transaction = client.transaction().await?;
        transaction.query(NAME_THE_SOLUTION, &[&world::SOLUTION]).await?;
        let fence = "SELECT epoch, database_uuid FROM fbs_router.fence WHERE company_id = $1";
        let row = transaction.query_one(fence, &[&world::SOLUTION]).await?;
        transaction.commit().await?;
        drop(client);
        Ok(Self { how, pool, epoch: row.get(0), database: row.get(1) })
    }

    async fn get(&self, solution: &str, id: Uuid) -> Outcome<Option<Document>> {
        let client = self.pool.get().await?;
        match self.how {
            How::Autocommit => {
                let get = client.prepare_cached(GET).await?;
                let row = client.query_opt(&get, &[&solution, &id]).await?;
                Ok(row.map(|row| document(&row, 0, solution)))
            }
            How::Policies => {
                let row = named(&client, solution, GET_UNDER_POLICY, &[&solution, &id]).await?;
                Ok(row.map(|row| document(&row, 0, solution)))
            }
            How::Fence => {
                let parameters: &[&(dyn ToSql + Sync)] = &[&solution, &self.epoch, &self.database, &id];
                let row = named(&client, solution, GET_BEHIND_FENCE, parameters).await?;
                let admitted = row.filter(|row| row.get(0) && row.get::<_, Option<Uuid>>(1).is_some());
                Ok(admitted.map(|row| document(&row, 1, solution)))
            }
        }
    }

    async fn create(&self, solution: &str, new: &Document) -> Outcome<Document> {
        let client = self.pool.get().await?;
        let insert = client.prepare_cached(INSERT).await?;
        let parameters: &[&(dyn ToSql + Sync)] = &[
            &solution,
            &Uuid::now_v7(),
            &new.name,
            &new.title,
            &new.description,
            &new.document_type,
            &new.category,
            &new.tags,
        ];
        Ok(document(&client.query_one(&insert, parameters).await?, 0, solution))
    }
}

/// One statement in a transaction that names the solution, in one round trip.
async fn named(
    client: &ClientWrapper,
    solution: &str,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Outcome<Option<Row>> {
    let (name, statement) = (client.prepare_cached(NAME_THE_SOLUTION).await?, client.prepare_cached(sql).await?);
    let solution: &[&(dyn ToSql + Sync)] = &[&solution];
    let work = join(client.query(&name, solution), client.query_opt(&statement, parameters));
    let (begin, (named, row), commit) =
        join3(client.batch_execute("BEGIN READ ONLY"), work, client.batch_execute("COMMIT")).await;
    begin?;
    named?;
    commit?;
    Ok(row?)
}

fn document(row: &Row, first: usize, solution: &str) -> Document {
    let time = |at: usize| row.get::<_, Option<SystemTime>>(first + at).map(Into::into);
    Document {
        document_id: row.get::<_, Uuid>(first).to_string(),
        solution: solution.to_owned(),
        name: row.get(first + 1),
        title: row.get(first + 2),
        description: row.get(first + 3),
        document_type: row.get(first + 4),
        category: row.get(first + 5),
        tags: row.get(first + 6),
        confidentiality: row.get::<_, i16>(first + 7).into(),
        // The rows of this benchmark have none.
        metadata: None,
        expire_time: time(9),
        state: row.get::<_, i16>(first + 10).into(),
        etag: row.get::<_, Uuid>(first + 11).simple().to_string(),
        created_by: row.get(first + 12),
        approved_by: row.get(first + 13),
        create_time: time(14),
        update_time: time(15),
        delete_time: time(16),
        purge_time: time(17),
        content: None,
        solution_db: ACME_DATABASE.to_owned(),
    }
}

served! {
    impl DocumentService for Documents {
        type DownloadContentStream = tokio_stream::Empty<Result<proto::DownloadContentResponse, Status>>;

        async fn get_document(
            &self,
            request: Request<GetDocumentRequest>,
        ) -> Result<Response<GetDocumentResponse>, Status> {
            let request = request.into_inner();
            let id = Uuid::try_parse(&request.document_id).map_err(|_| Status::invalid_argument("document_id"))?;
            match self.get(&request.solution, id).await {
                Ok(Some(document)) => Ok(Response::new(GetDocumentResponse { document: Some(document) })),
                Ok(None) => Err(Status::not_found("document")),
                Err(error) => Err(Status::unavailable(error.to_string())),
            }
        }

        async fn create_document(
            &self,
            request: Request<CreateDocumentRequest>,
        ) -> Result<Response<CreateDocumentResponse>, Status> {
            let request = request.into_inner();
            let new = request.document.ok_or_else(|| Status::invalid_argument("document"))?;
            match self.create(&request.solution, &new).await {
                Ok(document) => Ok(Response::new(CreateDocumentResponse { document: Some(document) })),
                Err(error) => Err(Status::unavailable(error.to_string())),
            }
        }
    }
    not measured {
        list_documents(proto::ListDocumentsRequest) -> proto::ListDocumentsResponse;
        update_document(proto::UpdateDocumentRequest) -> proto::UpdateDocumentResponse;
        delete_document(proto::DeleteDocumentRequest) -> proto::DeleteDocumentResponse;
        undelete_document(proto::UndeleteDocumentRequest) -> proto::UndeleteDocumentResponse;
        submit_document(proto::SubmitDocumentRequest) -> proto::SubmitDocumentResponse;
        approve_document(proto::ApproveDocumentRequest) -> proto::ApproveDocumentResponse;
        reject_document(proto::RejectDocumentRequest) -> proto::RejectDocumentResponse;
        archive_document(proto::ArchiveDocumentRequest) -> proto::ArchiveDocumentResponse;
        list_document_transitions(proto::ListDocumentTransitionsRequest) -> proto::ListDocumentTransitionsResponse;
        search_documents(proto::SearchDocumentsRequest) -> proto::SearchDocumentsResponse;
        get_document_stats(proto::GetDocumentStatsRequest) -> proto::GetDocumentStatsResponse;
        batch_get_documents(proto::BatchGetDocumentsRequest) -> proto::BatchGetDocumentsResponse;
        batch_create_documents(proto::BatchCreateDocumentsRequest) -> proto::BatchCreateDocumentsResponse;
        put_document_type(proto::PutDocumentTypeRequest) -> proto::PutDocumentTypeResponse;
        list_document_types(proto::ListDocumentTypesRequest) -> proto::ListDocumentTypesResponse;
        upload_content(Streaming<proto::UploadContentRequest>) -> proto::UploadContentResponse;
        download_content(proto::DownloadContentRequest) -> Self::DownloadContentStream;
    }
}
