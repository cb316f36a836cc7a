//! Exports: all events or all people of a time, as JSON Lines, CSV or Parquet.
//!
//! An event's row: `record_id`, `person_key`, `person` (the key that joins it to the export of
//! people), `name`, `ts`, `received_at`, `ts_sent`, `source`, `session`, `context` and `properties`
//! (JSON objects, each value as it was sent). A person's row: `person`, `keys`, `identity`,
//! `identities`, `devices`, `properties`. Masked values are replaced. Nothing is held but a batch. Events
//! are read out of one part after the other, each with its own columns, or out of several that have few
//! together: all that an account ever had are as many as whoever sends events likes.

use arrow::array::{
    ArrayRef, AsArray, FixedSizeBinaryBuilder, RecordBatch, StringArray, StringBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::logical_expr::Expr;
use datafusion::parquet;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use governance::{Profile, Stretch};
use lake::schema::{PERSON_KEY, RECORD_ID, TS, timestamp_type};
use model::record::Table;
use model::{PersonKey, RawJson, Timestamp};
use parquet::arrow::AsyncArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::csv::{self, Formulas};
use crate::events::{self, CONTEXT, EventsQuery};
use crate::masked;
use crate::people::{Links, PAGE, PersonView};
use crate::reads::{self, Read};
use crate::scan::Order;
use crate::snapshot::TableRows;
use crate::{Engine, Error, ReadPolicy, Result, Rows, json};

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    JsonLines,
    /// Comma-separated values.
    Csv(Formulas),
    /// Parquet, compressed with zstd.
    Parquet,
}

/// How far an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Rows written.
    pub rows: u64,
    /// Bytes written; for Parquet those of finished row groups.
    pub bytes: u64,
}

impl Engine {
    /// All events that match `query`, to be written with [`write()`]. In no order.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn export_events(&self, policy: &ReadPolicy, query: &EventsQuery) -> Result<Rows> {
        if query.has_conditions() {
            return Err(Error::Statement(String::from(
                "an export takes no property filters",
            )));
        }
        let tables = [Table::Events, Table::Links];
        self.settle(policy).await?;
        let snapshot = self.inner.snapshots.take(policy.account, &tables).await?;
        let mut links = self.links(&snapshot, policy).await?;
        let filter = events::matching(query, Some(self.inner.clock.now()));
        let everybody = PersonKey([0; 16])..=PersonKey([u8::MAX; 16]);
        let rows = snapshot.table(Table::Events)?;
        let pieces = rows.pieces(&(query.from..=query.to), &everybody);
        let batches = self.whole_rows(pieces, policy, filter);
        let schema = event_schema();
        let (policy, out_schema) = (policy.clone(), Arc::clone(&schema));
        let batches = batches
            .map(move |batch| events_batch(&batch?, &mut links, &policy, &out_schema))
            .boxed();
        Ok(Rows { schema, batches })
    }

    /// The rows of `pieces` for which `filter` is true, with all columns: each piece is planned and read
    /// when those before it have been.
    fn whole_rows(
        &self,
        pieces: Vec<TableRows>,
        policy: &ReadPolicy,
        filter: Expr,
    ) -> BoxStream<'static, Result<RecordBatch>> {
        let (engine, policy) = (self.clone(), policy.clone());
        let pieces = futures::stream::iter(pieces).then(move |piece| {
            let (engine, policy, filter) = (engine.clone(), policy.clone(), filter.clone());
            async move {
                let read = Read {
                    filter: Some(filter),
                    ..Read::default()
                };
                let plan = engine.plan_read(&Arc::new(piece), &policy, Order::Any, read)?;
                let state = engine.whole_reader(Order::Any);
                let rows = engine.run(state, plan, None).await?;
                Ok::<_, Error>(rows.batches)
            }
        });
        pieces.try_flatten().boxed()
    }

    /// All people who did or changed anything in the time, to be written with [`write()`]. By key.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn export_people(
        &self,
        policy: &ReadPolicy,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Rows> {
        let query = EventsQuery {
            from,
            to,
            ..EventsQuery::default()
        };
        let (people, room) = self.people(policy, &query).await?;
        let pages = futures::stream::iter(0..people.len().div_ceil(PAGE));
        // The keys, and what they take until the last page was read.
        let held = Arc::new((people, room));
        let schema = people_schema();
        let (engine, policy) = (self.clone(), policy.clone());
        let pages = pages.then(move |page| {
            let (engine, policy, held) = (engine.clone(), policy.clone(), Arc::clone(&held));
            async move {
                let page = held.0.chunks(PAGE).nth(page).unwrap_or_default();
                let people = engine.profiles(&policy, page).await?;
                people_batch(&people)
            }
        });
        Ok(Rows {
            schema,
            batches: pages.boxed(),
        })
    }
}

