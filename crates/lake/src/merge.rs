//! Merges the rows of parts, in order, into new parts; leaves out what is hidden, old, double or
//! superseded.
//!
//! Compaction, deletion and expiry are all this one pass with different inputs. It works on bytes
//! that are already in memory and must never lose a row for any other reason than these four.
//!
//! Beside those bytes and the parts that it makes, it holds decoded rows: at most two batches of each
//! input and four more, of about [`INPUT_BATCH_BYTES`] each (144 MiB with sixteen inputs), and one
//! batch of the output, of about [`OUTPUT_BATCH_BYTES`].

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, RecordBatch, StringArray,
    TimestampMillisecondArray, UInt32Array, new_null_array,
};
use arrow::datatypes::{DataType, Schema, SchemaRef, UInt32Type};
use bytes::Bytes;
use model::catalog::PartMeta;
use model::record::Table;
use model::{AccountId, Day, PersonKey, RecordId, Timestamp};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::basic::Type as Physical;
use parquet::file::metadata::ParquetMetaData;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use crate::changes::{Changes, Row};
use crate::keep::{self, Hidden, Keep, Named, Seen};
use crate::part::{self, Ids, Place, Writer};
use crate::plan::{Counts, Plan};
use crate::property::PropertyReader;
use crate::rows::BATCH_ROWS_MAX;
use crate::schema::{self, ORDINAL, OVERFLOW, PERSON_KEY, PropertyColumn, RECORD_ID, TO_KEY, TS};
use crate::uploads::Sink;
use crate::{Error, Result, Settings};

/// Bytes of decoded rows that one input holds at a time, about.
pub(crate) const INPUT_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of decoded rows that leave for the outputs at a time, about.
const OUTPUT_BATCH_BYTES: usize = 16 * 1024 * 1024;

/// A part with its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) meta: Arc<PartMeta>,
    pub(crate) bytes: Bytes,
}

/// Which rows stay.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub(crate) account: AccountId,
    pub(crate) keep: Arc<dyn Keep>,
    /// Rows before this moment go.
    pub(crate) from: Option<Timestamp>,
    /// Profile changes before this moment go when later ones made them say nothing.
    pub(crate) superseded_before: Option<Timestamp>,
}

/// What became of the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) kept: u64,
    pub(crate) hidden: u64,
    /// The hidden ones, by whom they name.
    pub(crate) left_out: Hidden,
    pub(crate) expired: u64,
    pub(crate) duplicates: u64,
    pub(crate) superseded: u64,
}

/// How many rows of `input` the filter would take out; reads only the columns that it judges by.
pub(crate) fn count_removed(table: Table, input: &Input, filter: &Filter) -> Result<Tally> {
    let path = &input.meta.path;
    let mut tally = Tally::default();
    for batch in read_columns(path, input.bytes.clone(), &[PERSON_KEY, TO_KEY, TS])? {
        let batch = batch.map_err(|error| part::bad_part(path, &error))?;
        let keys = Keys::of(table, &batch, false)?;
        for row in 0..batch.num_rows() {
            filter.judge(&keys, row, &mut tally);
        }
    }
    Ok(tally)
}

/// The number of rows of each day in some inputs.
pub(crate) fn count_days(inputs: &[Input]) -> Result<BTreeMap<Day, u64>> {
    let mut days = BTreeMap::new();
    for Input { meta, bytes } in inputs {
        for batch in read_columns(&meta.path, bytes.clone(), &[TS])? {
            let batch = batch.map_err(|error| part::bad_part(&meta.path, &error))?;
            for ts in part::times(&batch)?.values() {
                *days.entry(Timestamp::from_ms(*ts).day()).or_default() += 1;
            }
        }
    }
    Ok(days)
}

/// Which days go to which output: `None` as the only output takes everything.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    /// For each output its day, none for a mixed part.
    pub(crate) outputs: Vec<Option<Day>>,
    /// By day, which output; days that are not here go to output 0.
    pub(crate) by_day: BTreeMap<Day, usize>,
}

