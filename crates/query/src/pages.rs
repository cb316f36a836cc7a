//! Pages of events.
//!
//! A page's position is content: day, person key, time, record id, and a cut-off of the time of
//! receipt. Compaction moves rows between parts, never in this order, and what arrives later is
//! above the cut-off, so a position stays good for ever. Days are read one at a time, in the order
//! of the parts, and reading stops when the page is full.

use arrow::datatypes::DataType;
use datafusion::logical_expr::{Expr, cast};
use futures::StreamExt;
use lake::schema::{PERSON_KEY, RECORD_ID, TS};
use model::record::Table;
use model::{Day, PersonKey, RecordId, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::conditions::Conditions;
use crate::events::{self, CONTEXT, EventRow, EventsQuery};
use crate::people::{PeopleReader, PersonView, ProfileParts};
use crate::reads::{self, Read};
use crate::scan::Order;
use crate::snapshot::{Snapshot, TableRows};
use crate::tables::{self, column};
use crate::{Engine, ReadPolicy, Result};

/// Days with fewer rows are read together, up to so many rows, and sorted.
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

impl Engine {
    /// The events that match `query`, at most `limit`, after a position.
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
        self.with_snapshot(policy, &crate::people::TABLES, move |snapshot| async move {
            let rows = self
                .page_rows(&snapshot, policy, query, after, cut_off, limit)
                .await?;
            let (mut rows, more) = (rows.0, rows.1);
            let mut people = PeopleReader::new(self, &snapshot, policy).await?;
            let mut names: Vec<PersonKey> = Vec::with_capacity(rows.len());
            for row in &rows {
                names.push(people.links.person(row.key, row.ts));
            }
            let distinct: BTreeSet<PersonKey> = names.iter().copied().collect();
            let distinct: Vec<PersonKey> = distinct.into_iter().collect();
            let views = people.read(&distinct, parts).await?;
            let views: HashMap<PersonKey, Arc<PersonView>> = views
                .into_iter()
                .map(|(key, view)| (key, Arc::new(view)))
                .collect();
            for (row, name) in rows.iter_mut().zip(names) {
                if let Some(view) = views.get(&name) {
                    row.person = Arc::clone(view);
                }
            }
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
    async fn page_rows(
        &self,
        snapshot: &Snapshot,
        policy: &ReadPolicy,
        query: &EventsQuery,
        after: Option<Position>,
        cut_off: Timestamp,
        limit: usize,
    ) -> Result<(Vec<EventRow>, bool)> {
        let rows = snapshot.table(Table::Events)?;
        let conditions = Conditions::new(policy, query)?;
        let mut found = Vec::new();
        for window in windows(rows, query, after) {
            let filter = events::matching(query, Some(cut_off)).and(window.filter(after));
            let (order, sort) = window.order();
            // One more than the page has room for tells whether there are more.
            let room = limit.saturating_sub(found.len()).saturating_add(1);
            let limit_rows = (!query.has_conditions()).then_some(room);
            let read = Read {
                filter: Some(filter),
                columns: Vec::new(),
                sort,
                limit: limit_rows,
            };
            let mut batches = self.read(rows, policy, order, read).await?.batches;
            while let Some(batch) = batches.next().await {
                let batch = batch?;
                let properties = events::property_reader(&batch)?;
                let contexts = reads::texts(&batch, CONTEXT)?;
                for row in 0..batch.num_rows() {
                    let context = reads::text(contexts, row);
                    if !conditions.hold(&properties, context, row) {
                        continue;
                    }
                    if found.len() == limit {
                        return Ok((found, true));
                    }
                    found.push(events::event_row(&batch, row, &properties, policy)?);
                }
            }
        }
        Ok((found, false))
    }
}

/// Days that are read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    first: Day,
    last: Day,
}

impl Window {
    fn filter(self, after: Option<Position>) -> Expr {
        let end = Day(self.last.0.saturating_add(1)).start();
        let within = column(TS)
            .gt_eq(tables::time(self.first.start()))
            .and(column(TS).lt(tables::time(end)));
        match after.filter(|it| it.day == self.first) {
            Some(position) => within.and(position.after()),
            None => within,
        }
    }

    fn order(self) -> (Order, Vec<datafusion::logical_expr::SortExpr>) {
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
        let id = Expr::Literal(
            datafusion::common::ScalarValue::FixedSizeBinary(16, Some(self.record.0.to_vec())),
            None,
        );
        let same_time = column(TS)
            .eq(tables::time(self.ts))
            .and(column(RECORD_ID).gt(id));
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

/// The days that may have rows, those with few rows together.
fn windows(rows: &TableRows, query: &EventsQuery, after: Option<Position>) -> Vec<Window> {
    if query.to <= query.from {
        return Vec::new();
    }
    let from = query
        .from
        .day()
        .max(after.map_or(Day(i32::MIN), |it| it.day));
    let to = query.to.minus(std::time::Duration::from_millis(1)).day();
    let mut days: BTreeMap<Day, u64> = BTreeMap::new();
    let mut add = |min: Timestamp, max: Timestamp, rows: u64| {
        let (min, max) = (min.day().max(from), max.day().min(to));
        for day in min.0..=max.0 {
            *days.entry(Day(day)).or_default() += rows;
        }
    };
    for part in &rows.parts {
        add(part.ts_min, part.ts_max, part.rows);
    }
    if let Some((min, max)) = rows.tail_times {
        let count = match &rows.tail {
            crate::snapshot::TailRows::Memory(batches) => {
                batches.iter().map(|it| it.num_rows() as u64).sum()
            }
            crate::snapshot::TailRows::Streamed(_) => WINDOW_ROWS_MAX,
        };
        add(Timestamp::from_ms(min), Timestamp::from_ms(max), count);
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
                },
                rows,
            )),
        }
    }
    windows.into_iter().map(|(window, _)| window).collect()
}
