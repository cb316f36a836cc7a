//! Pages of events, and counts of them.
//!
//! A page's position is content: day, person key, time, record id, and a cut-off of the time of
//! receipt. Compaction moves rows between parts, never in this order, and what arrives later is
//! above the cut-off, so a position stays good for ever. Days are read one at a time, in the order
//! of the parts, and reading stops when the page is full.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, UInt32Type};
use datafusion::logical_expr::{Expr, cast, lit};
use futures::StreamExt;
use lake::PropertyReader;
use lake::schema::{OVERFLOW, PERSON_KEY, PropertyColumn, RECORD_ID, TS};
use model::record::{Source, Table};
use model::{Day, PersonKey, RawJson, RecordId, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::conditions::{Conditions, PropertyFilter};
use crate::masked;
use crate::people::{PeopleReader, PersonView, ProfileParts};
use crate::reads::{self, Read};
use crate::scan::Order;
use crate::snapshot::{Snapshot, TableRows};
use crate::tables::{self, column};
use crate::{Engine, Error, ReadPolicy, Result};

pub(crate) const CONTEXT: &str = "context";

/// Days with fewer rows are read together, up to so many rows, and sorted.
const WINDOW_ROWS_MAX: u64 = 100_000;

/// Which events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsQuery {
    /// Of this name; of every name when none.
    pub event: Option<String>,
    /// From this moment on.
    pub from: Timestamp,
    /// Up to, not including, this moment.
    pub to: Timestamp,
    /// All of these hold of its properties.
    pub filters: Vec<PropertyFilter>,
    /// And all of these of what the SDK said of session, app and device.
    pub context: Vec<PropertyFilter>,
}

impl EventsQuery {
    /// Whether more is asked of an event than its name and time.
    pub(crate) const fn has_conditions(&self) -> bool {
        !self.filters.is_empty() || !self.context.is_empty()
    }
}

impl Default for EventsQuery {
    /// Every event.
    fn default() -> Self {
        Self {
            event: None,
            from: Timestamp::from_ms(i64::MIN),
            to: Timestamp::from_ms(i64::MAX),
            filters: Vec::new(),
            context: Vec::new(),
        }
    }
}

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

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// The record's id.
    pub record: RecordId,
    /// The key under which it was sent.
    pub key: PersonKey,
    /// The event's name.
    pub name: Box<str>,
    /// When it happened.
    pub ts: Timestamp,
    /// When it was received.
    pub received_at: Timestamp,
    /// What the sender said, when `ts` is not that.
    pub ts_sent: Option<Timestamp>,
    /// How it came.
    pub source: Source,
    /// The SDK's session.
    pub session: Option<u32>,
    /// All properties as a JSON object, each value as it was sent; masked ones are replaced.
    pub properties: RawJson,
    /// What the SDK said of device and session.
    pub context: Option<RawJson>,
    /// Whose it is. Records of one person share it.
    pub person: Arc<PersonView>,
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

    /// How many events match `query`.
    ///
    /// # Errors
    /// As [`Engine::events_page`].
    pub async fn count_events(&self, policy: &ReadPolicy, query: &EventsQuery) -> Result<u64> {
        self.with_snapshot(policy, &[Table::Events], move |snapshot| async move {
            let mut count = 0_u64;
            if !query.has_conditions() {
                for counted in self.counted(&snapshot, policy, query).await? {
                    let named = counted.names();
                    let named = named
                        .filter(|(it, _)| query.event.as_deref().is_none_or(|name| name == *it));
                    count += named.map(|(_, count)| count).sum::<u64>();
                }
                return Ok(count);
            }
            let needs = Needs::default();
            self.each_seen(&snapshot, policy, query, &needs, |_| count += 1)
                .await?;
            Ok(count)
        })
        .await
    }

    /// Calls `take` with the key of each event that matches and its time, or the times in order of
    /// several of one key.
    pub(crate) async fn each_event(
        &self,
        snapshot: &Snapshot,
        policy: &ReadPolicy,
        query: &EventsQuery,
        cut_off: Option<Timestamp>,
        mut take: impl FnMut(PersonKey, &[Timestamp]),
    ) -> Result<()> {
        let needs = Needs {
            person: true,
            ..Needs::default()
        };
        let mut rows = Arc::clone(snapshot.table(Table::Events)?);
        let is_plain = query.event.is_none() && !query.has_conditions();
        if is_plain && cut_off.is_none() && policy.events.is_none() {
            let time = (query.from, query.to);
            rows = self.present(&rows, policy, time, &mut take).await?;
        }
        self.each_row(&rows, policy, query, cut_off, &needs, |event| {
            take(event.person, &[event.ts]);
        })
        .await
    }

    /// Calls `take` with each event that matches, in no order. It can read what it `needs`.
    pub(crate) async fn each_seen(
        &self,
        snapshot: &Snapshot,
        policy: &ReadPolicy,
        query: &EventsQuery,
        needs: &Needs<'_>,
        take: impl FnMut(&Seen<'_>),
    ) -> Result<()> {
        let rows = snapshot.table(Table::Events)?;
        self.each_row(rows, policy, query, None, needs, take).await
    }

    async fn each_row(
        &self,
        rows: &Arc<TableRows>,
        policy: &ReadPolicy,
        query: &EventsQuery,
        cut_off: Option<Timestamp>,
        needs: &Needs<'_>,
        mut take: impl FnMut(&Seen<'_>),
    ) -> Result<()> {
        let conditions = Conditions::new(policy, query)?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut columns = vec![String::from(TS)];
        if needs.person {
            columns.push(String::from(PERSON_KEY));
        }
        let needs_context = needs.context || conditions.need_context();
        if needs_context {
            columns.push(String::from(CONTEXT));
        }
        let properties = needs.properties.iter().copied();
        columns.extend(property_columns(
            rows,
            conditions.properties().chain(properties),
        ));
        let filter = Some(matching(query, cut_off));
        let read = Read {
            filter,
            columns,
            ..Read::default()
        };
        let mut batches = self.read(rows, policy, Order::Any, read).await?.batches;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let times = reads::times(&batch, TS)?;
            let keys = match needs.person {
                true => Some(reads::keys(&batch, PERSON_KEY)?),
                false => None,
            };
            let properties = property_reader(&batch)?;
            let contexts = match needs_context {
                true => Some(reads::texts(&batch, CONTEXT)?),
                false => None,
            };
            for row in 0..batch.num_rows() {
                let context = contexts.and_then(|it| reads::text(it, row));
                if conditions.hold(&properties, context, row) {
                    take(&Seen {
                        person: keys.map_or(PersonKey([0; 16]), |it| reads::person(it, row)),
                        ts: reads::time(times, row),
                        context,
                        properties: &properties,
                        row,
                    });
                }
            }
        }
        Ok(())
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
            let filter = matching(query, Some(cut_off)).and(window.filter(after));
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
                let properties = property_reader(&batch)?;
                let contexts = reads::texts(&batch, CONTEXT)?;
                for row in 0..batch.num_rows() {
                    let context = reads::text(contexts, row);
                    if !conditions.hold(&properties, context, row) {
                        continue;
                    }
                    if found.len() == limit {
                        return Ok((found, true));
                    }
                    found.push(event_row(&batch, row, &properties, policy)?);
                }
            }
        }
        Ok((found, false))
    }
}

