//! Drops: what was refused in silence. Counted exactly, kept in bounded space. And what strangers were
//! told, once it is much.
//!
//! Each drop is one line of the request log as long as they are few. When more come than a budget
//! of lines allows, they are gathered: the drops of one plane, reason and path become two lines, the
//! first and the last of them, and the last one says how many more it stands for (its `rejected`,
//! which a dropped request has no other use for). Paths beyond a limit are gathered under
//! [`OTHER_PATHS`], and so are those that senders choose once a day has had its number of new ones:
//! whoever groups drops by path must hold every path that there is. The other lines of strangers go to the
//! journal's queue, and beyond a budget of their own are gathered as drops are, by account, outcome and
//! status besides. What waits is in memory until [`Drops::flush`] has made it durable; nothing of it
//! is ever forgotten, or counted twice, because a flush failed. A line never holds a credential, a
//! query string, a header or a body.

mod gathered;

use journal::Journal;
use model::record::{Entry, Outcome, Peer, Plane, Record, RequestLine};
use model::{AccountId, Clock, RecordIds, Timestamp};
use std::collections::HashSet;
use std::hash::BuildHasher as _;
use std::mem;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gathered::{Budget, Gathered, Groups, Kind, entries};
pub use gathered::{GATHERED, OTHER_PATHS};

/// Lines that wait in memory.
const LINES_WAITING_MAX: usize = 8_192;
/// Reasons and paths of senders' choice that are told apart in a day. All of a retention are grouped,
/// and held, whenever drops are listed: 360,000 in 90 days, of some 150 bytes each. What is known is in
/// memory alone: a restart begins a new day, which is no harm, for strangers restart nothing.
const NEW_PATHS_A_DAY_MAX: usize = 4_000;
const DAY: Duration = Duration::from_secs(86_400);

/// One drop, as the listener knows it before there is a request, or without one.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Which listener.
    pub plane: Plane,
    /// The other end of the connection.
    pub peer: IpAddr,
    /// The version of TLS, or the one that was offered; empty when there was none.
    pub tls_version: &'static str,
    /// The method; `-` when it is not known.
    pub method: Box<str>,
    /// The path, cleaned; empty when it is not known.
    pub path: Box<str>,
    /// What the sender is told, on planes that tell; 0 for nothing.
    pub status: u16,
    /// Why: a stable word.
    pub reason: &'static str,
    /// Bytes that were read.
    pub size_bytes: u64,
}

/// Where drops go. A cheap handle.
#[derive(Debug, Clone)]
pub struct Drops(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    journal: Journal,
    clock: Arc<dyn Clock>,
    record_ids: Arc<RecordIds>,
    waiting: Mutex<Waiting>,
    /// Held by the flush that is under way: what it took is nowhere else until it is durable.
    flushing: tokio::sync::Mutex<()>,
}

/// Whose choice the path of a drop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathOf {
    /// The pattern of a URL of ours: there are few.
    Ours,
    /// The sender's.
    Sender,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<RequestLine>,
    gathered: Groups,
    budget: Budget,
    /// Of strangers, and no drops.
    strangers: Groups,
    /// How many lines of strangers may be offered to the journal.
    strangers_budget: Budget,
    /// The latest time that a flush has said: what is dropped after it is later.
    flushed_until: Option<Timestamp>,
    /// Hashes of the reasons and paths of senders' choice that the day has had.
    paths: HashSet<u64>,
    /// When the day began.
    day_began: Duration,
}

/// Which drops are made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// Lines, and what has been gathered long enough.
    Due,
    /// Everything that happened before.
    All,
}

impl Drops {
    pub(crate) fn new(journal: Journal, clock: Arc<dyn Clock>, record_ids: Arc<RecordIds>) -> Self {
        Self(Arc::new(Inner {
            journal,
            clock,
            record_ids,
            waiting: Mutex::default(),
            flushing: tokio::sync::Mutex::default(),
        }))
    }

    /// Takes a drop that is not a request's: its line is made here, and it is counted.
    pub fn refuse(&self, refused: Refused) {
        metrics::counter!(
            "strongroom_requests_total",
            "plane" => refused.plane.as_str(), "outcome" => Outcome::Dropped.as_str(),
            "reason" => refused.reason
        )
        .increment(1);
        let line = RequestLine {
            id: self.0.record_ids.batch()(0),
            at: self.0.clock.now(),
            plane: refused.plane,
            peer: Peer::Address(refused.peer.to_canonical()),
            tls_version: Box::from(refused.tls_version),
            method: refused.method,
            path: refused.path,
            status: refused.status,
            outcome: Outcome::Dropped,
            reason: Box::from(refused.reason),
            size_bytes: refused.size_bytes,
            accepted: 0,
            rejected: 0,
            duration_us: 0,
        };
        self.record(line, PathOf::Sender);
    }

