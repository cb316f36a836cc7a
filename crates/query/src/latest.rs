//! The newest events first: of everybody, or the timeline of one person.
//!
//! Where a page's events are is known before any of them is read whole: by how many there were when;
//! of one person, or under a condition on properties, by the times of those that match. A position is
//! content, as that of [`crate::Position`]: a time, a record id and a cut-off of the time of receipt.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, SortExpr};
use futures::StreamExt;
use governance::Stretch;
use lake::schema::{PERSON_KEY, RECORD_ID, TS};
use model::record::Table;
use model::{PersonKey, RecordId, Timestamp};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::events::{self, EventRow, EventsQuery};
use crate::people::{PeopleReader, PersonView, ProfileParts, TABLES};
use crate::reads::{self, Read};
use crate::scan::Order;
use crate::snapshot::{Snapshot, TableRows};
use crate::tables::{self, column};
use crate::{Engine, ReadPolicy, Result};

/// Of so many rows all columns are read; of more, first the times, so that no other column of the rows
/// before a page is read.
const LOOKED_AT_WHOLE: u64 = 2_000;

/// Where a page begins: below this record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    /// The time of the last record of the page before.
    pub ts: Timestamp,
    /// Its id.
    pub record: RecordId,
    /// Only what was received until then counts.
    pub cut_off: Timestamp,
}

/// Some events, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatestPage {
    /// The events.
    pub records: Vec<EventRow>,
    /// Where the next page begins; none after the last.
    pub next: Option<Before>,
}

/// A time in which there are about so many rows.
#[derive(Debug)]
struct Range {
    from: Option<Timestamp>,
    to: Timestamp,
    rows: u64,
    /// The only times that a row may have, when they are known.
    times: Vec<Timestamp>,
}

impl Range {
    fn filter(&self) -> Expr {
        let mut filter = column(TS).lt(tables::time(self.to));
        if let Some(from) = self.from {
            filter = filter.and(column(TS).gt_eq(tables::time(from)));
        }
        if !self.times.is_empty() {
            let times = self.times.iter().map(|it| tables::time(*it)).collect();
            filter = filter.and(column(TS).in_list(times, false));
        }
        filter
    }
}

/// One page's question.
#[derive(Debug)]
struct Asked<'a> {
    rows: &'a Arc<TableRows>,
    policy: &'a ReadPolicy,
    query: &'a EventsQuery,
    /// Only events of these keys, each in its stretch of time.
    keys: Option<Vec<(PersonKey, Stretch)>>,
    before: Option<Before>,
    cut_off: Timestamp,
    limit: usize,
}

impl Engine {
    /// The newest events that match `query`, at most `limit`, below a position; those of one person
    /// only, when one is named.
    ///
    /// # Errors
    /// `Denied` for a filter on a masked property; `Unavailable`, `Corrupt`.
    pub async fn latest_events(
        &self,
        policy: &ReadPolicy,
        query: &EventsQuery,
        person: Option<PersonKey>,
        before: Option<Before>,
        limit: usize,
    ) -> Result<LatestPage> {
        events::check_filters(policy, query)?;
        let cut_off = before.map_or_else(|| self.inner.clock.now(), |it| it.cut_off);
        self.with_snapshot(policy, &TABLES, move |snapshot| async move {
            let mut people = PeopleReader::new(self, &snapshot, policy).await?;
            let asked = Asked {
                rows: snapshot.table(Table::Events)?,
                policy,
                query,
                keys: person.map(|it| people.links.keys(it)),
                before,
                cut_off,
                limit,
            };
            let (mut records, more) = self.newest(&snapshot, &asked).await?;
            let names: Vec<PersonKey> = records
                .iter()
                .map(|row| people.links.person(row.key, row.ts))
                .collect();
            let distinct: BTreeSet<PersonKey> = names.iter().copied().collect();
            let distinct: Vec<PersonKey> = distinct.into_iter().collect();
            let parts = ProfileParts {
                profile: true,
                events: false,
            };
            let views = people.read(&distinct, parts).await?;
            let views: HashMap<PersonKey, Arc<PersonView>> = views
                .into_iter()
                .map(|(key, view)| (key, Arc::new(view)))
                .collect();
            for (row, name) in records.iter_mut().zip(names) {
                if let Some(view) = views.get(&name) {
                    row.person = Arc::clone(view);
                }
            }
            let next = records.last().filter(|_| more).map(|last| Before {
                ts: last.ts,
                record: last.record,
                cut_off,
            });
            Ok(LatestPage { records, next })
        })
        .await
    }