/// Merges `inputs`, all of one account and table, into the parts that `routes` asks for.
pub(crate) fn merge(
    place: Place,
    inputs: &[Input],
    routes: &Routes,
    filter: &Filter,
    settings: &Settings,
    sink: &Sink,
) -> Result<Tally> {
    let (plan, ids) = plan_of(inputs)?;
    let schema = schema::part_schema(place.table, &plan.columns);
    let mut outputs = Vec::new();
    for day in &routes.outputs {
        let place = Place { day: *day, ..place };
        let writer = Writer::new(place, Arc::clone(&schema), ids, settings)?;
        outputs.push(Output {
            place,
            ids,
            writer,
            pending: Vec::new(),
        });
    }
    let mut window = Window {
        schema: Arc::clone(&schema),
        batches: Vec::new(),
    };
    let mut cursors = cursors(inputs, &schema)?;
    let mut heap = BinaryHeap::new();
    for (number, cursor) in cursors.iter_mut().enumerate() {
        if let Some(key) = cursor.advance(place.table, &mut window)? {
            heap.push(Reverse((key, number)));
        }
    }
    let mut tally = Tally::default();
    let mut seen = Seen::default();
    let mut changes = filter
        .superseded_before
        .filter(|_| place.table == Table::ProfileChanges)
        .map(Changes::new);
    let (mut pending, mut pending_bytes) = (0_usize, 0_usize);
    let window_max = inputs.len().saturating_mul(2) + 4;
    while let Some(Reverse((key, number))) = heap.pop() {
        let Some(cursor) = cursors.get_mut(number) else {
            break;
        };
        if let Some(at) = &cursor.at
            && filter.judge(&at.keys, at.row, &mut tally)
        {
            if seen.is_new(key.person, key.id, key.ordinal) {
                let output = routes.by_day.get(&key.ts.day()).copied().unwrap_or(0);
                let row = Row {
                    output,
                    batch: at.batch,
                    row: at.row,
                };
                match &mut changes {
                    Some(changes) => {
                        if changes.person != key.person {
                            changes.settle(&window, &mut outputs, &mut tally)?;
                            changes.begin(key.person);
                        }
                        changes.rows.push((key, row));
                    }
                    None => row.leave(&mut outputs),
                }
                pending += 1;
                pending_bytes = pending_bytes.saturating_add(at.row_bytes);
            } else {
                tally.kept -= 1;
                tally.duplicates += 1;
            }
        }
        if let Some(key) = cursor.advance(place.table, &mut window)? {
            heap.push(Reverse((key, number)));
        }
        if pending >= BATCH_ROWS_MAX
            || pending_bytes >= OUTPUT_BATCH_BYTES
            || window.batches.len() > window_max
        {
            if let Some(changes) = &mut changes {
                changes.settle(&window, &mut outputs, &mut tally)?;
            }
            for output in &mut outputs {
                output.write(&window, settings, sink)?;
            }
            (pending, pending_bytes) = (0, 0);
            window.forget(&mut cursors);
        }
    }
    if let Some(changes) = &mut changes {
        changes.settle(&window, &mut outputs, &mut tally)?;
    }
    for mut output in outputs {
        output.write(&window, settings, sink)?;
        if !output.writer.is_empty() {
            sink.finish(output.writer)?;
        }
    }
    Ok(tally)
}

