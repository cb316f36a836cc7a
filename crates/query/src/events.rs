//! Events: which ones are asked for, what one is, and how many there are.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::UInt32Type;
use datafusion::logical_expr::{Expr, lit};
use futures::StreamExt;
use lake::PropertyReader;
use lake::schema::{OVERFLOW, PERSON_KEY, PropertyColumn, RECORD_ID, TS};
use model::record::{Source, Table};
use model::{PersonKey, RawJson, RecordId, Timestamp};
use std::collections::{BTreeSet, HashMap};
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

/// Puts beside each event whose it is.
pub(crate) async fn put_people(
    rows: &mut [EventRow],
    people: &mut PeopleReader<'_>,
    parts: ProfileParts,
) -> Result<()> {
    let of_row = |row: &EventRow| people.links.person(row.key, row.ts);
    let of_rows: Vec<PersonKey> = rows.iter().map(of_row).collect();
    let mut distinct = of_rows.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let views = people.read(&distinct, parts).await?.into_iter();
    let views: HashMap<PersonKey, Arc<PersonView>> =
        views.map(|(key, view)| (key, Arc::new(view))).collect();
    for (row, person) in rows.iter_mut().zip(of_rows) {
        if let Some(view) = views.get(&person) {
            row.person = Arc::clone(view);
        }
    }
    Ok(())
}

impl Engine {
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
