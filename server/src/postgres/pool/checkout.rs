//! Getting a connection: a permit in turn, then one that is idle, or leave to make one, and proof.
//!
//! One that is made is made by a task of its own: a caller who leaves meanwhile would leave half a connection behind, and
//! callers who come and go as fast would have Postgres begin one for each of them.

use std::{
    panic::resume_unwind,
    sync::{Arc, PoisonError},
    time::Duration,
};

use deadpool_postgres::{Object, PoolError, TimeoutType};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::Instrument;

use super::{
    Connection, Pools, Served,
    connection::{Proved, Unproved},
    database::{DatabasePool, timeouts},
    room::{Why, is_over},
};
use crate::{
    domain::{DatabaseTarget, Deadline, Error, Login},
    postgres::{
        Facts, Failure, Purpose, SchemaState,
        breaker::{Failed, Leave, NoLeave},
        budget::{NoPermit, Permit},
        prove::Unguarded,
        sqlstate::Scope,
    },
};

/// Pause before a server that had no connection left is asked again, grown by as much each time, and jittered.
const FULL: Duration = Duration::from_millis(10);
/// Longest such pause.
const FULL_LONGEST: Duration = Duration::from_millis(100);

/// Why no connection was had.
#[derive(Debug)]
pub enum CheckoutError {
    /// No connection came free in time, of the database, of the solution or of the server.
    Exhausted,
    /// The caller's deadline passed.
    DeadlinePassed,
    /// Connecting failed, just now or a moment ago.
    Failed(Failure, Error),
    /// The role could pass the policies; nothing may run as it.
    RoleTooPowerful,
    /// Solutions would not be kept apart in this database; nothing may run there.
    Unguarded,
}

/// The proof of a connection took too long.
#[derive(Debug, thiserror::Error)]
#[error("the database did not prove itself in time")]
struct Late;

/// What one try came to.
#[expect(clippy::large_enum_variant, reason = "it is looked at where it is made, and never kept")]
enum Got {
    Connection(Proved),
    /// The pool was closed meanwhile, or the connection was too old.
    Nothing,
    /// The server has no connection left for us.
    ServerFull,
}

/// Leave to make a connection, from server and database.
struct Leaves {
    server: Leave,
    database: Leave,
}

impl Pools {
    /// A proved connection to `target` as `login`, by `deadline` at the latest. Waits in turn with others of `purpose`,
    /// no longer than `pool.wait`.
    pub async fn checkout(
        self: &Arc<Self>,
        target: &DatabaseTarget,
        login: &Login,
        purpose: Purpose<'_>,
        deadline: Deadline,
    ) -> Result<Connection, CheckoutError> {
        let Some(served) = self.served(&target.server) else {
            let what = "its server is not in this router's configuration";
            return Err(CheckoutError::Failed(Failure::Refused, Error::DatabaseMisconfigured { what, cause: None }));
        };
        if let Some(failed) = self.refusal(&served, target, login) {
            return Err(failed.into());
        }
        let until = self.patience(deadline);
        let permit = served.budget.permit(&target.name, purpose, until).await.map_err(|NoPermit| {
            if deadline.passed() { CheckoutError::DeadlinePassed } else { CheckoutError::Exhausted }
        })?;
        let connected = async {
            let pool = self.pool(&served, target, login);
            // One that need not be asked anything first: it is there, or it is not.
            if pool.pool.status().available > 0
                && !pool.is_doubtful()
                && pool.facts.load().is_some()
                && let Got::Connection(proved) = self.get(&served, target, &pool, until).await?
            {
                return Ok(Connection::new(proved, pool, permit));
            }
            let made = Arc::clone(self).make(served, target.clone(), login.clone(), permit, until, deadline);
            match tokio::spawn(made.in_current_span()).await {
                Ok(made) => made,
                Err(ended) if ended.is_panic() => resume_unwind(ended.into_panic()),
                // The process ends.
                Err(_) => Err(CheckoutError::DeadlinePassed),
            }
        };
        timeout_at(deadline.instant(), connected).await.unwrap_or(Err(CheckoutError::DeadlinePassed))
    }