/// The columns of the outputs: those with values in any input, the most used ones if there are
/// too many. And what the record ids are.
fn plan_of(inputs: &[Input]) -> Result<(Plan, Ids)> {
    let mut counts = Counts::default();
    let mut ids = Ids::Counted;
    for Input { meta, bytes } in inputs {
        let reader = part::open(&meta.path, bytes.clone())?;
        for group in reader.metadata().row_groups() {
            for column in group.columns() {
                let nulls = column
                    .statistics()
                    .and_then(|it| it.null_count_opt())
                    .unwrap_or(0);
                let values = u64::try_from(column.num_values())
                    .unwrap_or(0)
                    .saturating_sub(nulls);
                let name = column.column_path().parts().first();
                if name.is_some_and(|it| it == RECORD_ID) && column.bloom_filter_offset().is_some()
                {
                    ids = Ids::Scattered;
                }
                if let Some(column) = name.and_then(|it| PropertyColumn::parse(it))
                    && values > 0
                {
                    counts.add(&column.name, column.kind, values);
                }
            }
        }
    }
    Ok((counts.into_plan(), ids))
}

/// A cursor before the first row of each input.
fn cursors<'a>(inputs: &'a [Input], schema: &Schema) -> Result<Vec<Cursor<'a>>> {
    let cursor = |Input { meta, bytes }: &'a Input| {
        Ok::<_, Error>(Cursor {
            path: &meta.path,
            reader: read_rows(&meta.path, bytes.clone(), schema)?,
            at: None,
        })
    };
    inputs.iter().map(cursor).collect()
}

/// Reads those of `columns` that a part has, in its order. None of them may hold texts.
fn read_columns(path: &str, bytes: Bytes, columns: &[&str]) -> Result<ParquetRecordBatchReader> {
    let reader = part::open(path, bytes)?;
    let fields = reader.schema().fields().iter().enumerate();
    let wanted = fields.filter(|(_, it)| columns.contains(&it.name().as_str()));
    let mask = ProjectionMask::roots(reader.parquet_schema(), wanted.map(|(root, _)| root));
    let reader = reader
        .with_projection(mask)
        .with_batch_size(BATCH_ROWS_MAX)
        .build();
    reader.map_err(|error| part::bad_part(path, &error))
}

/// Reads a part in its order, in batches that take about [`INPUT_BATCH_BYTES`] in memory once they
/// have the columns of `schema`.
pub(crate) fn read_rows(
    path: &str,
    bytes: Bytes,
    schema: &Schema,
) -> Result<ParquetRecordBatchReader> {
    let reader = part::open_paged(path, bytes)?;
    let fixed = schema.fields().iter().map(|it| fixed_bytes(it.data_type()));
    let row_bytes = fixed.fold(text_bytes(reader.metadata()), usize::saturating_add);
    let rows = (INPUT_BATCH_BYTES / row_bytes.max(1)).clamp(1, BATCH_ROWS_MAX);
    let reader = reader.with_batch_size(rows).build();
    reader.map_err(|error| part::bad_part(path, &error))
}

/// Bytes that a row takes in a column, but for its text.
fn fixed_bytes(kind: &DataType) -> usize {
    match kind {
        DataType::FixedSizeBinary(bytes) => usize::try_from(*bytes).unwrap_or(0),
        DataType::Utf8 | DataType::Binary | DataType::Boolean => 4,
        _ => 8,
    }
}

/// Bytes of the texts of one row, decoded: for each column those of the page where they are longest,
/// on average. What repeats is encoded once and decoded each time.
fn text_bytes(metadata: &ParquetMetaData) -> usize {
    let mut longest: Vec<i64> = Vec::new();
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let rows = group.num_rows();
        let indexes = metadata.offset_index().and_then(|it| it.get(number));
        longest.resize(group.columns().len().max(longest.len()), 0);
        let columns = group.columns().iter().zip(&mut longest);
        for (place, (column, known)) in columns.enumerate() {
            if column.column_type() != Physical::BYTE_ARRAY {
                continue;
            }
            let of_pages = indexes.and_then(|it| it.get(place)).and_then(|index| {
                let bytes = index.unencoded_byte_array_data_bytes()?;
                let begins = index.page_locations().iter().map(|it| it.first_row_index);
                let ends = begins.clone().skip(1).chain([rows]);
                let pages = begins.zip(ends).zip(bytes);
                pages
                    .map(|((begin, end), bytes)| bytes / end.saturating_sub(begin).max(1))
                    .max()
            });
            let of_all = || {
                let bytes = column.unencoded_byte_array_data_bytes();
                bytes.unwrap_or_else(|| column.uncompressed_size()) / rows.max(1)
            };
            *known = of_pages.unwrap_or_else(of_all).max(*known);
        }
    }
    longest
        .into_iter()
        .map(|it| usize::try_from(it).unwrap_or(0))
        .fold(0, usize::saturating_add)
}

