//! Lines of the request log in bounded space: how many are kept one by one, and what becomes of the
//! others: two of each kind, of which the last says for how many more it stands.

use model::AccountId;
use model::record::{Entry, Outcome, Plane, Record, RequestLine};
use std::collections::HashMap;
use std::time::Duration;

use super::Flush;

/// The path that stands for every path beyond the limit.
pub const OTHER_PATHS: &str = "(other)";
/// The reason of a line that stands for more requests that were served. Its `rejected` says for how many,
/// as that of any request that was not served.
pub const GATHERED: &str = "gathered";

/// Lines that are kept one by one before the others are gathered.
pub(super) const LINES_BURST: u64 = 4_096;
/// How many lines a second become free for that.
const LINES_A_SECOND: u64 = 8;
/// Paths that are gathered apart from each other at a time.
pub(super) const PATHS_MAX: usize = 128;
/// How long lines are gathered, unless everything is asked for.
const GATHER: Duration = Duration::from_secs(10);

/// How many lines may still be kept one by one.
#[derive(Debug, Default)]
pub(super) struct Budget {
    thousandths: u64,
    /// When it was last added to; none before the first line.
    counted: Option<Duration>,
}

impl Budget {
    /// Whether one more may be kept.
    pub(super) fn take(&mut self, now: Duration) -> bool {
        let full = LINES_BURST * 1_000;
        let elapsed = self.counted.map_or(u64::MAX, |at| {
            u64::try_from(now.saturating_sub(at).as_millis()).unwrap_or(u64::MAX)
        });
        self.counted = Some(now);
        let more = elapsed.saturating_mul(LINES_A_SECOND);
        self.thousandths = self.thousandths.saturating_add(more).min(full);
        let is_one = self.thousandths >= 1_000;
        if is_one {
            self.thousandths -= 1_000;
        }
        is_one
    }

    /// One of which nothing is left.
    #[cfg(test)]
    pub(super) const fn spent() -> Self {
        Self {
            thousandths: 0,
            counted: Some(Duration::ZERO),
        }
    }
}

/// What tells gathered lines apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    account: AccountId,
    plane: Plane,
    outcome: Outcome,
    status: u16,
    reason: Box<str>,
    path: Box<str>,
}

/// Lines of one kind.
#[derive(Debug)]
pub(super) struct Gathered {
    count: u64,
    since: Duration,
    first: RequestLine,
    last: RequestLine,
}

/// Lines that are gathered, by kind.
#[derive(Debug, Default)]
pub(super) struct Groups(HashMap<Kind, Gathered>);

impl Groups {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, now: Duration, account: AccountId, mut line: RequestLine) {
        let mut kind = Kind {
            account,
            plane: line.plane,
            outcome: line.outcome,
            status: line.status,
            reason: line.reason.clone(),
            path: line.path.clone(),
        };
        if self.0.len() >= PATHS_MAX && !self.0.contains_key(&kind) {
            kind.path = Box::from(OTHER_PATHS);
            line.path = Box::from(OTHER_PATHS);
        }
        match self.0.get_mut(&kind) {
            Some(found) => {
                found.count += 1;
                found.last = line;
            }
            None => {
                let first = line.clone();
                self.0.insert(
                    kind,
                    Gathered {
                        count: 1,
                        since: now,
                        first,
                        last: line,
                    },
                );
            }
        }
    }

    /// Takes out what has been gathered long enough, or everything.
    pub(super) fn take(&mut self, which: Flush, now: Duration) -> Vec<(Kind, Gathered)> {
        let is_due = |it: &Gathered| which == Flush::All || now.saturating_sub(it.since) >= GATHER;
        self.0.extract_if(|_, it| is_due(it)).collect()
    }

    /// What was taken out and could not be made durable is gathered on, older than what came meanwhile.
    pub(super) fn put_back(&mut self, taken: Vec<(Kind, Gathered)>) {
        for (mut kind, mut older) in taken {
            if self.0.len() >= PATHS_MAX && !self.0.contains_key(&kind) {
                kind.path = Box::from(OTHER_PATHS);
                older.first.path = Box::from(OTHER_PATHS);
                older.last.path = Box::from(OTHER_PATHS);
            }
            match self.0.get_mut(&kind) {
                Some(newer) => {
                    newer.count += older.count;
                    newer.since = older.since;
                    newer.first = older.first;
                }
                None => {
                    self.0.insert(kind, older);
                }
            }
        }
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> impl ExactSizeIterator<Item = &Gathered> {
        self.0.values()
    }
}

impl Gathered {
    /// One line for one; for more, the first and the last, which stands for the rest as well.
    pub(super) fn lines(&self) -> impl Iterator<Item = RequestLine> {
        let more = self.count.saturating_sub(2);
        let last = (self.count > 1).then(|| RequestLine {
            reason: match self.last.outcome {
                Outcome::Answered if more > 0 => Box::from(GATHERED),
                Outcome::Answered | Outcome::Refused | Outcome::Dropped => self.last.reason.clone(),
            },
            rejected: u32::try_from(more).unwrap_or(u32::MAX),
            ..self.last.clone()
        });
        std::iter::once(self.first.clone()).chain(last)
    }
}

/// What was taken out, as it is written down.
pub(super) fn entries(taken: &[(Kind, Gathered)]) -> impl Iterator<Item = Entry> {
    taken.iter().flat_map(|(kind, gathered)| {
        let account = kind.account;
        gathered.lines().map(move |line| Entry {
            account,
            record: Record::Request(Box::new(line)),
        })
    })
}
