//! A dedicated database that is down, full, renamed, closed, refusing, or behind a link that hangs gives the stated
//! error, nothing of its solution reaches the system database, and it recovers by itself. One file for each thing that
//! breaks; docs/faults.md is the catalogue. All of them together, under callers, are the history test: `torture`. It stands here
//! also because tests begin in alphabetical order, and what takes longest had better not begin last.

mod callers;
mod catalogue;
mod database;
mod ledger;
mod limits;
mod link;
mod locks;
mod router;
mod server;
mod torture;

use fbs_router_proto::document::v1::Document;
use fbs_router_sandbox::{
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use tonic::Code;
use uuid::Uuid;

use crate::support::{Answered, Replica, World, failure, residue::nothing_is_left};

/// `acme_corp` in its own database and `globex` in the system database, with a document each.
struct Case {
    world: World,
    acme: String,
    globex: String,
}

const DEDICATED: &str = "DEDICATED djo_acme_corp_db";
const SYSTEM: &str = "SYSTEM fbs_system_db";

async fn case(extra: &str) -> (Case, Replica) {
    let world = World::new().await;
    let replica = world.replica_with(extra).await;
    let case = documents(world, &replica).await;
    (case, replica)
}

async fn documents(world: World, replica: &Replica) -> Case {
    let (acme, globex) = (made(replica, "acme_corp", "A-1").await, made(replica, "globex", "G-1").await);
    assert_eq!((&*acme.database, &*globex.database), (ACME_DATABASE, SYSTEM_DATABASE));
    soon("the first write's record is read", async || match replica.resolve("globex").await {
        Ok(route) if route.revision > 0 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    Case { world, acme: acme.message.document_id, globex: globex.message.document_id }
}

/// Made before anything breaks, however slow this machine is.
async fn made(replica: &Replica, solution: &str, name: &str) -> Answered<Document> {
    let request = Uuid::new_v4();
    soon("it is made", async || {
        replica.create_once(solution, name, request).await.map_err(|error| format!("{error:?}"))
    })
    .await
}

impl Case {
    /// Every call of `acme_corp` fails as one of these, and Resolve answers so.
    async fn acme_fails(&self, replica: &Replica, expected: &[(Code, &str)], place: Result<&str, (Code, &str)>) {
        for outcome in replica.calls("acme_corp", &self.acme).await {
            let error = outcome.expect_err("no call of acme_corp may be served now");
            assert!(expected.iter().any(|one| failure(one.0, one.1) == error), "{error:?}");
        }
        let place = place.map(str::to_owned).map_err(|(code, reason)| failure(code, reason));
        assert_eq!(replica.place("acme_corp").await, place);
        assert_eq!(self.leaked().await, 0);
    }

    async fn leaked(&self) -> i64 {
        self.world.system_rows("acme_corp").await
    }

    async fn globex_is_served(&self, replica: &Replica) {
        for outcome in replica.calls("globex", &self.globex).await {
            assert_eq!(outcome.as_deref(), Ok(SYSTEM_DATABASE));
        }
    }

    /// By itself: nobody restarts anything. Whatever failed has written nothing.
    async fn acme_recovers(&self, replica: &Replica) {
        soon("acme_corp is served again", async || match replica.get("acme_corp", &self.acme).await {
            Ok(answer) if answer.database == ACME_DATABASE => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        assert_eq!(self.count(ACME_DATABASE, "SELECT count(*) FROM fbs_document.document").await, 1);
        for outcome in replica.calls("acme_corp", &self.acme).await {
            assert_eq!(outcome.as_deref(), Ok(ACME_DATABASE));
        }
        assert_eq!(replica.place("acme_corp").await.as_deref(), Ok(DEDICATED));
        assert_eq!(self.leaked().await, 0);
        nothing_is_left(&self.world.platform.cluster, &[replica]).await;
    }

    async fn count(&self, database: &str, sql: &str) -> i64 {
        self.world.platform.implementer().count(database, sql).await.unwrap()
    }
}

const DOWN: (Code, &str) = (Code::Unavailable, "DATABASE_UNAVAILABLE");
const FULL: (Code, &str) = (Code::ResourceExhausted, "POOL_EXHAUSTED");
const LATE: (Code, &str) = (Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
const UNKNOWN: (Code, &str) = (Code::Unavailable, "ROUTE_UNKNOWN");
const DETACHED: (Code, &str) = (Code::FailedPrecondition, "DATABASE_DETACHED");
const MISCONFIGURED: (Code, &str) = (Code::FailedPrecondition, "DATABASE_MISCONFIGURED");

/// No call takes longer than a second and a half.
const HASTY: &str = "[deadline]\nmax = \"1500ms\"\ndefault = \"1s\"\n[pool]\nwait = \"300ms\"\ncreate = \"700ms\"\n";

/// What `release` of a later version does to the ledger and the system database.
pub(crate) const RELEASE: &str = "UPDATE fbs_router.placement
       SET placement = 'SYSTEM', epoch = epoch + 1, released_uuid = database_uuid,
           server = NULL, database_name = NULL, database_oid = NULL, database_uuid = NULL
     WHERE company_id = 'acme_corp' AND app = 'fbs_dms';
    UPDATE fbs_router.fence SET state = 'ACTIVE', epoch = epoch + 1 WHERE company_id = 'acme_corp'";
