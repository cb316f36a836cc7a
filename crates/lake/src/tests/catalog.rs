//! A list of parts in memory, with the compare-and-set of the real one: the reference for tests.

use async_trait::async_trait;
use model::catalog::{Catalog, Error, LeftOut, PartMeta, Publication, View};
use model::learned::Learned;
use model::opt_out::OptOut;
use model::record::Table;
use model::{AccountId, Clock, ErrorKind, LedgerPosition, PartId, Timestamp, WriterId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Holds everything in memory; the ledger's newest position is set by the test.
#[derive(Debug)]
pub(crate) struct MemoryCatalog {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    live: BTreeMap<PartId, Arc<PartMeta>>,
    replaced: Vec<(Timestamp, Arc<PartMeta>)>,
    watermarks: BTreeMap<WriterId, u64>,
    ledger: LedgerPosition,
    fail_next: Option<ErrorKind>,
    publications: usize,
    learned: Vec<Learned>,
    opt_outs: Vec<OptOut>,
    left_out: Vec<LeftOut>,
}

impl MemoryCatalog {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    pub(crate) fn set_ledger(&self, ledger: LedgerPosition) {
        self.state.lock().unwrap().ledger = ledger;
    }

    /// Makes the next publication fail after nothing (`Conflict`) or everything (`Unavailable`)
    /// was done.
    pub(crate) fn fail_next(&self, kind: ErrorKind) {
        self.state.lock().unwrap().fail_next = Some(kind);
    }

    /// Everything that publications have brought of names.
    pub(crate) fn learned(&self) -> Vec<Learned> {
        self.state.lock().unwrap().learned.clone()
    }

    /// Everything that publications have brought of opting out.
    pub(crate) fn opt_outs(&self) -> Vec<OptOut> {
        self.state.lock().unwrap().opt_outs.clone()
    }

    /// Everything that publications have left out for whom it names.
    pub(crate) fn left_out(&self) -> Vec<LeftOut> {
        self.state.lock().unwrap().left_out.clone()
    }

    pub(crate) fn publications(&self) -> usize {
        self.state.lock().unwrap().publications
    }
}

fn refused(kind: ErrorKind, message: &str) -> Error {
    Error {
        kind,
        message: message.to_owned(),
        source: None,
    }
}

#[async_trait]
impl Catalog for MemoryCatalog {
    async fn view(&self, account: Option<AccountId>, tables: &[Table]) -> Result<View, Error> {
        let state = self.state.lock().unwrap();
        let wanted = |it: &&Arc<PartMeta>| {
            account.is_none_or(|account| it.account == account) && tables.contains(&it.table)
        };
        Ok(View {
            parts: state.live.values().filter(wanted).cloned().collect(),
            watermarks: state
                .watermarks
                .iter()
                .map(|(writer, to)| (*writer, *to))
                .collect(),
            ledger: state.ledger,
        })
    }

    async fn publish(&self, publication: Publication) -> Result<(), Error> {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        let fails = state.fail_next.take();
        if fails == Some(ErrorKind::Conflict) {
            return Err(refused(ErrorKind::Conflict, "publish: told to conflict"));
        }
        let moved = publication
            .remove
            .iter()
            .any(|id| !state.live.contains_key(id))
            || publication
                .consumed
                .iter()
                .any(|it| state.watermarks.get(&it.writer).copied().unwrap_or(0) != it.from)
            || publication.ledger != state.ledger;
        if moved {
            return Err(refused(ErrorKind::Conflict, "publish: something moved"));
        }
        for id in &publication.remove {
            let part = state.live.remove(id).unwrap();
            state.replaced.push((now, part));
        }
        for part in publication.add {
            state.live.insert(part.id, Arc::new(part));
        }
        for consumed in publication.consumed {
            state.watermarks.insert(consumed.writer, consumed.to);
        }
        state.publications += 1;
        state.learned.extend(publication.learned);
        state.opt_outs.extend(publication.opt_outs);
        state.left_out.extend(publication.left_out);
        match fails {
            Some(kind) => Err(refused(kind, "publish: the answer was lost")),
            None => Ok(()),
        }
    }

    async fn garbage(&self, before: Timestamp) -> Result<Vec<Arc<PartMeta>>, Error> {
        let state = self.state.lock().unwrap();
        let due = state.replaced.iter().filter(|(at, _)| *at < before);
        Ok(due.map(|(_, part)| Arc::clone(part)).collect())
    }

    async fn forget(&self, parts: &[PartId]) -> Result<(), Error> {
        self.state
            .lock()
            .unwrap()
            .replaced
            .retain(|(_, part)| !parts.contains(&part.id));
        Ok(())
    }
}