impl Filter {
    /// Whether the row stays; counts it.
    fn judge(&self, keys: &Keys, row: usize, tally: &mut Tally) -> bool {
        let ts = keys.ts(row);
        if self.from.is_some_and(|from| ts < from) {
            tally.expired += 1;
            return false;
        }
        let named = keys.named(row);
        if !keep::keeps(&*self.keep, self.account, named, ts) {
            tally.hidden += 1;
            keep::count(&mut tally.left_out, &*self.keep, self.account, named, ts);
            return false;
        }
        tally.kept += 1;
        true
    }
}

/// The key columns of one batch.
struct Keys {
    person: Option<FixedSizeBinaryArray>,
    to: Option<FixedSizeBinaryArray>,
    ts: TimestampMillisecondArray,
    id: Option<FixedSizeBinaryArray>,
    ordinal: Option<UInt32Array>,
}

/// What rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowKey {
    pub(crate) person: Option<PersonKey>,
    pub(crate) ts: Timestamp,
    pub(crate) id: RecordId,
    pub(crate) ordinal: u32,
}

impl Keys {
    fn of(table: Table, batch: &RecordBatch, whole: bool) -> Result<Self> {
        let keys = |name| part::keys(batch, name).map(Option::<&FixedSizeBinaryArray>::cloned);
        let keys = Self {
            person: keys(PERSON_KEY)?,
            to: keys(TO_KEY)?,
            ts: part::times(batch)?.clone(),
            id: keys(RECORD_ID)?,
            ordinal: batch
                .column_by_name(ORDINAL)
                .and_then(|it| it.as_primitive_opt::<UInt32Type>())
                .cloned(),
        };
        // A missing key column must never pass for a row that names nobody.
        let complete = (keys.person.is_some() || table == Table::Requests)
            && (keys.to.is_some() || table != Table::Links)
            && (!whole || keys.id.is_some())
            && (!whole || keys.ordinal.is_some() || table != Table::ProfileChanges);
        if complete {
            Ok(keys)
        } else {
            Err(Error::Internal {
                what: "find the key columns",
            })
        }
    }

    fn ts(&self, row: usize) -> Timestamp {
        Timestamp::from_ms(self.ts.value(row))
    }

    fn named(&self, row: usize) -> Named {
        [key(self.person.as_ref(), row), key(self.to.as_ref(), row)]
    }

    fn row_key(&self, row: usize) -> RowKey {
        RowKey {
            person: key(self.person.as_ref(), row),
            ts: self.ts(row),
            id: RecordId(key(self.id.as_ref(), row).map_or([0; 16], |it| it.0)),
            ordinal: self.ordinal.as_ref().map_or(0, |it| it.value(row)),
        }
    }
}

fn key(keys: Option<&FixedSizeBinaryArray>, row: usize) -> Option<PersonKey> {
    keys.filter(|it| it.is_valid(row))
        .map(|it| part::key_at(it, row))
}

/// The batches that rows at hand lie in.
pub(crate) struct Window {
    schema: SchemaRef,
    pub(crate) batches: Vec<RecordBatch>,
}

impl Window {
    /// Drops the batches that no cursor stands in; nothing may be pending.
    fn forget(&mut self, cursors: &mut [Cursor<'_>]) {
        let old = std::mem::take(&mut self.batches);
        for at in cursors.iter_mut().filter_map(|it| it.at.as_mut()) {
            if let Some(batch) = old.get(at.batch) {
                at.batch = self.batches.len();
                self.batches.push(batch.clone());
            }
        }
    }
}

/// The next row of one input.
struct Cursor<'a> {
    path: &'a str,
    reader: ParquetRecordBatchReader,
    at: Option<At>,
}