/// Days that are read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    first: Day,
    last: Day,
}

impl Window {
    pub(crate) fn filter(self, after: Option<Position>) -> Expr {
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

/// The days that may have rows, those with few rows together.
pub(crate) fn windows(
    rows: &TableRows,
    query: &EventsQuery,
    after: Option<Position>,
) -> Vec<Window> {
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

/// The rows that may match: by name, time, and cut-off, if there is one. A read that goes on later needs
/// one; any other sees what its snapshot holds.
pub(crate) fn matching(query: &EventsQuery, cut_off: Option<Timestamp>) -> Expr {
    let mut filters = Vec::new();
    if let Some(cut_off) = cut_off {
        filters.push(column("received_at").lt_eq(tables::time(cut_off)));
    }
    if query.from.ms() > i64::MIN {
        filters.push(column(TS).gt_eq(tables::time(query.from)));
    }
    if query.to.ms() < i64::MAX {
        filters.push(column(TS).lt(tables::time(query.to)));
    }
    if let Some(name) = &query.event {
        filters.push(column("name").eq(lit(name.clone())));
    }
    filters
        .into_iter()
        .reduce(Expr::and)
        .unwrap_or_else(|| lit(true))
}

/// What is read of an event beside its time.
#[derive(Debug, Default)]
pub(crate) struct Needs<'a> {
    /// Whose it is.
    pub(crate) person: bool,
    /// These properties.
    pub(crate) properties: Vec<&'a str>,
    /// What the SDK said.
    pub(crate) context: bool,
}

/// One event as it is looked at.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    /// Whose it is; nobody unless that was needed.
    pub(crate) person: PersonKey,
    pub(crate) ts: Timestamp,
    /// What the SDK said: a JSON object. None unless it was needed.
    pub(crate) context: Option<&'a str>,
    properties: &'a PropertyReader,
    row: usize,
}

impl Seen<'_> {
    /// A property that was needed.
    pub(crate) fn property(&self, name: &str) -> Option<RawJson> {
        self.properties.value(self.row, name)
    }
}

/// The physical columns of these properties.
pub(crate) fn property_columns<'a>(
    rows: &TableRows,
    names: impl Iterator<Item = &'a str>,
) -> BTreeSet<String> {
    let mut columns = BTreeSet::new();
    for name in names {
        columns.extend(rows.columns.types(name).iter().map(|kind| {
            PropertyColumn {
                name: Box::from(name),
                kind,
            }
            .physical_name()
        }));
        if rows.columns.has_overflow() {
            columns.insert(String::from(OVERFLOW));
        }
    }
    columns
}

pub(crate) fn property_reader(batch: &RecordBatch) -> Result<PropertyReader> {
    PropertyReader::new(batch).map_err(Error::Lake)
}

pub(crate) fn event_row(
    batch: &RecordBatch,
    row: usize,
    properties: &PropertyReader,
    policy: &ReadPolicy,
) -> Result<EventRow> {
    let source = reads::texts(batch, "source")?.value(row);
    let source = Source::ALL.into_iter().find(|it| it.as_str() == source);
    let context = reads::text(reads::texts(batch, CONTEXT)?, row);
    let session = reads::numbers::<UInt32Type>(batch, "session")?;
    let ts_sent = reads::times(batch, "ts_sent")?;
    Ok(EventRow {
        record: reads::record(reads::keys(batch, RECORD_ID)?, row),
        key: reads::person(reads::keys(batch, PERSON_KEY)?, row),
        name: Box::from(reads::texts(batch, "name")?.value(row)),
        ts: reads::time(reads::times(batch, TS)?, row),
        received_at: reads::time(reads::times(batch, "received_at")?, row),
        ts_sent: ts_sent.is_valid(row).then(|| reads::time(ts_sent, row)),
        source: source.ok_or(Error::Internal("name the source of an event"))?,
        session: session.is_valid(row).then(|| session.value(row)),
        properties: masked::object(properties.object(row), policy),
        context: context
            .and_then(|it| RawJson::parse(it).ok())
            .map(|it| masked::object(it, policy)),
        person: Arc::default(),
    })
}
