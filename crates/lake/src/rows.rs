//! Records into Arrow rows: for parts, in the order of the part, and for queries of the journal.
//!
//! Rows come out in the order in which records go in. It must never sort, filter or drop.

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, FixedSizeBinaryBuilder, Float64Builder, Int32Builder,
    Int64Builder, RecordBatch, StringBuilder, TimestampMillisecondBuilder, UInt32Builder,
};
use arrow::datatypes::SchemaRef;
use model::record::{Entry, Peer, Record, Table};
use model::{AccountId, PersonKey, RecordId, Timestamp};
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::plan::{self, Counts, Plan};
use crate::schema::{self, PropertyType};
use crate::shred::{self, Key, Value};
use crate::{Error, Result};

/// Rows of one batch.
pub(crate) const BATCH_ROWS_MAX: usize = 8_192;
/// Bytes of records in one batch: offsets of text columns are 32-bit.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The rows that `entries` of the journal add to `table` of `account`, in the schema of parts.
///
/// All batches have the same schema; there are none when there are no rows. Order is that of the
/// entries; suppressed people are not left out.
///
/// # Errors
/// `Internal` when the columns do not fit together, which is a bug.
pub fn tail_batches<'a>(
    table: Table,
    account: AccountId,
    entries: impl IntoIterator<Item = &'a Entry>,
) -> Result<Vec<RecordBatch>> {
    let ours = |it: &&Entry| it.account == account && it.record.table() == table;
    let records: Vec<&Record> = entries
        .into_iter()
        .filter(ours)
        .map(|it| &it.record)
        .collect();
    let plan = plan_of(records.iter().copied());
    let mut batches = Vec::new();
    each_batch(table, &plan, &records, |batch| {
        batches.push(batch);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(batches)
}

/// The property columns that `records` need.
pub(crate) fn plan_of<'a>(records: impl Iterator<Item = &'a Record>) -> Plan {
    let mut counts = Counts::default();
    for record in records {
        if let Record::Event(event) = record {
            counts.count(event.properties.as_str());
        }
    }
    counts.into_plan()
}

/// Makes batches of `records`, all of `table`, and hands them to `take`.
pub(crate) fn each_batch(
    table: Table,
    plan: &Plan,
    records: &[&Record],
    mut take: impl FnMut(RecordBatch) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let schema = schema::part_schema(table, &plan.columns);
    plan::runs(
        records,
        BATCH_ROWS_MAX,
        BATCH_BYTES_MAX,
        |it| size_bytes(it),
        |run| {
            let batch = batch_of(table, plan, &schema, run)?;
            if batch.num_rows() == 0 {
                Ok(ControlFlow::Continue(()))
            } else {
                take(batch)
            }
        },
    )
}

/// About how many bytes a record's rows take.
fn size_bytes(record: &Record) -> usize {
    let variable = match record {
        Record::Event(it) => {
            it.properties.as_str().len() + it.context.as_ref().map_or(0, |it| it.as_str().len())
        }
        Record::ProfileChange(it) => it
            .changes
            .iter()
            .map(|it| 64 + it.property.len() + it.value.as_str().len())
            .sum(),
        Record::Link(_) => 0,
        Record::Request(it) => it.path.len() + it.reason.len(),
        Record::Quarantined(it) => it.body.len() + it.error.len(),
    };
    variable + 128
}

fn batch_of(
    table: Table,
    plan: &Plan,
    schema: &SchemaRef,
    records: &[&Record],
) -> Result<RecordBatch> {
    let columns = match table {
        Table::Events => events(plan, records),
        Table::ProfileChanges => profile_changes(records),
        Table::Links => links(records),
        Table::Requests => requests(records),
        Table::Quarantine => quarantine(records),
    }?;
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(Error::columns("build rows"))
}

fn events(plan: &Plan, records: &[&Record]) -> Result<Vec<ArrayRef>> {
    let (mut person, mut id) = (keys(records.len()), keys(records.len()));
    let (mut name, mut source, mut context) = (
        StringBuilder::new(),
        StringBuilder::new(),
        StringBuilder::new(),
    );
    let (mut ts, mut received_at, mut ts_sent) = (times(), times(), times());
    let mut session = UInt32Builder::new();
    let mut properties = Properties::new(plan);
    for record in records {
        let Record::Event(event) = record else {
            continue;
        };
        push_key(&mut person, &event.person)?;
        push_id(&mut id, &event.id)?;
        name.append_value(&event.name);
        ts.append_value(event.ts.ms());
        received_at.append_value(event.received_at.ms());
        ts_sent.append_option(event.ts_sent.map(Timestamp::ms));
        source.append_value(event.source.as_str());
        session.append_option(event.session);
        context.append_option(event.context.as_ref().map(model::RawJson::as_str));
        properties.push(event.properties.as_str());
    }
    let mut columns = vec![
        Arc::new(person.finish()) as ArrayRef,
        Arc::new(id.finish()),
        Arc::new(name.finish()),
        finish_times(ts),
        finish_times(received_at),
        finish_times(ts_sent),
        Arc::new(source.finish()),
        Arc::new(session.finish()),
        Arc::new(context.finish()),
    ];
    columns.extend(properties.finish());
    Ok(columns)
}

fn profile_changes(records: &[&Record]) -> Result<Vec<ArrayRef>> {
    let (mut person, mut id) = (keys(records.len()), keys(records.len()));
    let mut ordinal = UInt32Builder::new();
    let (mut ts, mut received_at) = (times(), times());
    let [mut source, mut op, mut property, mut value] = [(); 4].map(|()| StringBuilder::new());
    for record in records {
        let Record::ProfileChange(it) = record else {
            continue;
        };
        for (place, change) in (0_u32..).zip(&it.changes) {
            push_key(&mut person, &it.person)?;
            push_id(&mut id, &it.id)?;
            ordinal.append_value(place);
            ts.append_value(it.ts.ms());
            received_at.append_value(it.received_at.ms());
            source.append_value(it.source.as_str());
            op.append_value(change.op.as_str());
            property.append_value(&change.property);
            value.append_value(change.value.as_str());
        }
    }
    Ok(vec![
        Arc::new(person.finish()),
        Arc::new(id.finish()),
        Arc::new(ordinal.finish()),
        finish_times(ts),
        finish_times(received_at),
        Arc::new(source.finish()),
        Arc::new(op.finish()),
        Arc::new(property.finish()),
        Arc::new(value.finish()),
    ])
}

fn links(records: &[&Record]) -> Result<Vec<ArrayRef>> {
    let [mut from, mut to, mut id] = [(); 3].map(|()| keys(records.len()));
    let (mut ts, mut received_at) = (times(), times());
    let (mut from_kind, mut kind) = (StringBuilder::new(), StringBuilder::new());
    for record in records {
        let Record::Link(link) = record else { continue };
        push_key(&mut from, &link.from)?;
        push_key(&mut to, &link.to)?;
        push_id(&mut id, &link.id)?;
        ts.append_value(link.ts.ms());
        received_at.append_value(link.received_at.ms());
        from_kind.append_value(link.from_kind.as_str());
        kind.append_value(link.kind.as_str());
    }
    Ok(vec![
        Arc::new(from.finish()),
        Arc::new(to.finish()),
        Arc::new(id.finish()),
        finish_times(ts),
        finish_times(received_at),
        Arc::new(from_kind.finish()),
        Arc::new(kind.finish()),
    ])
}

fn requests(records: &[&Record]) -> Result<Vec<ArrayRef>> {
    let mut id = keys(records.len());
    let mut ts = times();
    let [
        mut plane,
        mut peer,
        mut peer_hash,
        mut tls_version,
        mut method,
        mut path,
    ] = [(); 6].map(|()| StringBuilder::new());
    let mut status = Int32Builder::new();
    let (mut outcome, mut reason) = (StringBuilder::new(), StringBuilder::new());
    let [mut size_bytes, mut accepted, mut rejected, mut duration_us] =
        [(); 4].map(|()| Int64Builder::new());
    let number = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
    for record in records {
        let Record::Request(line) = record else {
            continue;
        };
        push_id(&mut id, &line.id)?;
        ts.append_value(line.at.ms());
        plane.append_value(line.plane.as_str());
        match &line.peer {
            Peer::Unknown => {
                peer.append_value("");
                peer_hash.append_null();
            }
            Peer::Address(address) => {
                peer.append_value(address.to_string());
                peer_hash.append_null();
            }
            Peer::Hashed { hash, network } => {
                peer.append_value(network);
                peer_hash.append_value(hex(hash));
            }
        }
        tls_version.append_value(&line.tls_version);
        method.append_value(&line.method);
        path.append_value(&line.path);
        status.append_value(i32::from(line.status));
        outcome.append_value(line.outcome.as_str());
        reason.append_value(&line.reason);
        size_bytes.append_value(number(line.size_bytes));
        accepted.append_value(i64::from(line.accepted));
        rejected.append_value(i64::from(line.rejected));
        duration_us.append_value(number(line.duration_us));
    }
    Ok(vec![
        Arc::new(id.finish()),
        finish_times(ts),
        Arc::new(plane.finish()),
        Arc::new(peer.finish()),
        Arc::new(peer_hash.finish()),
        Arc::new(tls_version.finish()),
        Arc::new(method.finish()),
        Arc::new(path.finish()),
        Arc::new(status.finish()),
        Arc::new(outcome.finish()),
        Arc::new(reason.finish()),
        Arc::new(size_bytes.finish()),
        Arc::new(accepted.finish()),
        Arc::new(rejected.finish()),
        Arc::new(duration_us.finish()),
    ])
}

fn quarantine(records: &[&Record]) -> Result<Vec<ArrayRef>> {
    let (mut id, mut person) = (keys(records.len()), keys(records.len()));
    let mut ts = times();
    let (mut source, mut error) = (StringBuilder::new(), StringBuilder::new());
    let mut code = Int32Builder::new();
    let mut body = BinaryBuilder::new();
    for record in records {
        let Record::Quarantined(it) = record else {
            continue;
        };
        push_id(&mut id, &it.id)?;
        ts.append_value(it.received_at.ms());
        source.append_value(it.source.as_str());
        match &it.person {
            Some(key) => push_key(&mut person, key)?,
            None => person.append_null(),
        }
        code.append_value(i32::from(it.code));
        error.append_value(&it.error);
        body.append_value(&it.body);
    }
    Ok(vec![
        Arc::new(id.finish()),
        finish_times(ts),
        Arc::new(source.finish()),
        Arc::new(person.finish()),
        Arc::new(code.finish()),
        Arc::new(error.finish()),
        Arc::new(body.finish()),
    ])
}

fn keys(rows: usize) -> FixedSizeBinaryBuilder {
    FixedSizeBinaryBuilder::with_capacity(rows, 16)
}

fn push_key(builder: &mut FixedSizeBinaryBuilder, key: &PersonKey) -> Result<()> {
    builder
        .append_value(key.0)
        .map_err(Error::columns("build a column of person keys"))
}

fn push_id(builder: &mut FixedSizeBinaryBuilder, id: &RecordId) -> Result<()> {
    builder
        .append_value(id.0)
        .map_err(Error::columns("build a column of record ids"))
}

fn times() -> TimestampMillisecondBuilder {
    TimestampMillisecondBuilder::new()
}

fn finish_times(mut builder: TimestampMillisecondBuilder) -> ArrayRef {
    Arc::new(builder.finish().with_timezone("UTC"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Builds `overflow` and the property columns of a plan, row by row.
struct Properties<'p> {
    plan: &'p Plan,
    rows: usize,
    overflow: StringBuilder,
    columns: Vec<Column>,
    /// For each name the row that last had it, plus one, and its place in that row's members.
    seen: Vec<(usize, usize)>,
}

/// One column under construction: it lags behind until a value comes, and is then filled up.
enum Column {
    Int(Int64Builder, usize),
    Float(Float64Builder, usize),
    Text(StringBuilder, usize),
    Bool(BooleanBuilder, usize),
}

/// A member of the row at hand: the number of its name, if it has one.
struct Member<'a> {
    name: Option<usize>,
    key: Key<'a>,
    text: &'a str,
    value: Value<'a>,
}

impl<'p> Properties<'p> {
    fn new(plan: &'p Plan) -> Self {
        let column = |kind| match kind {
            PropertyType::Int => Column::Int(Int64Builder::new(), 0),
            PropertyType::Float => Column::Float(Float64Builder::new(), 0),
            PropertyType::Text | PropertyType::Json => Column::Text(StringBuilder::new(), 0),
            PropertyType::Bool => Column::Bool(BooleanBuilder::new(), 0),
        };
        Self {
            plan,
            rows: 0,
            overflow: StringBuilder::new(),
            columns: plan.columns.iter().map(|it| column(it.kind)).collect(),
            seen: vec![(0, 0); plan.names()],
        }
    }

    /// Adds a row. Of a key that occurs twice the last value counts, as in every JSON reader.
    fn push(&mut self, properties: &str) {
        let mut row: Vec<Member<'_>> = Vec::with_capacity(16);
        shred::members(properties, &mut |key, text| {
            let name = match &key {
                Key::Name(name) => self.plan.name(name),
                Key::Raw(_) => None,
            };
            let member = Member {
                name,
                value: shred::value_of(text),
                key,
                text,
            };
            let earlier = match name.and_then(|name| self.seen.get_mut(name)) {
                Some(seen) if seen.0 == self.rows + 1 => Some(seen.1),
                Some(seen) => {
                    *seen = (self.rows + 1, row.len());
                    None
                }
                None => row
                    .iter()
                    .position(|it| it.name.is_none() && it.key == member.key),
            };
            match earlier.and_then(|place| row.get_mut(place)) {
                Some(earlier) => *earlier = member,
                None => row.push(member),
            }
        });
        let mut overflow = String::new();
        for member in row {
            let place = member
                .name
                .and_then(|it| self.plan.place(it, member.value.kind()));
            match place.and_then(|place| self.columns.get_mut(place)) {
                Some(column) => column.push(self.rows, &member.value),
                None => push_member(&mut overflow, &member.key, member.text),
            }
        }
        if overflow.is_empty() {
            self.overflow.append_null();
        } else {
            overflow.push('}');
            self.overflow.append_value(overflow);
        }
        self.rows += 1;
    }

    fn finish(mut self) -> impl Iterator<Item = ArrayRef> {
        let rows = self.rows;
        let overflow: ArrayRef = Arc::new(self.overflow.finish());
        std::iter::once(overflow).chain(self.columns.into_iter().map(move |it| it.finish(rows)))
    }
}

/// Adds a member to the text of an object that still lacks its closing brace.
pub(crate) fn push_member(object: &mut String, key: &Key<'_>, value: &str) {
    object.push(if object.is_empty() { '{' } else { ',' });
    match key {
        Key::Name(name) => push_string(object, name),
        Key::Raw(text) => object.push_str(text),
    }
    object.push(':');
    object.push_str(value);
}

/// Adds the JSON text of a string.
pub(crate) fn push_string(text: &mut String, value: &str) {
    // A string always has a JSON text.
    text.push_str(&serde_json::to_string(value).unwrap_or_default());
}

impl Column {
    fn push(&mut self, row: usize, value: &Value<'_>) {
        match (self, value) {
            (Self::Int(builder, filled), Value::Int(it)) => {
                builder.append_nulls(row - *filled);
                builder.append_value(*it);
                *filled = row + 1;
            }
            (Self::Float(builder, filled), Value::Float(it)) => {
                builder.append_nulls(row - *filled);
                builder.append_value(*it);
                *filled = row + 1;
            }
            (Self::Bool(builder, filled), Value::Bool(it)) => {
                builder.append_nulls(row - *filled);
                builder.append_value(*it);
                *filled = row + 1;
            }
            (Self::Text(builder, filled), Value::Text(it)) => {
                builder.append_nulls(row - *filled);
                builder.append_value(it);
                *filled = row + 1;
            }
            (Self::Text(builder, filled), Value::Json(it)) => {
                builder.append_nulls(row - *filled);
                builder.append_value(it);
                *filled = row + 1;
            }
            // A plan gives a value the column of its own type.
            _ => {}
        }
    }

    fn finish(self, rows: usize) -> ArrayRef {
        match self {
            Self::Int(mut builder, filled) => {
                builder.append_nulls(rows - filled);
                Arc::new(builder.finish())
            }
            Self::Float(mut builder, filled) => {
                builder.append_nulls(rows - filled);
                Arc::new(builder.finish())
            }
            Self::Text(mut builder, filled) => {
                builder.append_nulls(rows - filled);
                Arc::new(builder.finish())
            }
            Self::Bool(mut builder, filled) => {
                builder.append_nulls(rows - filled);
                Arc::new(builder.finish())
            }
        }
    }
}