    /// A connection, new if none has become idle meanwhile; whoever is left with it gives it to the pool.
    async fn make(
        self: Arc<Self>,
        served: Arc<Served>,
        target: DatabaseTarget,
        login: Login,
        permit: Permit,
        until: Instant,
        deadline: Deadline,
    ) -> Result<Connection, CheckoutError> {
        let mut pause = Duration::ZERO;
        loop {
            // A pool that was closed while we waited for it has been replaced already.
            let pool = self.pool(&served, &target, &login);
            match self.get(&served, &target, &pool, until).await? {
                Got::Connection(proved) => return Ok(Connection::new(proved, pool, permit)),
                // Whoever wanted it has gone.
                Got::Nothing if deadline.passed() => return Err(CheckoutError::DeadlinePassed),
                Got::Nothing => {}
                Got::ServerFull => {
                    pause = (pause + FULL).min(FULL_LONGEST);
                    let pause = pause.mul_f64(0.5 + fastrand::f64());
                    if Instant::now() + pause >= until {
                        return Err(CheckoutError::Exhausted);
                    }
                    sleep(pause).await;
                }
            }
        }
    }

    /// Until when a caller with that deadline waits for a connection to come free.
    pub fn patience(&self, deadline: Deadline) -> Instant {
        deadline.instant().min(Instant::now() + self.settings.load().wait)
    }

    async fn get(
        &self,
        served: &Served,
        target: &DatabaseTarget,
        pool: &DatabasePool,
        until: Instant,
    ) -> Result<Got, CheckoutError> {
        let asked = Instant::now();
        // One that is idle is used, whatever became of its server meanwhile: it will tell.
        let leaves = match pool.pool.status().available {
            0 => self.leaves(served, pool, until).await?,
            _ => Leaves { server: served.server.ask(), database: pool.known.breaker.leave_anyway() },
        };
        let object = match pool.pool.timeout_get(&timeouts(&self.settings.load())).await {
            Ok(object) => object,
            Err(PoolError::Backend(error)) => return self.not_made(served, leaves, error),
            Err(PoolError::Closed) => return Ok(Got::Nothing),
            Err(PoolError::Timeout(TimeoutType::Wait)) => return Err(CheckoutError::Exhausted),
            // Others have all places, and give none back.
            Err(PoolError::Timeout(_)) if served.server.is_full() => return Err(CheckoutError::Exhausted),
            Err(error) => {
                let failed = Failed::silent(error);
                leaves.late(failed.clone());
                return Err(failed.into());
            }
        };
        pool.touch();
        let (metrics, lifetime) = (Object::metrics(&object), self.settings.load().lifetime);
        if is_over(metrics, lifetime) {
            drop(Object::take(object));
            return Ok(Got::Nothing);
        }
        if metrics.recycle_count > 0
            && let Some(facts) = pool.facts.load_full()
        {
            let object = if pool.is_doubtful() { self.ask(pool, object).await } else { Some(object) };
            let Some(object) = object else {
                // Those that were opened with it lead nowhere as well.
                self.distrust(target, asked);
                return Ok(Got::Nothing);
            };
            // What it proved holds no more, as with one that is too old.
            if !pool.known.guards.hold_in(&facts, lifetime) {
                drop(Object::take(object));
                return Ok(Got::Nothing);
            }
            return Ok(Got::Connection(Proved { object, facts }));
        }
        if metrics.recycle_count == 0 {
            served.server.breaker.succeeded();
        }
        match self.prove(target, pool, object).await {
            Ok(Some(proved)) => {
                pool.known.breaker.succeeded();
                pool.answered();
                Ok(Got::Connection(proved))
            }
            Ok(None) => {
                let failed = Failed::silent(Late);
                leaves.database.failed(failed.clone());
                Err(failed.into())
            }
            Err(error) => Err(error),
        }
    }

    /// The connection, if there is somebody at the other end. Whoever leaves in between leaves it closed.
    async fn ask(&self, pool: &DatabasePool, object: Object) -> Option<Object> {
        let mut unproved = Unproved(Some(object));
        let answer = timeout(self.settings.load().recycle, unproved.0.as_ref()?.batch_execute("")).await;
        if !matches!(answer, Ok(Ok(()))) {
            return None;
        }
        pool.answered();
        unproved.0.take()
    }

    /// What everybody is told at the moment who has no connection yet.
    fn refusal(&self, served: &Served, target: &DatabaseTarget, login: &Login) -> Option<Failed> {
        let pool = self.pool(served, target, login);
        let failed = served.server.breaker.refusal().or_else(|| pool.known.breaker.refusal())?;
        (pool.pool.status().available == 0).then_some(failed)
    }

    /// Leave to connect: from the server, which may be out of reach, and from the database, which may have a reason of
    /// its own to refuse.
    async fn leaves(&self, served: &Served, pool: &DatabasePool, until: Instant) -> Result<Leaves, CheckoutError> {
        // The server's last: who tries for all its databases has nothing else to wait for.
        let database = pool.known.breaker.leave(until).await?;
        Ok(Leaves { server: served.server.breaker.leave(until).await?, database })
    }