/// Writes all rows to `out`; `progress` is told after each batch.
///
/// # Errors
/// What the rows end with, or `Unavailable` when `out` fails. What was written before stays.
pub async fn write<W: AsyncWrite + Unpin + Send>(
    rows: Rows,
    format: Format,
    out: W,
    progress: impl FnMut(Progress) + Send,
) -> Result<Progress> {
    match format {
        Format::JsonLines | Format::Csv(_) => write_text(rows, format, out, progress).await,
        Format::Parquet => write_parquet(rows, out, progress).await,
    }
}

async fn write_text<W: AsyncWrite + Unpin + Send>(
    mut rows: Rows,
    format: Format,
    mut out: W,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<Progress> {
    let schema = Arc::clone(&rows.schema);
    let mut done = Progress::default();
    let mut text = String::new();
    if let Format::Csv(formulas) = format {
        csv::header(&schema, formulas, &mut text);
    }
    while let Some(batch) = rows.batches.next().await {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            match format {
                Format::Csv(formulas) => csv::line(&schema, &batch, row, formulas, &mut text)?,
                Format::JsonLines | Format::Parquet => {
                    json::object(&schema, &batch, row, &mut text)?;
                    text.push('\n');
                }
            }
        }
        out.write_all(text.as_bytes())
            .await
            .map_err(Error::Output)?;
        done.rows += batch.num_rows() as u64;
        done.bytes += text.len() as u64;
        text.clear();
        progress(done);
    }
    out.write_all(text.as_bytes())
        .await
        .map_err(Error::Output)?;
    done.bytes += text.len() as u64;
    out.flush().await.map_err(Error::Output)?;
    progress(done);
    Ok(done)
}

async fn write_parquet<W: AsyncWrite + Unpin + Send>(
    mut rows: Rows,
    out: W,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<Progress> {
    let failed = |error: parquet::errors::ParquetError| Error::Output(std::io::Error::other(error));
    let level = ZstdLevel::try_new(1).map_err(failed)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .build();
    let schema = readable(&rows.schema);
    let mut writer =
        AsyncArrowWriter::try_new(out, Arc::clone(&schema), Some(properties)).map_err(failed)?;
    let mut done = Progress::default();
    while let Some(batch) = rows.batches.next().await {
        let batch = with_readable_keys(&batch?, &schema)?;
        writer.write(&batch).await.map_err(failed)?;
        done.rows += batch.num_rows() as u64;
        done.bytes = writer.bytes_written() as u64;
        progress(done);
    }
    writer.finish().await.map_err(failed)?;
    done.bytes = writer.bytes_written() as u64;
    progress(done);
    Ok(done)
}

/// Keys as text: other programs show bytes badly.
fn readable(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::FixedSizeBinary(16) => Arc::new(Field::new(
            field.name(),
            DataType::Utf8,
            field.is_nullable(),
        )),
        _ => Arc::clone(field),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn with_readable_keys(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch
        .columns()
        .iter()
        .map(|array| match array.as_fixed_size_binary_opt() {
            Some(keys) => {
                let text: StringArray = keys.iter().map(|it| it.map(json::hex)).collect();
                Arc::new(text) as ArrayRef
            }
            None => Arc::clone(array),
        });
    RecordBatch::try_new(Arc::clone(schema), columns.collect())
        .map_err(|_| Error::Internal("build rows of a file"))
}

/// Some events as an export has them.
fn events_batch(
    batch: &RecordBatch,
    links: &mut Links,
    policy: &ReadPolicy,
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let (keys, times) = (reads::keys(batch, PERSON_KEY)?, reads::times(batch, TS)?);
    let mut people = FixedSizeBinaryBuilder::with_capacity(batch.num_rows(), 16);
    let properties = events::property_reader(batch)?;
    let mut objects = StringBuilder::new();
    let mut contexts = StringBuilder::new();
    let sent = reads::texts(batch, CONTEXT)?;
    for row in 0..batch.num_rows() {
        let person = links.person(reads::person(keys, row), reads::time(times, row));
        people
            .append_value(person.0)
            .map_err(|_| Error::Internal("write a person's key"))?;
        let object = masked::object(properties.object(row), policy);
        objects.append_value(object.as_str());
        let context = reads::text(sent, row).map(|it| match policy.masks.is_empty() {
            true => Cow::Borrowed(it),
            false => {
                let masked = masked::members(it, &policy.masks);
                Cow::Owned(masked.as_str().to_owned())
            }
        });
        contexts.append_option(context);
    }
    let mut made: BTreeMap<&str, ArrayRef> = BTreeMap::from([
        ("person", Arc::new(people.finish()) as ArrayRef),
        ("properties", Arc::new(objects.finish()) as ArrayRef),
        (CONTEXT, Arc::new(contexts.finish()) as ArrayRef),
    ]);
    let columns = schema.fields().iter().map(|field| {
        let name = field.name().as_str();
        let made = made.remove(name);
        made.or_else(|| batch.column_by_name(name).map(Arc::clone))
    });
    let columns: Option<Vec<ArrayRef>> = columns.collect();
    let columns = columns.ok_or(Error::Internal("find the columns of an event"))?;
    RecordBatch::try_new(Arc::clone(schema), columns)
        .map_err(|_| Error::Internal("build rows of an export"))
}

fn event_schema() -> SchemaRef {
    let key = |name| Field::new(name, DataType::FixedSizeBinary(16), false);
    let text = |name| Field::new(name, DataType::Utf8, false);
    let time = |name| Field::new(name, timestamp_type(), false);
    Arc::new(Schema::new(vec![
        key(RECORD_ID),
        key(PERSON_KEY),
        key("person"),
        text("name"),
        time(TS),
        time("received_at"),
        time("ts_sent").with_nullable(true),
        text("source"),
        Field::new("session", DataType::UInt32, true),
        json::marked(text("context").with_nullable(true)),
        json::marked(text("properties")),
    ]))
}

fn people_schema() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![
        text("person"),
        json::marked(text("keys")),
        text("identity").with_nullable(true),
        json::marked(text("identities")),
        json::marked(text("devices")),
        json::marked(text("properties")),
    ]))
}