    /// The rows of a page, and whether there are more.
    async fn newest(
        &self,
        snapshot: &Snapshot,
        asked: &Asked<'_>,
    ) -> Result<(Vec<EventRow>, bool)> {
        let ranges = match asked.is_plain() {
            true => self.counted_ranges(snapshot, asked).await?,
            false => self.found_ranges(asked).await?,
        };
        let mut found = Vec::new();
        for range in ranges {
            let mut filter = asked.filter().and(range.filter());
            // One more than the page has room for tells whether there are more.
            let room = asked.limit.saturating_sub(found.len()).saturating_add(1);
            let limit = asked.is_plain().then_some(room);
            if let Some(limit) = limit.filter(|_| range.rows > LOOKED_AT_WHOLE) {
                let Some(oldest) = self.oldest(asked, filter.clone(), limit).await? else {
                    continue;
                };
                filter = filter.and(column(TS).gt_eq(tables::time(oldest)));
            }
            let read = Read {
                filter: Some(filter),
                columns: Vec::new(),
                sort: newest_first(),
                limit,
            };
            let rows = self
                .read(asked.rows, asked.policy, Order::Any, read)
                .await?;
            let mut batches = rows.batches;
            while let Some(batch) = batches.next().await {
                let batch = batch?;
                let properties = events::property_reader(&batch)?;
                for row in 0..batch.num_rows() {
                    let filters = &asked.query.filters;
                    if !filters.iter().all(|it| it.matches(&properties, row)) {
                        continue;
                    }
                    let event = events::event_row(&batch, row, &properties, asked.policy)?;
                    if !asked.is_of(event.key, event.ts) {
                        continue;
                    }
                    if found.len() == asked.limit {
                        return Ok((found, true));
                    }
                    found.push(event);
                }
            }
        }
        Ok((found, false))
    }

    /// Where the rows of a page are, by how many events there were when: the newest first, each range
    /// with about as many rows as a page has room for. Those that came after the cut-off are counted
    /// too, so that one range may not be enough.
    async fn counted_ranges(&self, snapshot: &Snapshot, asked: &Asked<'_>) -> Result<Vec<Range>> {
        let after = asked.before.map_or(asked.query.to, |it| {
            it.ts.plus(Duration::from_millis(1)).min(asked.query.to)
        });
        let query = EventsQuery {
            to: after,
            ..asked.query.clone()
        };
        let counted = self.counted(snapshot, asked.policy, &query, asked.cut_off);
        let mut bins: BTreeMap<Timestamp, u64> = BTreeMap::new();
        for counted in counted.await? {
            for (at, count) in counted.bins(query.event.as_deref()) {
                *bins.entry(at).or_default() += count;
            }
        }
        let page = u64::try_from(asked.limit)
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        let mut ranges = Vec::new();
        let (mut to, mut rows) = (after, 0_u64);
        for (at, count) in bins.into_iter().rev() {
            rows = rows.saturating_add(count);
            if rows >= page {
                let range = Range {
                    from: Some(at),
                    to,
                    rows,
                    times: Vec::new(),
                };
                ranges.push(range);
                (to, rows) = (at, 0);
            }
        }
        if rows > 0 {
            ranges.push(Range {
                from: None,
                to,
                rows,
                times: Vec::new(),
            });
        }
        Ok(ranges)
    }

