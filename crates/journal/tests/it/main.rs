//! The journal from outside: appends, failures, crashes and recoveries over faulty stores.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests may panic, and print what they counted"
)]

mod appending;
mod fault_store;
mod model_check;
mod reading;
mod recovering;
mod simulated;

use model::record::{Entry, Event, Record, Source};
use model::{AccountId, ManualClock, PersonKey, RawJson, RecordId, Timestamp, WriterId};
use object_store::ObjectStore;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use journal::{Journal, OtherNodes, Recovery, Settings};

/// The start number `start` of node 1.
const fn writer(start: u32) -> WriterId {
    WriterId { node: 1, start }
}

/// An entry that says nothing but `number`.
fn entry(number: u64) -> Entry {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_le_bytes());
    Entry {
        account: AccountId::installation(),
        record: Record::Event(Event {
            id: RecordId(id),
            person: PersonKey([1; 16]),
            name: "Viewed".into(),
            ts: Timestamp::from_ms(1),
            received_at: Timestamp::from_ms(2),
            ts_sent: None,
            source: Source::Rest,
            session: None,
            properties: RawJson::empty_object(),
            context: None,
        }),
    }
}

/// What `entry` was made with.
fn number_of(entry: &Entry) -> u64 {
    u64::from_le_bytes(entry.record.id().0[..8].try_into().unwrap())
}

/// Settings that wait for nothing, so that tests neither sleep nor depend on time.
fn hasty() -> Settings {
    Settings {
        gather: Duration::ZERO,
        lines_wait: Duration::ZERO,
        failure_pause: Duration::ZERO,
        other_nodes: OtherNodes::Closed,
        ..Settings::default()
    }
}

/// A journal with its owner running.
struct Running {
    journal: Journal,
    recovery: Recovery,
    shutdown: oneshot::Sender<()>,
    owner: JoinHandle<journal::Result<()>>,
}

impl Running {
    async fn open(
        store: &Arc<dyn ObjectStore>,
        settings: Settings,
        start: u32,
        watermarks: &[(WriterId, u64)],
    ) -> journal::Result<Self> {
        let clock = Arc::new(ManualClock::new(Timestamp::from_ms(1_000)));
        let store = Arc::clone(store);
        let (journal, owner, recovery) =
            Journal::open(settings, store, writer(start), watermarks, clock).await?;
        let (shutdown, told) = oneshot::channel::<()>();
        let owner = tokio::spawn(owner.run(async move { drop(told.await) }));
        Ok(Self {
            journal,
            recovery,
            shutdown,
            owner,
        })
    }

    async fn start(store: &Arc<dyn ObjectStore>, start: u32) -> Self {
        Self::open(store, hasty(), start, &[]).await.unwrap()
    }

    /// Kill -9: the owner stops where it is.
    async fn crash(self) {
        self.owner.abort();
        drop(self.owner.await);
    }

    /// An orderly end.
    async fn stop(self) {
        self.shutdown.send(()).unwrap();
        self.owner.await.unwrap().unwrap();
    }

    /// Every live entry's number, in order.
    async fn numbers(&self) -> Vec<u64> {
        let mut numbers = Vec::new();
        for commit in self.journal.live() {
            let entries = self.journal.read(commit.id).await.unwrap();
            numbers.extend(entries.iter().map(number_of));
        }
        numbers
    }
}
