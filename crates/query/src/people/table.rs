//! `people` as SQL sees it: one row a person, folded while the rows are read.
//!
//! Who there is takes one pass over the keys of events and changes, and is held: it counts as memory of
//! all queries. Profiles are folded a page at a time, so that a query holds one page of them. Everything
//! is read under the reader's policy: deleted people are not there, masked values are replaced before they
//! get here. A statement that names some keys reads those people only, one that needs no profile folds none.

use arrow::array::{
    ArrayRef, FixedSizeBinaryBuilder, RecordBatch, RecordBatchOptions, StringBuilder,
    TimestampMillisecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::datasource::TableType;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::{StreamExt, TryStreamExt};
use governance::{Mask, PropertyOf};
use lake::schema::{PERSON_KEY, timestamp_type};
use model::limit::PROPERTY_COLUMNS_MAX;
use model::record::{ChangeOp, Table};
use model::{PersonKey, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::profile::{PersonView, ProfileParts, Seen};
use super::reader::{ENTRY_BYTES, Known, PeopleReader};
use crate::memory::Room;
use crate::reads::{self, Read};
use crate::scan::{self, Order};
use crate::snapshot::Snapshot;
use crate::tables::LOGICAL_PREFIX;
use crate::{Engine, Error, ReadPolicy, Result, export, json};

/// The table's name.
pub(crate) const NAME: &str = "people";

/// People folded at a time.
pub(crate) const PAGE: usize = 2_000;

/// A person, and when anything was first and last seen of them.
type Row = (PersonKey, PersonView, Option<Seen>);

/// The people of one snapshot.
pub(crate) struct PeopleTable {
    reading: Arc<Reading>,
    schema: SchemaRef,
}

/// What reading them needs.
struct Reading {
    engine: Engine,
    snapshot: Snapshot,
    policy: ReadPolicy,
}

impl std::fmt::Debug for PeopleTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeopleTable").finish_non_exhaustive()
    }
}

impl PeopleTable {
    /// The table of a snapshot of [`super::TABLES`]. `asked` are the properties that the statement
    /// names.
    pub(crate) async fn new(
        engine: &Engine,
        snapshot: Snapshot,
        policy: &ReadPolicy,
        asked: &BTreeSet<String>,
    ) -> Result<Self> {
        let (mut counts, _room) = engine.property_counts(&snapshot, policy).await?;
        let mut names: BTreeSet<String> = BTreeSet::new();
        // A masked property is a column even where nobody has it: nothing is told by that.
        let masked = |it: &&String| policy.masks_person(it);
        let known = |it: &&String| counts.contains_key(it.as_str());
        names.extend(asked.iter().filter(|it| known(it) || masked(it)).cloned());
        counts.retain(|name, _| !names.contains(&**name));
        let mut others: Vec<(u64, Box<str>)> = counts
            .into_iter()
            .map(|(name, count)| (count, name))
            .collect();
        others.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        others.truncate(PROPERTY_COLUMNS_MAX.saturating_sub(names.len()));
        names.extend(others.into_iter().map(|(_, name)| String::from(name)));
        Ok(Self {
            reading: Arc::new(Reading {
                engine: engine.clone(),
                snapshot,
                policy: policy.clone(),
            }),
            schema: schema(&names),
        })
    }
}

fn schema(names: &BTreeSet<String>) -> SchemaRef {
    let json = |name: &str| json::marked(Field::new(name, DataType::Utf8, true));
    let time = |name: &str| Field::new(name, timestamp_type(), true);
    let mut fields = vec![
        Field::new(PERSON_KEY, DataType::FixedSizeBinary(16), false),
        Field::new("identity", DataType::Utf8, true),
        json("identities"),
        json("devices"),
        time("first_seen"),
        time("last_seen"),
        time("changed_at"),
    ];
    fields.extend(
        names
            .iter()
            .map(|it| json(&format!("{LOGICAL_PREFIX}{it}"))),
    );
    Arc::new(Schema::new(fields))
}

