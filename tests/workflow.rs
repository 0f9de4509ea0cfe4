//! The workflow: who may bring a document from which state into which, and what is left of it.

use fbs_router_proto::document::v1::{
    CreateDocumentRequest, Document, DocumentType, ListDocumentTransitionsRequest, ListDocumentTypesRequest,
    PutDocumentTypeRequest, RejectDocumentRequest, SubmitDocumentRequest, document::State,
};
use fbs_router_sandbox::platform::{ACME_DATABASE, SYSTEM_DATABASE};
use futures_util::future::join_all;
use tonic::Code;

use crate::support::{
    Replica, World,
    asking::{
        Refusal, approval, archival, creation, definition, deletion, refusal, rejection, request_id, retitle,
        submission, undeletion,
    },
    draft, failure, within,
};

type Step = (State, State, String, String);

impl Replica {
    async fn history(&self, document: &Document) -> Result<Vec<Step>, Refusal> {
        let mut request = ListDocumentTransitionsRequest {
            solution: document.solution.clone(),
            document_id: document.document_id.clone(),
            page_size: 2,
            ..Default::default()
        };
        let (mut steps, mut last) = (Vec::new(), None);
        loop {
            let answer = self.documents().list_document_transitions(within(request.clone())).await;
            let page = answer.map_err(|status| refusal(&status))?.into_inner();
            assert!(page.transitions.len() <= 2);
            for step in page.transitions {
                let time = step.create_time.map(|time| (time.seconds, time.nanos));
                assert!(last <= time, "oldest first");
                last = time;
                steps.push((step.from_state(), step.to_state(), step.actor, step.comment));
            }
            if page.next_page_token.is_empty() {
                return Ok(steps);
            }
            request.page_token = page.next_page_token;
        }
    }

    /// A document in that state, made by whoever calls.
    async fn in_state(&self, solution: &str, state: State) -> Document {
        let document = self.make(solution, "N").await;
        let id = document.document_id.clone();
        if state == State::Draft {
            return document;
        }
        let pending = self.ask_submit(submission(solution, &id)).await.unwrap();
        match state {
            State::Pending => pending,
            State::Approved => self.ask_approve(approval(&pending, "")).await.unwrap(),
            State::Rejected => self.ask_reject(rejection(&pending, "no")).await.unwrap(),
            State::Archived => {
                self.ask_approve(approval(&pending, "")).await.unwrap();
                self.ask_archive(archival(solution, &id)).await.unwrap()
            }
            State::Draft | State::Unspecified => unreachable!(),
        }
    }
}

