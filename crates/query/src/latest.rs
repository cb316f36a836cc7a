//! The newest events first: of everybody, or the timeline of one person.
//!
//! Which events a page shows is known before any of them is read whole: of everybody's, by what is
//! kept of each part (see [`crate::newest`]); of one person's, under a condition on properties, or far
//! back, by a look at what decides that, from the newest parts back, until a page is full. Whole events
//! that were read lately are held (see [`crate::whole`]). A position is content, as that of
//! [`crate::Position`]: a time, a record id and a cut-off of the time of receipt.

use datafusion::logical_expr::{Expr, SortExpr};
use governance::{Stretch, Suppressions};
use lake::schema::{PERSON_KEY, RECORD_ID, TS};
use model::catalog::PartMeta;
use model::record::Table;
use model::{PersonKey, RecordId, Timestamp};
use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use crate::conditions::Conditions;
use crate::events::{self, EventRow, EventsQuery};
use crate::masked;
use crate::newest::Rank;
use crate::people::{PeopleReader, PersonView, ProfileParts, TABLES};
use crate::ranks::Places;
use crate::reads::{self, Read};
use crate::scan::Order;
use crate::snapshot::TableRows;
use crate::tables::{self, column};
use crate::whole::Gathered;
use crate::{Engine, Error, ReadPolicy, Result};

/// Parts are looked at together up to about so many rows, and then no more if the page is full.
const LOOKED_AT_TOGETHER: u64 = 1_000_000;

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

/// Somebody who did something lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivePerson {
    /// Who, without their events.
    pub person: PersonView,
    /// The name of the last event.
    pub event: Box<str>,
    /// When it happened.
    pub ts: Timestamp,
}

/// One page's question.
#[derive(Debug)]
struct Asked<'a> {
    rows: &'a Arc<TableRows>,
    policy: &'a ReadPolicy,
    query: &'a EventsQuery,
    conditions: Conditions<'a>,
    /// Only events of these keys, each in its stretch of time.
    keys: Option<Vec<(PersonKey, Stretch)>>,
    before: Option<Before>,
    cut_off: Timestamp,
    /// One more than the page has room for tells whether there are more.
    room: usize,
}