    /// Postgres, or the way to it, did not let us connect.
    fn not_made(&self, served: &Served, leaves: Leaves, error: tokio_postgres::Error) -> Result<Got, CheckoutError> {
        let scope = Scope::of(&error);
        let failure = Failure::of(&error, true);
        let failed = Failed::new(failure, failure.into_error(error));
        match scope {
            Scope::Server => leaves.server.failed(failed.clone()),
            Scope::ServerFull => {
                served.server.breaker.succeeded();
                let open = served.server.pooled();
                served.budget.lower(open);
                self.close_idle(&served.server.name, open.saturating_sub(served.budget.limit()).max(1), Why::Short);
                return Ok(Got::ServerFull);
            }
            Scope::Database => {
                served.server.breaker.succeeded();
                leaves.database.failed(failed.clone());
            }
            Scope::Catalog => served.server.breaker.succeeded(),
        }
        Err(failed.into())
    }

    /// Proves a new connection; none: it took too long. A caller who leaves in between leaves it closed: nothing unproved
    /// gets into the pool.
    async fn prove(
        &self,
        target: &DatabaseTarget,
        pool: &DatabasePool,
        object: Object,
    ) -> Result<Option<Proved>, CheckoutError> {
        let mut unproved = Unproved(Some(object));
        let Some(client) = unproved.0.as_ref() else { return Err(CheckoutError::DeadlinePassed) };
        let settings = self.settings.load_full();
        let facts = match timeout(settings.create, pool.known.guards.prove(client, settings.lifetime)).await {
            Ok(Ok(facts)) => Arc::new(facts),
            Ok(Err(error)) => {
                let failure = Failure::of(&error, true);
                return Err(CheckoutError::Failed(failure, failure.into_error(error)));
            }
            Err(_) => return Ok(None),
        };
        if facts.role_too_powerful {
            return Err(CheckoutError::RoleTooPowerful);
        }
        self.tell_unguarded(target, &facts.unguarded);
        if !facts.unguarded.is_empty() {
            return Err(CheckoutError::Unguarded);
        }
        if facts.in_recovery {
            self.close(target);
            return Err(CheckoutError::Failed(Failure::Standby, Error::DatabaseUnavailable { cause: None }));
        }
        // Another database answers to the name now: what the older connections proved no longer holds.
        if pool
            .facts
            .load()
            .as_ref()
            .is_some_and(|before| before.oid != facts.oid || before.system_identifier != facts.system_identifier)
        {
            self.close(target);
        }
        pool.facts.store(Some(Arc::clone(&facts)));
        self.learn_version(target, &facts);
        let Some(object) = unproved.0.take() else { return Err(CheckoutError::DeadlinePassed) };
        Ok(Some(Proved { object, facts }))
    }

    fn learn_version(&self, target: &DatabaseTarget, facts: &Facts) {
        let version = match facts.schema {
            SchemaState::Ready(version) => version,
            SchemaState::Absent | SchemaState::TooOld | SchemaState::TooNew => 0,
        };
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).insert(target.clone(), version);
    }

    /// An alarm when a database begins to be unguarded, or in another way than before; a word when it is mended.
    fn tell_unguarded(&self, target: &DatabaseTarget, found: &[Unguarded]) {
        let mut told = self.unguarded.lock().unwrap_or_else(PoisonError::into_inner);
        if found.is_empty() {
            if !told.is_empty() && told.remove(target).is_some() {
                tracing::info!(database = %target, "solutions are kept apart there again");
            }
        } else if told.get(target).is_none_or(|before| before != found) {
            for Unguarded { what, mend } in found {
                tracing::error!(database = %target, problem = %what, %mend, "solutions would not be kept apart there, so nothing is served from it");
            }
            told.insert(target.clone(), found.to_vec());
        }
    }
}

impl Leaves {
    /// A connection was not made in time: the fault of a server that was out of reach before, else the database's own.
    fn late(self, failed: Failed) {
        let at_fault = if self.server.is_trying() { self.server } else { self.database };
        at_fault.failed(failed);
    }
}

impl From<NoLeave> for CheckoutError {
    fn from(none: NoLeave) -> Self {
        match none {
            NoLeave::Open(failed) => failed.into(),
            NoLeave::StillTrying(failed) => failed.into(),
        }
    }
}

impl From<Failed> for CheckoutError {
    fn from(Failed { failure, error, .. }: Failed) -> Self {
        Self::Failed(failure, error)
    }
}