    /// Takes the line of a dropped request. Its time becomes that of the drop: by its head's, a slow
    /// request would lie before a review that did not see it.
    pub(crate) fn record(&self, line: RequestLine, path: PathOf) {
        metrics::counter!("strongroom_drops_total", "plane" => line.plane.as_str()).increment(1);
        let clock = &self.0.clock;
        // The times are taken while nothing else takes or flushes.
        let mut waiting = self.0.waiting();
        let at = waiting.time_of_drop(clock.now());
        let now = clock.monotonic();
        let mut line = RequestLine { at, ..line };
        if path == PathOf::Sender {
            waiting.bound_paths(now, &mut line);
        }
        waiting.take(now, line);
    }

    /// Gathers the line of a stranger's request that is no drop. As long as they are few it is given
    /// back: it is to be offered to the journal as any other.
    pub(crate) fn gather(&self, account: AccountId, line: RequestLine) -> Option<RequestLine> {
        let now = self.0.clock.monotonic();
        let mut waiting = self.0.waiting();
        if waiting.strangers_budget.take(now) {
            return Some(line);
        }
        waiting.strangers.add(now, account, line);
        None
    }

    /// Whether anything waits to be made durable.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        let waiting = self.0.waiting();
        !waiting.lines.is_empty() || !waiting.gathered.is_empty() || !waiting.strangers.is_empty()
    }

    /// Makes drops durable, and what else was gathered. With [`Flush::All`], everything that was dropped
    /// before the call is in the journal when it returns, and so is everything with the time that it
    /// returns or an earlier one: what is dropped from then on is later. Dropping the future does not lose
    /// or double anything.
    ///
    /// # Errors
    /// What the journal says; the drops wait on.
    pub async fn flush(&self, which: Flush) -> journal::Result<Timestamp> {
        let inner = Arc::clone(&self.0);
        // A task, so that what was taken out is put back or durable whoever stops waiting.
        let task = tokio::spawn(async move { inner.flush(which).await });
        task.await.unwrap_or(Err(journal::Error::Closed))
    }
}

impl Inner {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn flush(&self, which: Flush) -> journal::Result<Timestamp> {
        let _alone = self.flushing.lock().await;
        let (lines, gathered, strangers, until) = {
            let mut waiting = self.waiting();
            let now = self.clock.monotonic();
            let until = waiting.time_of_drop(self.clock.now());
            waiting.flushed_until = Some(until);
            let lines = mem::take(&mut waiting.lines);
            let gathered = waiting.gathered.take(which, now);
            let strangers = waiting.strangers.take(which, now);
            (lines, gathered, strangers, until)
        };
        if lines.is_empty() && gathered.is_empty() && strangers.is_empty() {
            return Ok(until);
        }
        let lines_kept = lines.iter().cloned().map(|line| Entry {
            account: AccountId::installation(),
            record: Record::Request(Box::new(line)),
        });
        let all = lines_kept
            .chain(entries(&gathered))
            .chain(entries(&strangers));
        let appended = self.journal.append(all.collect()).await;
        if appended.is_err() {
            let mut waiting = self.waiting();
            waiting.put_back(lines, gathered);
            waiting.strangers.put_back(strangers);
        }
        appended.map(|()| until)
    }
}

impl Waiting {
    /// The time of what is dropped now: later than what a flush has said, also within a millisecond
    /// and when the clock is put back.
    fn time_of_drop(&self, now: Timestamp) -> Timestamp {
        let later = |until: Timestamp| now.max(until.plus(Duration::from_millis(1)));
        self.flushed_until.map_or(now, later)
    }

    /// Takes the path of a line away when it is new and the day has had its number of new ones.
    fn bound_paths(&mut self, now: Duration, line: &mut RequestLine) {
        if now.saturating_sub(self.day_began) >= DAY {
            self.paths.clear();
            self.day_began = now;
        }
        // A reason without a path is told apart in any case.
        if line.path.is_empty() {
            return;
        }
        let hash = self.paths.hasher().hash_one((&line.reason, &line.path));
        if self.paths.len() < NEW_PATHS_A_DAY_MAX {
            self.paths.insert(hash);
        } else if !self.paths.contains(&hash) {
            line.path = Box::from(OTHER_PATHS);
        }
    }

    fn take(&mut self, now: Duration, line: RequestLine) {
        if self.lines.len() < LINES_WAITING_MAX && self.budget.take(now) {
            self.lines.push(line);
        } else {
            self.gathered.add(now, AccountId::installation(), line);
        }
    }

    /// What a flush took and could not make durable waits on, older than what came meanwhile.
    fn put_back(&mut self, mut lines: Vec<RequestLine>, gathered: Vec<(Kind, Gathered)>) {
        lines.append(&mut self.lines);
        self.lines = lines;
        self.gathered.put_back(gathered);
    }
}

