//! How often which event happened, by quarters of an hour, without looking at events one by one:
//! each part is counted once (see [`crate::digest`]), what is in the journal each time.

use arrow::array::RecordBatch;
use lake::schema::TS;
use model::Timestamp;
use model::catalog::PartMeta;
use model::record::Table;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::digest::Digest;
use crate::events::{self, EventsQuery};
use crate::people::EventStats;
use crate::snapshot::Snapshot;
use crate::{Engine, ReadPolicy, Result, reads};

/// A bin, in milliseconds: the hours and days of every zone begin with one.
const BIN_MS: i64 = 15 * 60 * 1_000;

/// How often which event happened.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    names: HashMap<Box<str>, Tally>,
    /// Of all names together, by bin, in order.
    all: Vec<(i64, u64)>,
}

/// How often one event happened.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    /// In all.
    pub(crate) stats: EventStats,
    /// By bin, as long as rows come.
    coming: HashMap<i64, u64>,
    /// By bin, in order.
    bins: Vec<(i64, u64)>,
}

impl Digest for Tallies {
    const COLUMNS: &'static [&'static str] = &["name", TS];

    fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        let (names, times) = (reads::texts(rows, "name")?, reads::times(rows, TS)?);
        for row in 0..rows.num_rows() {
            let (name, ts) = (names.value(row), reads::time(times, row));
            let bin = ts.ms().div_euclid(BIN_MS);
            match self.names.get_mut(name) {
                Some(tally) => {
                    tally.stats.add(ts);
                    *tally.coming.entry(bin).or_default() += 1;
                }
                None => {
                    let tally = Tally {
                        stats: EventStats::of(ts),
                        coming: HashMap::from([(bin, 1)]),
                        bins: Vec::new(),
                    };
                    self.names.insert(Box::from(name), tally);
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self) {
        let mut all: BTreeMap<i64, u64> = BTreeMap::new();
        for tally in self.names.values_mut() {
            tally.bins = std::mem::take(&mut tally.coming).into_iter().collect();
            tally.bins.sort_unstable();
            for (bin, count) in &tally.bins {
                *all.entry(*bin).or_default() += count;
            }
        }
        self.all = all.into_iter().collect();
    }

    fn bytes(&self) -> usize {
        let tallies = self.names.iter();
        let tallies = tallies.map(|(name, it)| name.len() + 160 + it.bins.capacity() * 16);
        tallies.sum::<usize>() + self.all.capacity() * 16
    }
}

/// Tallies, and the time of theirs that is asked for.
#[derive(Debug)]
pub(crate) struct Counted {
    tallies: Arc<Tallies>,
    /// The first bin, and the one after the last; none when all of them are asked for.
    bins: Option<(i64, i64)>,
    /// The only names that may be seen, when not all may.
    only: Option<Arc<BTreeSet<String>>>,
}

impl Counted {
    /// Each event's name and how often it happened in the time.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, u64)> {
        self.seen().filter_map(move |(name, tally)| {
            let count = match self.bins {
                None => tally.stats.count,
                Some(_) => self.within(&tally.bins).map(|(_, count)| count).sum(),
            };
            (count > 0).then_some((name, count))
        })
    }

    /// Each event's name, and when and how often it happened at any time of these tallies.
    pub(crate) fn stats(&self) -> impl Iterator<Item = (&str, EventStats)> {
        self.seen().map(|(name, tally)| (name, tally.stats))
    }

    /// How often an event of this name, or of any, happened from each moment on, for a quarter of an
    /// hour.
    pub(crate) fn bins(&self, name: Option<&str>) -> impl Iterator<Item = (Timestamp, u64)> {
        let is_all = name.is_none() && self.only.is_none();
        let all = is_all.then(|| self.within(&self.tallies.all));
        let named = self
            .seen()
            .filter(move |(it, _)| !is_all && name.is_none_or(|name| *it == name));
        let named = named.flat_map(|(_, tally)| self.within(&tally.bins));
        all.into_iter().flatten().chain(named)
    }

    fn seen(&self) -> impl Iterator<Item = (&str, &Tally)> {
        let names = self.tallies.names.iter();
        let names = names.map(|(name, tally)| (&**name, tally));
        names.filter(move |(name, _)| self.only.as_ref().is_none_or(|it| it.contains(*name)))
    }

    fn within<'t>(
        &self,
        bins: &'t [(i64, u64)],
    ) -> impl Iterator<Item = (Timestamp, u64)> + use<'t> {
        let before = |end: i64| bins.partition_point(|(bin, _)| *bin < end);
        let own = match self.bins {
            None => bins,
            Some((from, to)) => bins.get(before(from)..before(to)).unwrap_or_default(),
        };
        own.iter()
            .map(|(bin, count)| (Timestamp::from_ms(bin.saturating_mul(BIN_MS)), *count))
    }
}

/// Whether a moment is where a bin begins.
pub(crate) const fn begins_bin(at: Timestamp) -> bool {
    at.ms().rem_euclid(BIN_MS) == 0
}

impl Engine {
    /// How often which events happened in the time of `query`; its name and its filters are not looked
    /// at.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub(crate) async fn counted(
        &self,
        snapshot: &Snapshot,
        policy: &ReadPolicy,
        query: &EventsQuery,
    ) -> Result<Vec<Counted>> {
        let rows = snapshot.table(Table::Events)?;
        let (from, to) = (query.from, query.to);
        let left_out = policy.left_out()?;
        // Parts of which all or whole bins are asked for, and those whose rows must be looked at.
        let (mut known, mut open) = (Vec::new(), Vec::new());
        for part in &rows.parts {
            if part.ts_max < from || part.ts_min >= to {
                continue;
            }
            let is_cut_well =
                (from <= part.ts_min || begins_bin(from)) && (part.ts_max < to || begins_bin(to));
            match is_cut_well && left_out.is_some() {
                true => known.push(Arc::clone(part)),
                false => open.push(Arc::clone(part)),
            }
        }
        let left_out = left_out.unwrap_or_default();
        let digests = self.digests(&self.inner.tallies, rows, &known, &left_out);
        let digests = digests.await?;
        let mut counted: Vec<Counted> = known
            .iter()
            .zip(digests)
            .map(|(part, tallies)| Counted {
                tallies,
                bins: bins(part, from, to),
                only: policy.events.clone(),
            })
            .collect();
        let others = EventsQuery {
            event: None,
            from,
            to,
            ..EventsQuery::default()
        };
        let filter = events::matching(&others, None);
        let mut looked_at = vec![rows.tail_alone()];
        if !open.is_empty() {
            looked_at.push(rows.parts_alone(open));
        }
        for some in looked_at.into_iter().filter(|it| !it.is_empty()) {
            let some = Arc::new(some);
            let tallies = self.digest_rows(&some, policy, Some(filter.clone()));
            counted.push(Counted {
                tallies: Arc::new(tallies.await?),
                bins: None,
                only: None,
            });
        }
        Ok(counted)
    }
}

/// The bins of a part that lie in a time; none when all do.
fn bins(part: &PartMeta, from: Timestamp, to: Timestamp) -> Option<(i64, i64)> {
    let is_whole = from <= part.ts_min && part.ts_max < to;
    let edge = |at: Timestamp| at.ms().div_euclid(BIN_MS);
    // A time that ends within a bin is asked for only of parts that end before it.
    let last = edge(to).saturating_add(i64::from(!begins_bin(to)));
    (!is_whole).then(|| (edge(from), last))
}
