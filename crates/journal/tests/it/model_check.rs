//! Random lives of a journal against a reference model.
//!
//! What was acknowledged is recovered; what is recovered was sent; nothing is there twice; a
//! writer's order is kept; and once a start has said what earlier writers left, no later start says
//! otherwise, whatever comes back from the volumes.

use super::fault_store::{FaultStore, Put};
use super::{Running, entry, hasty};
use futures::future::join_all;
use model::WriterId;
use object_store::ObjectStore;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

#[derive(Debug, Clone)]
enum Step {
    /// Appends of so many entries each, at the same time, while puts do as planned.
    Append { sizes: Vec<usize>, puts: Vec<Put> },
    /// Dies while a commit is in flight.
    Die(Put),
    /// An orderly end.
    Stop,
    /// A start whose puts do as planned, so that it may fail.
    FailedStart(Vec<Put>),
    /// What volumes were hiding appears.
    Reveal,
    /// The oldest live commits become parts.
    Retire(usize),
}

fn put() -> impl Strategy<Value = Put> {
    prop_oneof![
        4 => Just(Put::Works),
        1 => Just(Put::Lost),
        1 => Just(Put::Landed),
        1 => Just(Put::Hidden),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let puts = || proptest::collection::vec(put(), 0..4);
    prop_oneof![
        6 => (proptest::collection::vec(1..4_usize, 1..4), puts())
            .prop_map(|(sizes, puts)| Step::Append { sizes, puts }),
        2 => prop_oneof![Just(Put::HangsLanded), Just(Put::HangsHidden)].prop_map(Step::Die),
        1 => Just(Step::Stop),
        1 => puts().prop_map(Step::FailedStart),
        2 => Just(Step::Reveal),
        2 => (1..5_usize).prop_map(Step::Retire),
    ]
}

struct Life {
    faults: Arc<FaultStore>,
    store: Arc<dyn ObjectStore>,
    running: Option<Running>,
    start: u32,
    next: u64,
    sent: BTreeSet<u64>,
    acknowledged: BTreeSet<u64>,
    /// Entries whose commits were retired: they are in parts.
    parts: Vec<u64>,
    watermarks: Vec<(WriterId, u64)>,
    /// What the last start said of earlier writers, less what was retired since.
    settled: Vec<u64>,
}

impl Life {
    fn new() -> Self {
        let faults = Arc::new(FaultStore::default());
        Self {
            store: Arc::<FaultStore>::clone(&faults),
            faults,
            running: None,
            start: 0,
            next: 0,
            sent: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            parts: Vec::new(),
            watermarks: Vec::new(),
            settled: Vec::new(),
        }
    }

    fn fresh(&mut self, count: usize) -> Vec<u64> {
        let numbers: Vec<u64> = (self.next..).take(count).collect();
        self.next += count as u64;
        self.sent.extend(&numbers);
        numbers
    }

    /// Opens as the next start; checks what it says.
    async fn open(&mut self) -> bool {
        self.start += 1;
        let opened = Running::open(&self.store, hasty(), self.start, &self.watermarks).await;
        self.faults.plan([]);
        let Ok(running) = opened else { return false };
        let numbers = running.numbers().await;
        let all: Vec<u64> = self.parts.iter().chain(&numbers).copied().collect();
        let once: BTreeSet<u64> = all.iter().copied().collect();
        assert_eq!(once.len(), all.len(), "an entry is there twice");
        assert!(
            self.acknowledged.is_subset(&once),
            "an acknowledged entry is lost"
        );
        assert!(once.is_subset(&self.sent), "an entry was never sent");
        assert!(
            numbers.starts_with(&self.settled),
            "an earlier start said otherwise"
        );
        assert!(numbers.is_sorted(), "a writer's order is not kept");
        self.settled = numbers;
        self.running = Some(running);
        true
    }

    async fn append(&mut self, sizes: Vec<usize>, puts: Vec<Put>) {
        let batches: Vec<Vec<u64>> = sizes.into_iter().map(|size| self.fresh(size)).collect();
        let running = self.running.as_ref().unwrap();
        self.faults.plan(puts);
        let appends = batches.iter().map(|numbers| {
            running
                .journal
                .append(numbers.iter().copied().map(entry).collect())
        });
        let outcomes = join_all(appends).await;
        for (outcome, numbers) in outcomes.into_iter().zip(batches) {
            if outcome.is_ok() {
                self.acknowledged.extend(numbers);
            }
        }
        self.faults.plan([]);
        let live: BTreeSet<u64> = running.numbers().await.into_iter().collect();
        let parts: BTreeSet<u64> = self.parts.iter().copied().collect();
        assert!(
            self.acknowledged
                .iter()
                .all(|it| live.contains(it) || parts.contains(it))
        );
    }

    async fn die(&mut self, last: Put) {
        let numbers = self.fresh(1);
        let running = self.running.take().unwrap();
        self.faults.plan([last]);
        let journal = running.journal.clone();
        let append = tokio::spawn(async move { journal.append(vec![entry(numbers[0])]).await });
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        running.crash().await;
        drop(append.await);
        self.faults.plan([]);
    }

    async fn retire(&mut self, count: usize) {
        let running = self.running.as_ref().unwrap();
        for commit in running.journal.live().into_iter().take(count) {
            let entries = running.journal.read(commit.id).await.unwrap();
            self.parts.extend(entries.iter().map(super::number_of));
            self.watermarks
                .retain(|(writer, _)| *writer != commit.id.writer);
            self.watermarks.push((commit.id.writer, commit.id.number));
        }
        running.journal.retire(&self.watermarks).await.unwrap();
        let parts: BTreeSet<u64> = self.parts.iter().copied().collect();
        self.settled.retain(|number| !parts.contains(number));
    }

    async fn take(&mut self, step: Step) {
        if self.running.is_none() && !matches!(step, Step::FailedStart(_) | Step::Reveal) {
            assert!(self.open().await, "a start without faults works");
        }
        match step {
            Step::Append { sizes, puts } => self.append(sizes, puts).await,
            Step::Die(last) => self.die(last).await,
            Step::Stop => self.running.take().unwrap().stop().await,
            Step::FailedStart(puts) => {
                if let Some(running) = self.running.take() {
                    running.crash().await;
                }
                self.faults.plan(puts);
                self.open().await;
            }
            Step::Reveal => self.faults.reveal().await,
            Step::Retire(count) => self.retire(count).await,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn nothing_acknowledged_is_lost_and_nothing_is_doubled(
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut life = Life::new();
            for step in steps {
                life.take(step).await;
            }
            life.faults.reveal().await;
            if let Some(running) = life.running.take() {
                running.crash().await;
            }
            for _ in 0..2 {
                assert!(life.open().await, "a start without faults works");
                life.running.take().unwrap().crash().await;
            }
        });
    }
}