#[cfg(test)]
mod tests {
    use super::gathered::{Budget, Gathered, LINES_BURST, PATHS_MAX};
    use super::{DAY, Flush, NEW_PATHS_A_DAY_MAX, OTHER_PATHS, Waiting};
    use model::record::{Outcome, Peer, Plane, RequestLine};
    use model::{RecordId, Timestamp};
    use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};
    use std::collections::BTreeMap;
    use std::time::Duration;

    fn line(number: u32, path: &str) -> RequestLine {
        RequestLine {
            id: RecordId(u128::from(number).to_be_bytes()),
            at: Timestamp::from_ms(i64::from(number)),
            plane: Plane::Collect,
            peer: Peer::Unknown,
            tls_version: "1.3".into(),
            method: "GET".into(),
            path: path.into(),
            status: 0,
            outcome: Outcome::Dropped,
            reason: "unknown_url".into(),
            size_bytes: 0,
            accepted: 0,
            rejected: 0,
            duration_us: 0,
        }
    }

    /// What the lines that leave say, by path: how many, the first and the last time.
    fn told(waiting: &Waiting) -> BTreeMap<String, (u64, i64, i64)> {
        let mut told = BTreeMap::new();
        let gathered = waiting.gathered.all().flat_map(Gathered::lines);
        for line in waiting.lines.iter().cloned().chain(gathered) {
            let at = line.at.ms();
            let (count, first, last) =
                told.entry(line.path.to_string())
                    .or_insert((0, i64::MAX, i64::MIN));
            *count += 1 + u64::from(line.rejected);
            (*first, *last) = (at.min(*first), at.max(*last));
        }
        told
    }

    #[test]
    fn a_thousand_drops_are_a_thousand_lines() {
        let mut waiting = Waiting::default();
        for number in 0..1_000 {
            waiting.take(Duration::ZERO, line(number, &format!("/{number}")));
        }
        assert_eq!(waiting.lines.len(), 1_000);
        assert!(waiting.gathered.is_empty());
    }

    #[test]
    fn a_million_drops_take_little_room_and_none_is_forgotten() {
        let mut waiting = Waiting::default();
        for number in 0..1_000_000 {
            let path = format!("/{}", number % 5_000);
            waiting.take(
                Duration::from_millis(u64::from(number / 100)),
                line(number, &path),
            );
        }
        let told = told(&waiting);
        assert_eq!(told.values().map(|it| it.0).sum::<u64>(), 1_000_000);
        assert!(told.contains_key(OTHER_PATHS));
        assert!(waiting.gathered.all().len() <= PATHS_MAX + 1);
        assert!(waiting.lines.len() as u64 <= LINES_BURST + 10 * 8 + 1);
    }

    #[test]
    fn a_day_has_so_many_new_paths_and_no_drop_is_forgotten() {
        let mut waiting = Waiting::default();
        let mut drop_at = |second: u64, number: u32, path: &str| {
            let now = Duration::from_secs(second);
            let mut line = line(number, path);
            waiting.bound_paths(now, &mut line);
            let kept = line.path.to_string();
            waiting.take(now, line);
            kept
        };
        let many = u32::try_from(NEW_PATHS_A_DAY_MAX).unwrap();
        for number in 0..many + 500 {
            drop_at(number.into(), number, &format!("/{number}"));
        }
        // What is known stays apart, and so does what has no path.
        let last = DAY.as_secs() - 1;
        assert_eq!(drop_at(last, 1, "/0"), "/0");
        assert_eq!(drop_at(last, 2, ""), "");
        assert_eq!(drop_at(last, 3, "/new"), OTHER_PATHS);
        assert_eq!(drop_at(last + 1, 4, "/new"), "/new");
        let told = told(&waiting);
        assert_eq!(told.len(), NEW_PATHS_A_DAY_MAX + 3);
        assert_eq!(told[OTHER_PATHS].0, 501);
        let sum: u64 = told.values().map(|it| it.0).sum();
        assert_eq!(sum, u64::from(many) + 504);
        assert!(waiting.paths.len() <= NEW_PATHS_A_DAY_MAX);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn counts_and_times_survive_flushes_that_fail(
            paths in proptest::collection::vec(0..4_u8, 0..200),
            failures in proptest::collection::vec(proptest::bool::ANY, 0..200),
        ) {
            let mut waiting = Waiting { budget: Budget::spent(), ..Waiting::default() };
            let mut truth = BTreeMap::new();
            let mut failures = failures.into_iter().chain(std::iter::repeat(false));
            for (number, path) in (0..).zip(paths) {
                let path = format!("/{path}");
                waiting.take(Duration::ZERO, line(number, &path));
                let at = i64::from(number);
                let (count, first, last) = truth.entry(path).or_insert((0, at, at));
                *count += 1;
                (*first, *last) = (at.min(*first), at.max(*last));
                if failures.next() == Some(true) {
                    let lines = std::mem::take(&mut waiting.lines);
                    let gathered = waiting.gathered.take(Flush::All, Duration::ZERO);
                    waiting.put_back(lines, gathered);
                }
            }
            prop_assert_eq!(told(&waiting), truth);
        }
    }
}
