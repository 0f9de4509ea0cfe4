//! A lookup: in the solution's own database it reads together with others that come at once, else alone.
//!
//! Whatever goes wrong together is tried alone, where an error means what it always means.

use tokio_postgres::{Row, types::ToSql};

use super::{
    Session,
    enter::{Failed, connect, login, verify},
};
use crate::{
    domain::Placement,
    postgres::{
        Statement,
        pool::{CheckoutError, Lookup, Way},
        transaction::StatementError,
    },
    routing::ledger_write::first_bool,
};

impl Session {
    pub(super) async fn try_look_up(
        &self,
        statement: &'static Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Failed> {
        if self.route.placement != Placement::Dedicated {
            return self.try_read(statement, parameters).await;
        }
        let login = login(&self.router, &self.route, &self.solution);
        // Held to the end: whoever comes meanwhile sees that he is not alone.
        let lookup = self.router.pools.look_up(&self.route.database.target, &login);
        if let Some(lookup) = lookup.as_ref().filter(|lookup| !lookup.is_alone())
            && let Some(rows) = self.try_together(lookup, statement, parameters).await?
        {
            return Ok(rows);
        }
        self.try_read(statement, parameters).await
    }

    /// None: to be read alone.
    async fn try_together(
        &self,
        lookup: &Lookup,
        statement: &'static Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Vec<Row>>, Failed> {
        let deadline = self.call.deadline;
        let reader = match lookup.way(&self.solution, self.router.pools.patience(deadline)).await {
            Some(Way::Together(reader)) => reader,
            Some(Way::Opens(opening)) => match connect(&self.router, &self.route, &self.solution, deadline).await {
                Ok(connection) => match opening.open(connection, &self.solution, deadline).await {
                    Ok(reader) => reader,
                    Err(_) => return Ok(None),
                },
                Err(failed) => opening.instead(&self.solution).ok_or(failed)?,
            },
            Some(Way::Alone) => return Ok(None),
            None if deadline.passed() => return Err(Failed::Final(CheckoutError::DeadlinePassed.into_error())),
            // Whoever opens one takes his time.
            None => return Ok(None),
        };
        // Another call opened it, for a route of its own.
        if verify(&self.router, &self.route, &self.solution, reader.facts()).is_err() {
            return Ok(None);
        }
        let (company, uuid) = (self.solution.as_str(), self.route.database.database_uuid);
        let mut bound: Vec<&(dyn ToSql + Sync)> = vec![&company, &self.route.epoch, &uuid];
        bound.extend_from_slice(parameters);
        match reader.read(deadline, (statement, &bound)).await {
            Ok(rows) if first_bool(&rows) => Ok(Some(rows)),
            Ok(_) => Err(Failed::Fenced),
            Err(error @ StatementError::DeadlinePassed) => Err(Failed::Final(error.into_error())),
            Err(StatementError::Failed(..) | StatementError::Poisoned | StatementError::Elsewhere) => Ok(None),
        }
    }
}
