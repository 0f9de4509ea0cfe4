//! Every RPC of the contract × its own, another and an unknown solution × every kind of credential: who may do what, and
//! that what is forbidden looks like what does not exist.

use fbs_router_proto::FILE_DESCRIPTOR_SET;
use prost::Message;
use tonic::Code;

use crate::support::{
    World,
    callers::{answer, caller, digest, outcome},
    failure,
};

/// What an RPC needs of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Reader,
    Writer,
    Approver,
    Admin,
    /// Admin of every solution.
    Operator,
}

/// Where its request has the solution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Solution {
    /// In field 1.
    First,
    /// In field 1 of the message in field 1.
    Inside,
    /// The same, and each fails alone.
    Each,
    /// Nowhere: it lists what the grants cover.
    Nowhere,
}

use Needs::{Admin, Approver, Operator, Reader, Writer};
use Solution::{Each, First, Inside, Nowhere};

/// Every RPC: what it needs, where it has its solution, and what it answers to whoever may ask but says nothing besides the
/// solution.
const RPCS: [(&str, Needs, Solution, &str); 30] = [
    ("/fbs.document.v1.DocumentService/CreateDocument", Writer, First, "FIELD_INVALID"),
    ("/fbs.document.v1.DocumentService/GetDocument", Reader, First, "FIELD_INVALID"),
    ("/fbs.document.v1.DocumentService/ListDocuments", Reader, First, ""),
    ("/fbs.document.v1.DocumentService/UpdateDocument", Writer, First, "FIELD_INVALID"),
    ("/fbs.document.v1.DocumentService/DeleteDocument", Writer, First, "FIELD_INVALID"),
    ("/fbs.document.v1.DocumentService/UndeleteDocument", Writer, First, "FIELD_INVALID"),
    ("/fbs.document.v1.DocumentService/SubmitDocument", Writer, First, "FIELD_INVALID"),
    ("/fbs.document.v1.DocumentService/ApproveDocument", Approver, First, "FIELD_INVALID"),
    ("/fbs.document.v1.DocumentService/RejectDocument", Approver, First, "FIELD_INVALID"),
    ("/fbs.document.v1.DocumentService/ArchiveDocument", Approver, First, "FIELD_INVALID"),
    ("/fbs.document.v1.DocumentService/ListDocumentTransitions", Reader, First, "FIELD_INVALID"),
    ("/fbs.document.v1.DocumentService/SearchDocuments", Reader, First, "FIELD_INVALID"),
    ("/fbs.document.v1.DocumentService/GetDocumentStats", Reader, First, ""),
    ("/fbs.document.v1.DocumentService/BatchGetDocuments", Reader, First, "BATCH_INVALID"),
    ("/fbs.document.v1.DocumentService/BatchCreateDocuments", Writer, First, "BATCH_INVALID"),
    ("/fbs.document.v1.DocumentService/PutDocumentType", Admin, First, "FIELD_INVALID"),
    ("/fbs.document.v1.DocumentService/ListDocumentTypes", Reader, First, ""),
    ("/fbs.document.v1.DocumentService/UploadContent", Writer, Inside, "FIELD_INVALID"),
    ("/fbs.document.v1.DocumentService/DownloadContent", Reader, First, "FIELD_INVALID"),
    ("/fbs.router.v1.RouterService/ResolveDatabase", Reader, First, ""),
    ("/fbs.router.v1.RouterService/BatchResolveDatabases", Reader, Each, ""),
    ("/fbs.router.v1.RouterService/ExplainRoute", Reader, Inside, ""),
    ("/fbs.router.v1.RouterService/ListSolutions", Reader, Nowhere, ""),
    ("/fbs.router.v1.RouterService/ListDatabases", Reader, Nowhere, ""),
    // Whoever may decide about one solution alone may not operate; what he sends is not looked at.
    ("/fbs.admin.v1.AdminService/RegisterSolution", Operator, Nowhere, "SOLUTION_INVALID"),
    ("/fbs.admin.v1.AdminService/MoveSolution", Operator, Nowhere, "SOLUTION_INVALID"),
    ("/fbs.admin.v1.AdminService/ReleaseSolution", Operator, Nowhere, "SOLUTION_INVALID"),
    ("/fbs.admin.v1.AdminService/AcceptServer", Operator, Nowhere, "FIELD_INVALID"),
    ("/fbs.admin.v1.AdminService/RemoveServer", Operator, Nowhere, "FIELD_INVALID"),
    ("/fbs.admin.v1.AdminService/RefreshRoutes", Operator, Nowhere, ""),
];