impl Engine {
    /// How many changes each property of people has had, and what that takes of the memory that all
    /// queries share.
    async fn property_counts(
        &self,
        snapshot: &Snapshot,
        policy: &ReadPolicy,
    ) -> Result<(HashMap<Box<str>, u64>, Room)> {
        let rows = snapshot.table(Table::ProfileChanges)?;
        let mut room = self.room("properties of people");
        let read = Read {
            columns: ["op", "property"].map(String::from).to_vec(),
            ..Read::default()
        };
        let mut batches = self.read(rows, policy, Order::Any, read).await?.batches;
        let mut counts: HashMap<Box<str>, u64> = HashMap::new();
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let ops = reads::texts(&batch, "op")?;
            let properties = reads::texts(&batch, "property")?;
            for row in 0..batch.num_rows() {
                let is_property = match ChangeOp::from_name(ops.value(row)) {
                    Some(ChangeOp::Identify | ChangeOp::Token | ChangeOp::Device) | None => false,
                    Some(_) => true,
                };
                let name = properties.value(row);
                match counts.get_mut(name) {
                    _ if !is_property => {}
                    Some(count) => *count += 1,
                    None if room.take(name.len() + ENTRY_BYTES) => {
                        counts.insert(Box::from(name), 1);
                    }
                    None => {}
                }
            }
            room.check()?;
        }
        Ok((counts, room))
    }
}

#[async_trait]
impl TableProvider for PeopleTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        let support = |it: &&Expr| match keys_of(it) {
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let keys = filters.iter().filter_map(keys_of);
        let keys = keys.reduce(|a, b| a.intersection(&b).copied().collect());
        let stream = PeopleStream {
            reading: Arc::clone(&self.reading),
            schema: Arc::clone(&schema),
            keys: keys.map(|it| it.into_iter().collect()),
        };
        let partitions: Vec<Arc<dyn PartitionStream>> = vec![Arc::new(stream)];
        Ok(Arc::new(StreamingTableExec::try_new(
            schema, partitions, None, None, false, limit,
        )?))
    }
}

/// The keys that a filter leaves, when it is one on keys alone.
fn keys_of(filter: &Expr) -> Option<BTreeSet<PersonKey>> {
    match filter {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) => {
            let key = match (left.as_ref(), right.as_ref()) {
                (Expr::Column(column), other) | (other, Expr::Column(column))
                    if column.name == PERSON_KEY =>
                {
                    key_of(other)?
                }
                _ => return None,
            };
            Some(BTreeSet::from([key]))
        }
        Expr::InList(InList {
            expr,
            list,
            negated: false,
        }) => match expr.as_ref() {
            Expr::Column(column) if column.name == PERSON_KEY => list.iter().map(key_of).collect(),
            _ => None,
        },
        _ => None,
    }
}

fn key_of(value: &Expr) -> Option<PersonKey> {
    match value {
        Expr::Literal(ScalarValue::FixedSizeBinary(16, Some(bytes)), _) => {
            Some(PersonKey(<[u8; 16]>::try_from(bytes.as_slice()).ok()?))
        }
        _ => None,
    }
}

/// The rows, a page at a time.
struct PeopleStream {
    reading: Arc<Reading>,
    schema: SchemaRef,
    /// Only these people, when given.
    keys: Option<Vec<PersonKey>>,
}

impl std::fmt::Debug for PeopleStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeopleStream").finish_non_exhaustive()
    }
}

impl PartitionStream for PeopleStream {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (reading, schema) = (Arc::clone(&self.reading), Arc::clone(&self.schema));
        let keys = self.keys.clone();
        let pages = async move {
            let wanted = Wanted::by(&schema);
            let who = Arc::new(reading.who(keys.as_deref(), wanted).await?);
            let pages = 0..who.people.len().div_ceil(PAGE);
            let pages = futures::stream::iter(pages).then(move |page| {
                let (reading, who) = (Arc::clone(&reading), Arc::clone(&who));
                let schema = Arc::clone(&schema);
                async move {
                    let people = who.people.chunks(PAGE).nth(page).unwrap_or_default();
                    reading.page(people, wanted, &schema).await
                }
            });
            Ok::<_, Error>(pages)
        };
        let batches = futures::stream::once(pages)
            .try_flatten()
            .map_err(scan::external);
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            batches,
        ))
    }
}

/// What the columns of a statement need.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    /// Something that changes say.
    profile: bool,
}

impl Wanted {
    fn by(schema: &Schema) -> Self {
        let of_keys_and_events = [PERSON_KEY, "first_seen", "last_seen"];
        let mut names = schema.fields().iter().map(|it| it.name().as_str());
        Self {
            profile: names.any(|it| !of_keys_and_events.contains(&it)),
        }
    }
}