/// The newest events, with their names.
type Spots = Places<Reverse<Rank>, Box<str>>;

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
        let cut_off = before.map_or_else(|| self.inner.clock.now(), |it| it.cut_off);
        self.with_snapshot(policy, &TABLES, move |snapshot| async move {
            let mut people = PeopleReader::new(self, &snapshot, policy).await?;
            let asked = Asked {
                rows: snapshot.table(Table::Events)?,
                policy,
                query,
                conditions: Conditions::new(policy, query)?,
                keys: person.map(|it| people.links.keys(it)),
                before,
                cut_off,
                room: limit.saturating_add(1),
            };
            let (mut records, more) = self.newest(&asked, limit).await?;
            events::put_people(&mut records, &mut people, ONLY_PROFILES).await?;
            let next = records.last().filter(|_| more).map(|last| Before {
                ts: last.ts,
                record: last.record,
                cut_off,
            });
            Ok(LatestPage { records, next })
        })
        .await
    }

    /// The people who did something last, at most `limit`, as far as they are among those of the
    /// `newest` events that match `query`: each with their last one, the newest first.
    ///
    /// # Errors
    /// `Denied` for a filter on a masked property; `Unavailable`, `Corrupt`.
    pub async fn active_last(
        &self,
        policy: &ReadPolicy,
        query: &EventsQuery,
        newest: usize,
        limit: usize,
    ) -> Result<Vec<ActivePerson>> {
        let cut_off = self.inner.clock.now();
        self.with_snapshot(policy, &TABLES, move |snapshot| async move {
            let mut people = PeopleReader::new(self, &snapshot, policy).await?;
            let asked = Asked {
                rows: snapshot.table(Table::Events)?,
                policy,
                query,
                conditions: Conditions::new(policy, query)?,
                keys: None,
                before: None,
                cut_off,
                room: newest,
            };
            let mut seen = HashSet::new();
            let mut last = Vec::new();
            for (Reverse((ts, _, key)), event) in self.spots(&asked).await?.found {
                let person = people.links.person(key, ts);
                if last.len() < limit && seen.insert(person) {
                    last.push((person, event, ts));
                }
            }
            let keys: Vec<PersonKey> = last.iter().map(|(person, ..)| *person).collect();
            let mut views = people.read(&keys, ONLY_PROFILES).await?;
            let active = last.into_iter().map(|(person, event, ts)| ActivePerson {
                person: views.remove(&person).unwrap_or_default(),
                event,
                ts,
            });
            Ok(active.collect())
        })
        .await
    }

    /// The rows of a page, and whether there are more.
    async fn newest(&self, asked: &Asked<'_>, limit: usize) -> Result<(Vec<EventRow>, bool)> {
        let (mut rows, is_cut) = match self.whole(asked, self.spots(asked).await?).await? {
            Some(whole) => whole,
            // What came after the cut-off stands among the newest that are kept of a part.
            None => {
                let spots = self.looked_for(asked).await?;
                let whole = self.whole(asked, spots).await?;
                whole.ok_or(Error::Internal("read the events of a page"))?
            }
        };
        let more = is_cut || rows.len() > limit;
        rows.truncate(limit);
        Ok((rows, more))
    }

    /// Which events are on a page.
    async fn spots(&self, asked: &Asked<'_>) -> Result<Spots> {
        if asked.is_plain()
            && let Some(left_out) = asked.policy.left_out()?
            && let Some(spots) = self.known(asked, &left_out).await?
        {
            return Ok(spots);
        }
        self.looked_for(asked).await
    }

    /// Which events are on a page, by what is kept of each part; none when the page goes further back.
    /// Some of them may have come after the cut-off.
    async fn known(
        &self,
        asked: &Asked<'_>,
        left_out: &Arc<Suppressions>,
    ) -> Result<Option<Spots>> {
        let mut spots = Spots::new(asked.room);
        let tail = Arc::new(asked.rows.tail_alone());
        self.look(asked, &tail, &mut spots).await?;
        // Below it, something may be missing.
        let mut floor: Option<Rank> = None;
        let mut parts = asked.newest_last();
        while let Some(some) = asked.next_parts(&mut parts, &spots) {
            let digests = self.digests(&self.inner.newest, asked.rows, &some, left_out);
            for digest in digests.await? {
                let only = asked.policy.events.as_deref();
                for (name, of_name) in digest.of(asked.query.event.as_deref(), only) {
                    floor = floor.max(of_name.floor());
                    for rank in of_name.ranks().filter(|it| asked.is_in_time(*it)) {
                        spots.add(Reverse(rank), || Box::from(name));
                    }
                }
            }
        }
        let is_known = match (floor, spots.last()) {
            (None, _) => true,
            (Some(floor), Some(Reverse(oldest))) => floor <= *oldest,
            (Some((ts, ..)), None) => ts < asked.query.from,
        };
        Ok(is_known.then_some(spots))
    }

    /// Which events are on a page, by what decides that.
    async fn looked_for(&self, asked: &Asked<'_>) -> Result<Spots> {
        let mut spots = Spots::new(asked.room);
        let tail = Arc::new(asked.rows.tail_alone());
        self.look(asked, &tail, &mut spots).await?;
        let mut parts = asked.newest_last();
        while let Some(some) = asked.next_parts(&mut parts, &spots) {
            let some = Arc::new(asked.rows.parts_alone(some));
            self.look(asked, &some, &mut spots).await?;
        }
        Ok(spots)
    }

    /// Adds to a page what is on it of `rows`, by what decides that alone.
    async fn look(
        &self,
        asked: &Asked<'_>,
        rows: &Arc<TableRows>,
        spots: &mut Spots,
    ) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let is_plain = asked.is_plain();
        let mut filter = asked.filter();
        if let Some(Reverse((ts, ..))) = spots.last() {
            filter = filter.and(column(TS).gt_eq(tables::time(*ts)));
        }
        let read = Read {
            filter: Some(filter),
            columns: vec![String::from("name")],
            sort: is_plain.then(newest_first).unwrap_or_default(),
            limit: is_plain.then_some(asked.room),
        };
        let (policy, conditions) = (asked.policy, &asked.conditions);
        self.each_rank(rows, policy, conditions, Order::Any, read, |event| {
            let (ts, _, key) = event.rank;
            if asked.is_of(key, ts) && event.holds() {
                spots.add(Reverse(event.rank), || Box::from(event.name));
            }
        })
        .await
    }

    /// The events of a page as the reader sees them, the newest first, and whether there was no room for
    /// all of them; none when one of them came after the cut-off.
    async fn whole(
        &self,
        asked: &Asked<'_>,
        spots: Spots,
    ) -> Result<Option<(Vec<EventRow>, bool)>> {
        let (policy, memory) = (asked.policy, &self.inner.whole);
        let mut page = Gathered::of(spots.found.keys().map(|spot| (spot.0, *spot)));
        for Reverse(rank) in spots.found.keys() {
            if let Some(row) = memory.find(policy.account, *rank) {
                page.add(row);
            }
        }
        if !page.is_complete() {
            // They are kept as they were sent.
            let open = policy.open();
            self.gather(asked.rows, policy, &open, &mut page).await?;
            memory.keep(policy.account, page.rows());
        }
        let (rows, is_cut) = page.finish()?;
        let came_later = |row: &Arc<EventRow>| row.received_at > asked.cut_off;
        if asked.before.is_some() && rows.iter().any(came_later) {
            return Ok(None);
        }
        let rows = rows.iter().map(|row| masked::event(row, policy));
        Ok(Some((rows.collect(), is_cut)))
    }
}