    /// Where the rows of a page are that are one person's, or under a condition: found by what decides
    /// that and the times alone, from the last days back, until a page is full.
    async fn found_ranges(&self, asked: &Asked<'_>) -> Result<Vec<Range>> {
        let filtered = asked.query.filters.iter().map(|it| it.name.as_str());
        let mut columns = [PERSON_KEY, TS].map(String::from).to_vec();
        columns.extend(events::property_columns(asked.rows, filtered));
        let windows: Vec<Option<Expr>> = match asked.query.filters.is_empty() {
            // One person's events are few, wherever they are.
            true => vec![None],
            false => {
                let days = events::windows(asked.rows, asked.query, None);
                days.into_iter()
                    .rev()
                    .map(|it| Some(it.filter(None)))
                    .collect()
            }
        };
        let page = asked.limit.saturating_add(1);
        // The newest ones, the oldest of them on top.
        let mut newest: BinaryHeap<Reverse<Timestamp>> = BinaryHeap::new();
        for window in windows {
            let filter = asked.filter();
            let read = Read {
                filter: Some(match window {
                    Some(window) => filter.and(window),
                    None => filter,
                }),
                columns: columns.clone(),
                ..Read::default()
            };
            let rows = self
                .read(asked.rows, asked.policy, Order::Any, read)
                .await?;
            let mut batches = rows.batches;
            while let Some(batch) = batches.next().await {
                let batch = batch?;
                let (keys, times) = (reads::keys(&batch, PERSON_KEY)?, reads::times(&batch, TS)?);
                let properties = events::property_reader(&batch)?;
                for row in 0..batch.num_rows() {
                    let ts = reads::time(times, row);
                    let mut filters = asked.query.filters.iter();
                    if !asked.is_of(reads::person(keys, row), ts)
                        || !filters.all(|it| it.matches(&properties, row))
                    {
                        continue;
                    }
                    newest.push(Reverse(ts));
                    if newest.len() > page {
                        newest.pop();
                    }
                }
            }
            if newest.len() >= page {
                break;
            }
        }
        let times: BTreeSet<Timestamp> = newest.into_iter().map(|Reverse(ts)| ts).collect();
        let range = times.first().map(|oldest| Range {
            from: Some(*oldest),
            to: asked.query.to,
            rows: u64::try_from(times.len()).unwrap_or(u64::MAX),
            times: times.iter().copied().collect(),
        });
        Ok(range.into_iter().collect())
    }

    /// The time of the last row that a page has room for, by the times alone: so that no other
    /// column of the rows before it is read.
    async fn oldest(
        &self,
        asked: &Asked<'_>,
        filter: Expr,
        limit: usize,
    ) -> Result<Option<Timestamp>> {
        let read = Read {
            filter: Some(filter),
            columns: [TS, RECORD_ID].map(String::from).to_vec(),
            sort: newest_first(),
            limit: Some(limit),
        };
        let rows = self
            .read(asked.rows, asked.policy, Order::Any, read)
            .await?;
        let mut batches = rows.batches;
        let mut oldest = None;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let times = reads::times(&batch, TS)?;
            if let Some(last) = batch.num_rows().checked_sub(1) {
                oldest = Some(reads::time(times, last));
            }
        }
        Ok(oldest)
    }
}

impl Asked<'_> {
    fn filter(&self) -> Expr {
        let mut filter = events::matching(self.query, self.cut_off);
        if let Some(before) = self.before {
            filter = filter.and(before.below());
        }
        if let Some(keys) = &self.keys {
            let keys: Vec<PersonKey> = keys.iter().map(|(key, _)| *key).collect();
            filter = filter.and(reads::of_persons(PERSON_KEY, &keys));
        }
        filter
    }

    /// Whether every row that the filter lets through is on the page.
    const fn is_plain(&self) -> bool {
        self.query.filters.is_empty() && self.keys.is_none()
    }

    fn is_of(&self, key: PersonKey, ts: Timestamp) -> bool {
        self.keys.as_ref().is_none_or(|keys| {
            let mut own = keys.iter().filter(|(known, _)| *known == key);
            own.any(|(_, stretch)| stretch.contains(ts))
        })
    }
}

impl Before {
    fn below(self) -> Expr {
        let id = ScalarValue::FixedSizeBinary(16, Some(self.record.0.to_vec()));
        let same_time = column(TS)
            .eq(tables::time(self.ts))
            .and(column(RECORD_ID).lt(Expr::Literal(id, None)));
        column(TS).lt(tables::time(self.ts)).or(same_time)
    }
}

fn newest_first() -> Vec<SortExpr> {
    let by = |name| column(name).sort(false, true);
    vec![by(TS), by(RECORD_ID)]
}