struct At {
    /// The batch's place in the window.
    batch: usize,
    row: usize,
    rows: usize,
    /// How many bytes a row takes in memory, on average.
    row_bytes: usize,
    keys: Keys,
}

impl Cursor<'_> {
    /// Goes to the next row and returns its key; none at the end.
    fn advance(&mut self, table: Table, window: &mut Window) -> Result<Option<RowKey>> {
        if let Some(at) = &mut self.at {
            at.row += 1;
            if at.row < at.rows {
                return Ok(Some(at.keys.row_key(at.row)));
            }
        }
        self.at = None;
        for batch in self.reader.by_ref() {
            let batch = batch.map_err(|error| part::bad_part(self.path, &error))?;
            if batch.num_rows() > 0 {
                let keys = Keys::of(table, &batch, true)?;
                let key = keys.row_key(0);
                let rows = batch.num_rows();
                let aligned = align(&batch, &window.schema)?;
                self.at = Some(At {
                    batch: window.batches.len(),
                    row: 0,
                    rows,
                    row_bytes: aligned.get_array_memory_size() / rows,
                    keys,
                });
                window.batches.push(aligned);
                return Ok(Some(key));
            }
        }
        Ok(None)
    }
}

pub(crate) struct Output {
    place: Place,
    ids: Ids,
    writer: Writer,
    /// Rows of the window, in order.
    pub(crate) pending: Vec<(usize, usize)>,
}

impl Output {
    fn write(&mut self, window: &Window, settings: &Settings, sink: &Sink) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let batches: Vec<&RecordBatch> = window.batches.iter().collect();
        let rows = arrow::compute::interleave_record_batch(&batches, &self.pending)
            .map_err(Error::columns("merge rows"))?;
        self.pending.clear();
        self.writer.write(&rows)?;
        if self.writer.is_full(settings) {
            let schema = Arc::clone(&window.schema);
            let next = Writer::new(self.place, schema, self.ids, settings)?;
            sink.finish(std::mem::replace(&mut self.writer, next))?;
        }
        Ok(())
    }
}

/// `batch` with the columns of `schema`: missing ones are null, surplus properties go to overflow.
fn align(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let surplus: Vec<usize> = batch
        .schema_ref()
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, it)| PropertyColumn::parse(it.name()).is_some())
        .filter(|(place, it)| {
            let empty = |column: &ArrayRef| column.null_count() == column.len();
            schema.index_of(it.name()).is_err() && !batch.columns().get(*place).is_none_or(empty)
        })
        .map(|(place, _)| place)
        .collect();
    let overflow = if surplus.is_empty() {
        None
    } else {
        Some(overflow_of(batch, surplus)?)
    };
    let columns = schema.fields().iter().map(|field| {
        let known = batch.column_by_name(field.name());
        match (&overflow, known) {
            (Some(overflow), _) if field.name() == OVERFLOW => Arc::clone(overflow),
            (_, Some(column)) => Arc::clone(column),
            (_, None) => new_null_array(field.data_type(), batch.num_rows()),
        }
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect())
        .map_err(Error::columns("fit rows to a part"))
}

/// The overflow column of `batch` after the columns at `surplus` have moved into it.
fn overflow_of(batch: &RecordBatch, mut surplus: Vec<usize>) -> Result<ArrayRef> {
    surplus.extend(batch.schema_ref().index_of(OVERFLOW).ok());
    let moved = batch
        .project(&surplus)
        .map_err(Error::columns("move columns to overflow"))?;
    let reader = PropertyReader::new(&moved)?;
    let texts = (0..batch.num_rows()).map(|row| {
        let object = reader.object(row);
        (object.as_str() != "{}").then(|| object.as_str().to_owned())
    });
    Ok(Arc::new(texts.collect::<StringArray>()))
}
