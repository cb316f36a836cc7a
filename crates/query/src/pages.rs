//! Pages of events.
//!
//! A page's position is content: day, person key, time, record id, and a cut-off of the time of
//! receipt. Compaction moves rows between parts, never in this order, and what arrives later is
//! above the cut-off, so a position stays good for ever.
//!
//! Which events are on a page is found first, by what decides that and nothing else: in the journal,
//! then in the parts, some days at a time, until the page is full. Those are read whole (see
//! [`crate::whole`]), and no others: neither the size of what is not on a page nor the number of
//! properties in all parts together costs it memory.

use arrow::datatypes::DataType;
use datafusion::logical_expr::{Expr, SortExpr, cast};
use lake::schema::{PERSON_KEY, RECORD_ID, TS};
use model::record::Table;
use model::{Day, PersonKey, RecordId, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::conditions::Conditions;
use crate::events::{self, EventRow, EventsQuery};
use crate::newest::Rank;
use crate::people::{PeopleReader, ProfileParts, TABLES};
use crate::ranks::Places;
use crate::reads::Read;
use crate::scan::Order;
use crate::snapshot::TableRows;
use crate::tables::{self, column};
use crate::whole::Gathered;
use crate::{Engine, ReadPolicy, Result};

/// Days with fewer rows are looked at together, up to so many rows; under conditions a day with more is
/// looked at in pieces.
const WINDOW_ROWS_MAX: u64 = 100_000;

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The day of the last record before it.
    pub day: Day,
    /// Its key.
    pub person: PersonKey,
    /// Its time.
    pub ts: Timestamp,
    /// Its id.
    pub record: RecordId,
    /// Only what was received until then counts.
    pub cut_off: Timestamp,
}

/// Some events, in the order of positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsPage {
    /// The events.
    pub records: Vec<EventRow>,
    /// Where the next page begins; none after the last.
    pub next: Option<Position>,
}

/// Where an event stands in the order of pages.
type Place = (Day, PersonKey, Timestamp, RecordId);

/// One page's question.
#[derive(Debug)]
struct Asked<'a> {
    rows: &'a Arc<TableRows>,
    policy: &'a ReadPolicy,
    query: &'a EventsQuery,
    conditions: Conditions<'a>,
    after: Option<Position>,
    cut_off: Timestamp,
    /// One more than the page has room for tells whether there are more.
    room: usize,
}

impl Engine {
    /// The events that match `query`, at most `limit`, after a position; fewer where these have more
    /// bytes than [`model::limit::PAGE_BYTES_MAX`].
    ///
    /// # Errors
    /// `Denied` for a filter on a masked property; `Unavailable`, `Corrupt`.
    pub async fn events_page(
        &self,
        policy: &ReadPolicy,
        query: &EventsQuery,
        parts: ProfileParts,
        after: Option<Position>,
        limit: usize,
    ) -> Result<EventsPage> {
        let cut_off = after.map_or_else(|| self.inner.clock.now(), |it| it.cut_off);
        self.with_snapshot(policy, &TABLES, move |snapshot| async move {
            let asked = Asked {
                rows: snapshot.table(Table::Events)?,
                policy,
                query,
                conditions: Conditions::new(policy, query)?,
                after,
                cut_off,
                room: limit.saturating_add(1),
            };
            let (mut rows, more) = self.page_rows(&asked, limit).await?;
            let mut people = PeopleReader::new(self, &snapshot, policy).await?;
            events::put_people(&mut rows, &mut people, parts).await?;
            let next = rows.last().filter(|_| more).map(|last| Position {
                day: last.ts.day(),
                person: last.key,
                ts: last.ts,
                record: last.record,
                cut_off,
            });
            Ok(EventsPage {
                records: rows,
                next,
            })
        })
        .await
    }