/// Who there is.
struct Who {
    /// In the order of their keys.
    people: Vec<Known>,
    /// What they take of the memory that all queries share.
    _held: Room,
}

impl Reading {
    async fn who(&self, keys: Option<&[PersonKey]>, wanted: Wanted) -> Result<Who> {
        let Self {
            engine,
            snapshot,
            policy,
        } = self;
        let mut reader = PeopleReader::new(engine, snapshot, policy).await?;
        let (people, room) = match keys {
            None => reader.everybody().await?,
            Some(keys) => {
                let now = engine.inner.clock.now();
                let mut named: Vec<PersonKey> = keys.to_vec();
                // A key that is not what its person is called names no row.
                named.retain(|it| reader.links.person(*it, now) == *it);
                let parts = ProfileParts {
                    // Somebody of whom nothing is known is not there.
                    profile: wanted.profile || !named.is_empty(),
                    events: true,
                };
                let views = reader.read(&named, parts).await?;
                let known = views.into_iter().filter(|(_, view)| !view.is_empty());
                let mut known: Vec<Known> = known.map(|(key, view)| (key, view.seen())).collect();
                known.sort_unstable_by_key(|(key, _)| *key);
                (known, engine.room("people who were named"))
            }
        };
        Ok(Who {
            people,
            _held: room,
        })
    }

    async fn page(
        &self,
        people: &[Known],
        wanted: Wanted,
        schema: &SchemaRef,
    ) -> Result<RecordBatch> {
        // What the views take of the memory that all queries share is given back with the reader.
        let mut reader;
        let mut views: HashMap<PersonKey, PersonView> = HashMap::new();
        if wanted.profile {
            let keys: Vec<PersonKey> = people.iter().map(|(key, _)| *key).collect();
            let parts = ProfileParts {
                profile: true,
                events: false,
            };
            reader = PeopleReader::new(&self.engine, &self.snapshot, &self.policy).await?;
            views = reader.read(&keys, parts).await?;
        }
        let rows: Vec<Row> = people
            .iter()
            .map(|(key, seen)| (*key, views.remove(key).unwrap_or_default(), *seen))
            .collect();
        let columns = schema
            .fields()
            .iter()
            .map(|field| self.column(field.name(), &rows));
        let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
            .map_err(|_| Error::Internal("build rows of people"))
    }

    fn column(&self, name: &str, rows: &[Row]) -> Result<ArrayRef> {
        let times = |of: fn(&Row) -> Option<Timestamp>| {
            let mut out = TimestampMillisecondBuilder::with_capacity(rows.len());
            rows.iter()
                .for_each(|row| out.append_option(of(row).map(Timestamp::ms)));
            Arc::new(out.finish().with_timezone("UTC")) as ArrayRef
        };
        let mut texts = StringBuilder::new();
        match name {
            PERSON_KEY => {
                let mut keys = FixedSizeBinaryBuilder::with_capacity(rows.len(), 16);
                for (key, ..) in rows {
                    keys.append_value(key.0)
                        .map_err(|_| Error::Internal("write a person's key"))?;
                }
                return Ok(Arc::new(keys.finish()));
            }
            "first_seen" => return Ok(times(|(_, _, seen)| seen.map(|it| it.first))),
            "last_seen" => return Ok(times(|(_, _, seen)| seen.map(|it| it.last))),
            "changed_at" => return Ok(times(|(_, view, _)| view.changed_at)),
            "identity" => rows
                .iter()
                .for_each(|(_, view, _)| texts.append_option(view.profile.identity())),
            "identities" => {
                for (_, view, _) in rows {
                    texts.append_value(export::identities_json(&view.profile)?);
                }
            }
            "devices" => {
                for (_, view, _) in rows {
                    texts.append_value(export::devices_json(&view.profile)?);
                }
            }
            name => {
                let property = name.strip_prefix(LOGICAL_PREFIX).unwrap_or(name);
                if self.policy.mask(PropertyOf::Person, property) == Some(Mask::Placeholder) {
                    // The same for all: whether somebody has it is not told either.
                    let masked = Mask::Placeholder.json("");
                    rows.iter().for_each(|_| texts.append_value(&masked));
                } else {
                    for (_, view, _) in rows {
                        let value = view.profile.properties.get(property);
                        texts.append_option(value.map(model::RawJson::as_str));
                    }
                }
            }
        }
        Ok(Arc::new(texts.finish()))
    }
}