const ONLY_PROFILES: ProfileParts = ProfileParts {
    profile: true,
    events: false,
};

impl Asked<'_> {
    /// The parts that may have rows in the time, those with the newest last.
    fn newest_last(&self) -> Vec<Arc<PartMeta>> {
        let last = self.before.map(|it| it.ts);
        let in_time = self.rows.parts.iter().filter(|it| {
            it.ts_max >= self.query.from
                && it.ts_min < self.query.to
                && last.is_none_or(|last| it.ts_min <= last)
        });
        let mut parts: Vec<Arc<PartMeta>> = in_time.cloned().collect();
        parts.sort_by_key(|it| (it.ts_max, it.id));
        parts
    }

    /// The next of `parts` that are looked at together; none when what is left is not on the page.
    fn next_parts(
        &self,
        parts: &mut Vec<Arc<PartMeta>>,
        spots: &Spots,
    ) -> Option<Vec<Arc<PartMeta>>> {
        let newest = parts.last()?;
        let last = spots.last();
        if last.is_some_and(|Reverse((ts, ..))| newest.ts_max < *ts) {
            return None;
        }
        // One person's events are few, wherever they are.
        let together = match !self.query.has_conditions() && self.keys.is_some() {
            true => u64::MAX,
            false => LOOKED_AT_TOGETHER,
        };
        let (mut some, mut rows) = (Vec::new(), 0_u64);
        while rows < together
            && let Some(part) = parts.pop()
        {
            rows = rows.saturating_add(part.rows);
            some.push(part);
        }
        Some(some)
    }

    fn is_in_time(&self, (ts, record, _): Rank) -> bool {
        let is_below = |it: Before| (ts, record) < (it.ts, it.record);
        self.query.from <= ts && ts < self.query.to && self.before.is_none_or(is_below)
    }

    fn filter(&self) -> Expr {
        let mut filter = events::matching(self.query, self.before.map(|_| self.cut_off));
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
        !self.query.has_conditions() && self.keys.is_none()
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
        let same_time = column(TS)
            .eq(tables::time(self.ts))
            .and(column(RECORD_ID).lt(tables::record(self.record)));
        column(TS).lt(tables::time(self.ts)).or(same_time)
    }
}

fn newest_first() -> Vec<SortExpr> {
    let by = |name| column(name).sort(false, true);
    vec![by(TS), by(RECORD_ID), by(PERSON_KEY)]
}