    /// The rows of a page, and whether there are more.
    async fn page_rows(&self, asked: &Asked<'_>, limit: usize) -> Result<(Vec<EventRow>, bool)> {
        let mut places = self.places(asked).await?;
        let more = places.len() > limit;
        if more {
            places.pop_last();
        }
        let mut page = Gathered::of(places.into_iter().map(|(place, rank)| (rank, place)));
        self.gather(asked.rows, asked.policy, asked.policy, &mut page)
            .await?;
        let (rows, is_cut) = page.finish()?;
        let rows = rows.into_iter().map(Arc::unwrap_or_clone).collect();
        Ok((rows, more || is_cut))
    }

    /// The first places from the position on, as many as there is room for.
    async fn places(&self, asked: &Asked<'_>) -> Result<BTreeMap<Place, Rank>> {
        let mut places = Places::new(asked.room);
        let tail = Arc::new(asked.rows.tail_alone());
        if let Some(window) = asked.window_of_tail() {
            self.look_in(asked, &tail, window, &mut places).await?;
        }
        let parts = Arc::new(asked.rows.parts_alone(asked.rows.parts.clone()));
        for window in asked.windows() {
            if !places.may_have(&window.begin()) {
                break;
            }
            self.look_in(asked, &parts, window, &mut places).await?;
        }
        Ok(places.found)
    }

    /// Adds the places of `rows` in a window.
    async fn look_in(
        &self,
        asked: &Asked<'_>,
        rows: &Arc<TableRows>,
        window: Window,
        places: &mut Places<Place, Rank>,
    ) -> Result<()> {
        let (policy, conditions) = (asked.policy, &asked.conditions);
        let (order, read) = asked.read(window);
        // Those of the journal have none.
        let order = match rows.parts.is_empty() {
            true => Order::Any,
            false => order,
        };
        self.each_rank(rows, policy, conditions, order, read, |event| {
            let place = place_of(event.rank);
            if places.may_have(&place) && event.holds() {
                places.add(place, || event.rank);
            }
        })
        .await
    }
}

fn place_of((ts, record, key): Rank) -> Place {
    (ts.day(), key, ts, record)
}

impl Asked<'_> {
    /// The first and the last day that is asked for; none when none is.
    fn days(&self) -> Option<(Day, Day)> {
        let query = self.query;
        if query.to <= query.from {
            return None;
        }
        let after = self.after.map_or(Day(i32::MIN), |it| it.day);
        let to = query.to.minus(Duration::from_millis(1)).day();
        Some((query.from.day().max(after), to))
    }

    /// The days of the journal's rows; none when they have none that is asked for.
    fn window_of_tail(&self) -> Option<Window> {
        let (from, to) = self.days()?;
        let (min, max) = self.rows.tail_times?;
        let first = Timestamp::from_ms(min).day().max(from);
        let last = Timestamp::from_ms(max).day().min(to);
        (first <= last).then_some(Window {
            first,
            last,
            keys: None,
        })
    }

    /// The days of which parts may have rows, those with few rows together.
    fn windows(&self) -> Vec<Window> {
        let Some((from, to)) = self.days() else {
            return Vec::new();
        };
        let mut days: BTreeMap<Day, u64> = BTreeMap::new();
        for part in &self.rows.parts {
            let (min, max) = (part.ts_min.day().max(from), part.ts_max.day().min(to));
            for day in min.0..=max.0 {
                *days.entry(Day(day)).or_default() += part.rows;
            }
        }
        let mut windows: Vec<(Window, u64)> = Vec::new();
        for (day, rows) in days {
            match windows.last_mut() {
                Some((window, sum)) if sum.saturating_add(rows) <= WINDOW_ROWS_MAX => {
                    window.last = day;
                    *sum += rows;
                }
                _ => windows.push((
                    Window {
                        first: day,
                        last: day,
                        keys: None,
                    },
                    rows,
                )),
            }
        }
        let mut pieces = Vec::with_capacity(windows.len());
        for (window, rows) in windows {
            if self.query.has_conditions() && rows > WINDOW_ROWS_MAX {
                pieces.extend(window.pieces(rows.div_ceil(WINDOW_ROWS_MAX), self.after));
            } else {
                pieces.push(window);
            }
        }
        pieces
    }

    /// What is read to find the places of a window. Under conditions nobody knows how many rows it takes
    /// to fill a page, so they come in no order: in order they would wait for each other, in memory.
    fn read(&self, window: Window) -> (Order, Read) {
        let filter = events::matching(self.query, Some(self.cut_off));
        let read = Read {
            filter: Some(filter.and(window.filter(self.after))),
            ..Read::default()
        };
        if self.query.has_conditions() {
            return (Order::Any, read);
        }
        let (order, sort) = window.order();
        let limit = Some(self.room);
        (
            order,
            Read {
                sort,
                limit,
                ..read
            },
        )
    }
}