fn invoice(code: &str) -> DocumentType {
    DocumentType { code: code.into(), name: "Invoice".into(), ..DocumentType::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_goes_through_its_life_and_each_step_is_recorded() {
    let world = World::new().await;
    let replica = world.replica().await;
    for (solution, database) in [("acme_corp", ACME_DATABASE), ("globex", SYSTEM_DATABASE)] {
        let made = replica.make(solution, "N").await;
        let id = made.document_id.clone();
        let mut submit = submission(solution, &id);
        (submit.comment, submit.actor, submit.etag) = ("please".into(), "ann".into(), made.etag.clone());
        let pending = replica.ask_submit(submit).await.unwrap();
        assert_eq!((pending.state(), pending.approved_by.as_str()), (State::Pending, ""));
        assert_ne!(pending.etag, made.etag);
        let rejected = replica.ask_reject(rejection(&pending, "not yet")).await.unwrap();
        assert_eq!(rejected.state(), State::Rejected);
        let edited = replica.ask_update(retitle(solution, &id, "better")).await.unwrap();
        assert_eq!(edited.state(), State::Rejected);
        let pending = replica.ask_submit(submission(solution, &id)).await.unwrap();
        let approved = replica.ask_approve(approval(&pending, "bob")).await.unwrap();
        assert_eq!((approved.state(), approved.approved_by.as_str()), (State::Approved, "bob"));
        let archived = replica.ask_archive(archival(solution, &id)).await.unwrap();
        assert_eq!((archived.state(), archived.approved_by.as_str()), (State::Archived, "bob"));
        assert_eq!(replica.read(solution, &id).await.unwrap(), archived);

        let step = |from, to, actor: &str, comment: &str| (from, to, actor.to_owned(), comment.to_owned());
        let expected = [
            step(State::Draft, State::Pending, "ann", "please"),
            step(State::Pending, State::Rejected, "anonymous", "not yet"),
            step(State::Rejected, State::Pending, "anonymous", ""),
            step(State::Pending, State::Approved, "bob", ""),
            step(State::Approved, State::Archived, "anonymous", ""),
        ];
        assert_eq!(replica.history(&archived).await.unwrap(), expected);
        // Only Get and BatchGet show what is deleted.
        replica.ask_delete(deletion(solution, &id)).await.unwrap();
        let gone = failure(Code::NotFound, "DOCUMENT_NOT_FOUND");
        assert_eq!(replica.history(&archived).await.unwrap_err(), gone);
        replica.ask_undelete(undeletion(solution, &id)).await.unwrap();
        assert_eq!(replica.history(&archived).await.unwrap().len(), 5);
        let audit =
            format!("SELECT count(*) FROM fbs_router.audit WHERE document_id = '{id}' AND action LIKE '%Document'");
        assert_eq!(world.count(database, &audit).await, 9);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_that_is_not_allowed_is_refused_with_the_states_that_would_do() {
    use tonic_types::StatusExt;
    let world = World::new().await;
    let replica = world.replica().await;
    let steps = [
        ("submit", "DRAFT, REJECTED", [Some(State::Pending), None, None, Some(State::Pending), None]),
        ("approve", "PENDING", [None, Some(State::Approved), None, None, None]),
        ("reject", "PENDING", [None, Some(State::Rejected), None, None, None]),
        ("archive", "APPROVED, REJECTED", [None, None, Some(State::Archived), Some(State::Archived), None]),
    ];
    let states = [State::Draft, State::Pending, State::Approved, State::Rejected, State::Archived];
    for (step, allowed, expected) in steps {
        for (state, expected) in states.into_iter().zip(expected) {
            let document = replica.in_state("globex", state).await;
            let id = document.document_id.as_str();
            let mut client = replica.documents();
            let outcome = match step {
                "submit" => client.submit_document(within(submission("globex", id))).await.map(drop),
                "approve" => client.approve_document(within(approval(&document, ""))).await.map(drop),
                "reject" => client.reject_document(within(rejection(&document, "no"))).await.map(drop),
                _ => client.archive_document(within(archival("globex", id))).await.map(drop),
            };
            let after = replica.read("globex", id).await.unwrap();
            let Some(expected) = expected else {
                let status = outcome.unwrap_err();
                let invalid = failure(Code::FailedPrecondition, "STATE_TRANSITION_INVALID");
                assert_eq!(refusal(&status), invalid, "{step} from {state:?}");
                let facts = status.get_details_error_info().unwrap().metadata;
                let name = state.as_str_name().trim_start_matches("STATE_");
                assert_eq!((facts["state"].as_str(), facts["allowed_from"].as_str()), (name, allowed));
                assert_eq!(after, document, "nothing has changed");
                continue;
            };
            outcome.unwrap();
            assert_eq!(after.state(), expected, "{step} from {state:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_approvers_at_once_one_wins_and_a_stale_etag_approves_nothing() {
    let world = World::new().await;
    let replicas = [world.replica().await, world.replica().await];
    for round in 0..10 {
        let pending = replicas[0].in_state("globex", State::Pending).await;
        let calls = (0..8).map(|number| {
            let (replica, pending) = (&replicas[number % 2], pending.clone());
            async move {
                if number % 4 == 3 {
                    return replica.ask_reject(rejection(&pending, "no")).await;
                }
                replica.ask_approve(approval(&pending, &format!("approver {number}"))).await
            }
        });
        let (won, lost): (Vec<_>, Vec<_>) = join_all(calls).await.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "round {round}: {won:?}");
        for refused in lost {
            assert_eq!(refused.unwrap_err(), failure(Code::Aborted, "ETAG_MISMATCH"));
        }
        let after = replicas[1].read("globex", &pending.document_id).await.unwrap();
        assert_eq!(&after, won[0].as_ref().unwrap());
        assert_eq!(replicas[1].history(&after).await.unwrap().len(), 2);
    }
    // What was read is what is approved.
    let draft = replicas[0].make("globex", "N").await;
    let pending = replicas[0].ask_submit(submission("globex", &draft.document_id)).await.unwrap();
    let stale = Document { etag: draft.etag, ..pending.clone() };
    let refused = replicas[0].ask_approve(approval(&stale, "")).await.unwrap_err();
    assert_eq!(refused, failure(Code::Aborted, "ETAG_MISMATCH"));
    let unread = Document { etag: String::new(), ..pending };
    let refused = replicas[0].ask_approve(approval(&unread, "")).await.unwrap_err();
    assert_eq!(refused, failure(Code::InvalidArgument, "FIELD_INVALID"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_decides_about_approval_and_four_eyes_from_the_next_step_on() {
    let world = World::new().await;
    let replica = world.replica().await;
    for solution in ["acme_corp", "globex"] {
        let of_type = |code: &str, actor: &str| {
            let document = Document { document_type: code.into(), ..draft("N") };
            CreateDocumentRequest { actor: actor.into(), ..creation(solution, document) }
        };
        let submitted = async |request| {
            let document = replica.ask_create(request).await.unwrap();
            replica.ask_submit(submission(solution, &document.document_id)).await.unwrap()
        };
        // Nobody defined it: approval, and anybody may give it.
        let pending = submitted(of_type("invoice", "")).await;
        assert_eq!(replica.ask_approve(approval(&pending, "")).await.unwrap().state(), State::Approved);

        // Without approval.
        let stored = replica.ask_put_type(definition(solution, invoice("invoice"))).await.unwrap();
        assert_eq!(stored, invoice("invoice"));
        let approved = submitted(of_type("invoice", "")).await;
        assert_eq!((approved.state(), approved.approved_by.as_str()), (State::Approved, ""));

        // Four eyes: its creator may not, whoever submits it.
        let strict = DocumentType { requires_approval: true, four_eyes: true, ..invoice("invoice") };
        replica.ask_put_type(definition(solution, strict)).await.unwrap();
        let pending = submitted(of_type("invoice", "ann")).await;
        let refused = replica.ask_approve(approval(&pending, "ann")).await.unwrap_err();
        assert_eq!(refused, failure(Code::PermissionDenied, "SELF_APPROVAL"));
        assert_eq!(replica.read(solution, &pending.document_id).await.unwrap(), pending);
        assert_eq!(replica.ask_approve(approval(&pending, "bob")).await.unwrap().approved_by, "bob");
        // A rejection by its creator is no approval.
        let pending = submitted(of_type("invoice", "ann")).await;
        let rejected = RejectDocumentRequest { actor: "ann".into(), ..rejection(&pending, "mine, and wrong") };
        assert_eq!(replica.ask_reject(rejected).await.unwrap().state(), State::Rejected);
        // Another type of the same solution follows its own rules.
        assert_eq!(submitted(of_type("memo", "")).await.state(), State::Pending);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn types_are_listed_by_code_put_once_a_request_and_belong_to_their_solution() {
    let world = World::new().await;
    let replica = world.replica().await;
    for code in ["b", "a", "c", "z_9", "0"] {
        replica.ask_put_type(definition("globex", invoice(code))).await.unwrap();
    }
    let other = DocumentType { description: "another's".into(), ..invoice("a") };
    replica.ask_put_type(definition("initech", other.clone())).await.unwrap();
    let list = async |solution: &str| {
        let mut request = ListDocumentTypesRequest { solution: solution.into(), page_size: 2, ..Default::default() };
        let mut types = Vec::new();
        loop {
            let page = replica.documents().list_document_types(within(request.clone())).await.unwrap().into_inner();
            types.extend(page.document_types);
            if page.next_page_token.is_empty() {
                return types;
            }
            request.page_token = page.next_page_token;
        }
    };
    assert_eq!(list("globex").await, ["0", "a", "b", "c", "z_9"].map(invoice));
    assert_eq!(list("initech").await, [other]);
    assert_eq!(list("umbrella").await, []);

    // A repeat answers the type as it is now, and changes nothing; another request under the key is refused.
    let first = DocumentType { name: "First".into(), ..invoice("a") };
    let mut put = PutDocumentTypeRequest { request_id: request_id(), ..definition("globex", first) };
    replica.ask_put_type(put.clone()).await.unwrap();
    let second = DocumentType { name: "Second".into(), ..invoice("a") };
    replica.ask_put_type(definition("globex", second.clone())).await.unwrap();
    assert_eq!(replica.ask_put_type(put.clone()).await.unwrap(), second);
    put.document_type = Some(invoice("b"));
    let refused = replica.ask_put_type(put).await.unwrap_err();
    assert_eq!(refused, failure(Code::InvalidArgument, "REQUEST_ID_REUSED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_sent_many_times_at_once_is_made_once() {
    let world = World::new().await;
    let replicas = [world.replica().await, world.replica().await];
    let document = replicas[0].make("globex", "N").await;
    let submit = SubmitDocumentRequest { request_id: request_id(), ..submission("globex", &document.document_id) };
    let calls = (0..20).map(|number| replicas[number % 2].ask_submit(submit.clone()));
    let answers: Vec<Document> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(replicas[0].history(&document).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_solution_with_nothing_but_a_type_in_the_system_database_is_not_taken_over() {
    let world = World::new().await;
    let replica = world.replica().await;
    replica.ask_put_type(definition("globex", invoice("invoice"))).await.unwrap();
    assert_eq!(world.system_rows("globex").await, 0, "neither a document nor a request record");
    world.create_own_database("globex").await;
    assert_eq!(replica.create("globex", "N").await.unwrap().database, SYSTEM_DATABASE);
    let request = ListDocumentTypesRequest { solution: "globex".into(), ..Default::default() };
    let listed = replica.documents().list_document_types(within(request)).await.unwrap().into_inner();
    assert_eq!(listed.document_types, [invoice("invoice")]);
}