fn people_batch(people: &[PersonView]) -> Result<RecordBatch> {
    let mut columns: [StringBuilder; 6] = std::array::from_fn(|_| StringBuilder::new());
    let [person, keys, identity, identities, devices, properties] = &mut columns;
    for view in people {
        person.append_value(view.key.map(|it| it.to_string()).unwrap_or_default());
        keys.append_value(keys_json(&view.keys)?);
        identity.append_option(view.profile.identity());
        identities.append_value(identities_json(&view.profile)?);
        devices.append_value(devices_json(&view.profile)?);
        properties.append_value(properties_json(&view.profile)?);
    }
    let columns = columns
        .iter_mut()
        .map(|it| Arc::new(it.finish()) as ArrayRef)
        .collect();
    RecordBatch::try_new(people_schema(), columns)
        .map_err(|_| Error::Internal("build rows of people"))
}

fn keys_json(keys: &[(PersonKey, Stretch)]) -> Result<String> {
    let keys: Vec<_> = keys
        .iter()
        .map(|(key, stretch)| KeyOut {
            key: key.to_string(),
            from: stretch.from.map(|it| it.to_string()),
            to: stretch.to.map(|it| it.to_string()),
        })
        .collect();
    text_of(&keys)
}

#[derive(serde::Serialize)]
struct KeyOut {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
}

pub(crate) fn identities_json(profile: &Profile) -> Result<String> {
    #[derive(serde::Serialize)]
    struct Out<'a> {
        kind: &'static str,
        identity: &'a str,
    }
    let all = profile.identities.iter();
    let all: Vec<_> = all
        .map(|it| Out {
            kind: it.kind.as_str(),
            identity: &it.text,
        })
        .collect();
    text_of(&all)
}

pub(crate) fn devices_json(profile: &Profile) -> Result<String> {
    #[derive(serde::Serialize)]
    struct Out<'a> {
        #[serde(skip_serializing_if = "Option::is_none", rename = "objectId")]
        object_id: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        platform: Option<&'a str>,
    }
    let all: Vec<_> = profile
        .devices
        .values()
        .map(|it| Out {
            object_id: it.object_id.as_deref(),
            platform: it.platform.as_deref(),
        })
        .collect();
    text_of(&all)
}

/// The properties as one JSON object, each value as it stands.
fn properties_json(profile: &Profile) -> Result<String> {
    let mut text = String::from("{");
    for (name, value) in &profile.properties {
        if text.len() > 1 {
            text.push(',');
        }
        json::push_string(&mut text, name);
        text.push(':');
        text.push_str(value.as_str());
    }
    text.push('}');
    Ok(text)
}

fn text_of<T: serde::Serialize>(value: &T) -> Result<String> {
    RawJson::of(value)
        .map(|it| it.as_str().to_owned())
        .map_err(|_| Error::Internal("write JSON"))
}