/// What calls bring, and what that lets them do.
const CREDENTIALS: [(Option<&str>, &[Needs]); 8] = [
    (None, &[]),
    (Some("wrong"), &[]),
    (Some("expired"), &[]),
    (Some("reader"), &[Reader]),
    (Some("writer"), &[Reader, Writer]),
    (Some("approver"), &[Reader, Approver]),
    (Some("admin"), &[Reader, Writer, Approver, Admin]),
    (Some("operator"), &[Reader, Writer, Approver, Admin, Operator]),
];

const OWN: &str = "acme_corp";
const OTHER: &str = "globex";
const UNKNOWN: &str = "nobody";

fn message(solution: &str, place: Solution) -> Vec<u8> {
    let text = |inner: &[u8]| {
        let mut message = vec![0x0a, u8::try_from(inner.len()).unwrap()];
        message.extend(inner);
        message
    };
    match place {
        First => text(solution.as_bytes()),
        Inside | Each => text(&text(solution.as_bytes())),
        Nowhere => Vec::new(),
    }
}

/// The paths of all RPCs that the contract has.
fn contract() -> Vec<String> {
    let set = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let mut paths = Vec::new();
    for file in &set.file {
        for service in &file.service {
            let path = |method: &prost_types::MethodDescriptorProto| {
                format!("/{}.{}/{}", file.package(), service.name(), method.name())
            };
            paths.extend(service.method.iter().map(path));
        }
    }
    paths
}

fn expected(
    rpc: &(&str, Needs, Solution, &str),
    credential: &(Option<&str>, &[Needs]),
    solution: &str,
) -> (Code, String) {
    let (_, needs, place, answer) = *rpc;
    let (name, rights) = *credential;
    if matches!(name, None | Some("wrong" | "expired")) {
        return failure(Code::Unauthenticated, "CREDENTIALS_INVALID");
    }
    let covered = solution == OWN || name == Some("operator") || matches!(place, Nowhere | Each);
    match (rights.contains(&needs) && covered, answer) {
        (false, _) => failure(Code::PermissionDenied, "ACCESS_DENIED"),
        (true, "") => failure(Code::Ok, ""),
        (true, reason) => failure(Code::InvalidArgument, reason),
    }
}

#[test]
fn every_rpc_of_the_contract_is_in_the_matrix() {
    let mut listed: Vec<&str> = RPCS.iter().map(|rpc| rpc.0).collect();
    let mut contract = contract();
    listed.sort_unstable();
    contract.sort_unstable();
    assert_eq!(listed, contract);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_does_for_each_credential_what_its_grants_allow_and_nothing_else() {
    let world = World::new().await;
    let expired = format!(
        "[[caller]]\nid = \"expired\"\ngrants = [{{ solution = \"*\", role = \"admin\" }}]\n\
         tokens = [{{ {}, not_after = \"2020-01-01T00:00:00Z\" }}]\n",
        digest("expired")
    );
    let callers = [
        caller("reader", &["acme_corp reader"]),
        caller("writer", &["acme_corp writer"]),
        caller("approver", &["acme_corp approver"]),
        caller("admin", &["acme_corp admin"]),
        caller("operator", &["* admin"]),
        expired,
    ];
    let replica = world.replica_with(&world.callers(&callers.concat())).await;
    let operator = crate::support::asking::creation(OTHER, crate::support::draft("G-1"));
    let made = replica.documents().create_document(crate::support::callers::with_token(operator, "operator")).await;
    assert!(made.is_ok(), "{OTHER} has documents: {made:?}");

    let mut wrong = Vec::new();
    for rpc in &RPCS {
        for credential in &CREDENTIALS {
            let mut answers = Vec::new();
            for solution in [OWN, OTHER, UNKNOWN] {
                let answer = answer(replica.grpc, rpc.0, credential.0, &message(solution, rpc.2)).await;
                let (found, expected) = (outcome(&answer), expected(rpc, credential, solution));
                if found != expected {
                    wrong.push(format!("{} {:?} {solution}: {found:?}, not {expected:?}", rpc.0, credential.0));
                }
                answers.push(answer);
            }
            if credential.0 != Some("operator") && answers[1] != answers[2] {
                wrong.push(format!("{} {:?}: {:?} is not {:?}", rpc.0, credential.0, answers[1], answers[2]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