/// Days that are looked at together, or a piece of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    first: Day,
    last: Day,
    /// When given only keys from the first one on, up to and not including the second one.
    keys: Option<(PersonKey, Option<PersonKey>)>,
}

impl Window {
    /// No place in it is before this one.
    fn begin(self) -> Place {
        let key = self.keys.map_or(PersonKey([0; 16]), |(from, _)| from);
        (
            self.first,
            key,
            Timestamp::from_ms(i64::MIN),
            RecordId([0; 16]),
        )
    }

    /// A day in pieces by key. The first one has about a `count`th of it, and each twice as much as the
    /// one before: a page that is soon full takes a look at few rows, one that is not takes few looks.
    fn pieces(self, count: u64, after: Option<Position>) -> Vec<Self> {
        let after = after.filter(|it| it.day == self.first);
        let mut from = after.map_or(0, |it| u128::from_be_bytes(it.person.0));
        let mut width = u128::MAX / u128::from(count.max(1));
        let mut pieces = Vec::new();
        loop {
            let to = from.checked_add(width);
            let key = |number: u128| PersonKey(number.to_be_bytes());
            pieces.push(Self {
                keys: Some((key(from), to.map(key))),
                ..self
            });
            let Some(to) = to else {
                return pieces;
            };
            from = to;
            width = width.saturating_mul(2);
        }
    }

    fn filter(self, after: Option<Position>) -> Expr {
        let end = Day(self.last.0.saturating_add(1)).start();
        let mut within = column(TS)
            .gt_eq(tables::time(self.first.start()))
            .and(column(TS).lt(tables::time(end)));
        if let Some((from, to)) = self.keys {
            within = within.and(column(PERSON_KEY).gt_eq(tables::key(from)));
            if let Some(to) = to {
                within = within.and(column(PERSON_KEY).lt(tables::key(to)));
            }
        }
        match after.filter(|it| it.day == self.first) {
            Some(position) => within.and(position.after()),
            None => within,
        }
    }

    fn order(self) -> (Order, Vec<SortExpr>) {
        let by = |name| column(name).sort(true, true);
        let mut sort = vec![by(PERSON_KEY), by(TS), by(RECORD_ID)];
        if self.first == self.last {
            return (Order::Parts, sort);
        }
        sort.insert(0, day().sort(true, true));
        (Order::Any, sort)
    }
}

impl Position {
    /// What is after it: on its day by key, time and id, or on a later day.
    fn after(&self) -> Expr {
        let end = Day(self.day.0.saturating_add(1)).start();
        let later_day = column(TS).gt_eq(tables::time(end));
        let key = || tables::key(self.person);
        let same_time = column(TS)
            .eq(tables::time(self.ts))
            .and(column(RECORD_ID).gt(tables::record(self.record)));
        let same_key = column(PERSON_KEY)
            .eq(key())
            .and(column(TS).gt(tables::time(self.ts)).or(same_time));
        let same_day = column(PERSON_KEY)
            .gt_eq(key())
            .and(column(PERSON_KEY).gt(key()).or(same_key));
        later_day.or(same_day)
    }
}

fn day() -> Expr {
    cast(column(TS), DataType::Date32)
}
