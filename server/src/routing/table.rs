//! The routing table: an immutable picture of ledger and catalogs, swapped whole. Readers never lock.

use std::{collections::HashMap, sync::Arc};

use arc_swap::{ArcSwap, Guard};

use super::{catalog::CatalogView, ledger::LedgerView};
use crate::domain::ServerName;

/// One picture.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// Placements, registrations, servers.
    pub ledger: Arc<LedgerView>,
    /// What each configured server lists.
    pub catalogs: HashMap<ServerName, Arc<CatalogView>>,
}

/// Where the newest picture hangs.
#[derive(Debug)]
pub(super) struct TableCell(ArcSwap<Table>);

impl TableCell {
    /// Nothing is known yet.
    pub(super) fn new(ledger: LedgerView, servers: impl IntoIterator<Item = ServerName>) -> Self {
        let catalogs = servers.into_iter().map(|name| (name, Arc::new(CatalogView::never()))).collect();
        Self(ArcSwap::from_pointee(Table { ledger: Arc::new(ledger), catalogs }))
    }

    /// The newest picture.
    pub(super) fn load(&self) -> Guard<Arc<Table>> {
        self.0.load()
    }

    /// The newest picture, to keep.
    pub(super) fn load_full(&self) -> Arc<Table> {
        self.0.load_full()
    }

    /// Hangs up a new ledger. Only the ledger's task does.
    pub(super) fn put_ledger(&self, ledger: LedgerView) {
        let ledger = Arc::new(ledger);
        self.0.rcu(|table| Table { ledger: Arc::clone(&ledger), catalogs: table.catalogs.clone() });
    }

    /// Hangs up a new catalog. Only the server's scanner does.
    pub(super) fn put_catalog(&self, server: &ServerName, catalog: CatalogView) {
        let catalog = Arc::new(catalog);
        self.0.rcu(|table| {
            let mut catalogs = table.catalogs.clone();
            catalogs.insert(Arc::clone(server), Arc::clone(&catalog));
            Table { ledger: Arc::clone(&table.ledger), catalogs }
        });
    }
}
