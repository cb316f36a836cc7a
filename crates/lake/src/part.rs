//! One part: how its bytes are written and opened. The format is drawn in `docs/formats/part.md`.
//!
//! Works on bytes in memory, bounded by `Settings::part_bytes_max`. It must never decide what
//! goes into a part, and it never touches the store.

use arrow::array::{Array, AsArray, FixedSizeBinaryArray, RecordBatch, TimestampMillisecondArray};
use arrow::datatypes::{SchemaRef, TimestampMillisecondType};
use bytes::Bytes;
use model::catalog::PartMeta;
use model::record::Table;
use model::{AccountId, Day, PartId, PersonKey, Timestamp};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, PageIndexPolicy, ParquetMetaData, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::sync::Arc;

use crate::encoder::Encoder;
use crate::schema::PropertyColumn;
use crate::schema::{self, OVERFLOW, PERSON_KEY, PropertyType, RECORD_ID, TO_KEY, TS};
use crate::{Error, Result, Settings};

/// The key in a part's metadata that holds the version of the format.
const VERSION_KEY: &str = "strongroom.part";
/// The version that this code writes, and the newest that it reads.
const VERSION: &str = "1";

/// Where a part belongs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) account: AccountId,
    pub(crate) table: Table,
    /// None for a mixed part.
    pub(crate) day: Option<Day>,
    pub(crate) level: u32,
    pub(crate) created_at: Timestamp,
}

/// What the record ids of a part are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    /// Counted up by servers: the part's bounds tell new ones apart.
    Counted,
    /// Made from what the records say: only a filter tells.
    Scattered,
}

/// A part that is ready to be put into the store.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) meta: PartMeta,
    pub(crate) bytes: Bytes,
}

/// Writes one part, row by row in the order of the table.
pub(crate) struct Writer {
    place: Place,
    out: Encoder,
    rows: u64,
    /// Bytes of the rows in memory.
    raw_bytes: usize,
    ts: Option<(Timestamp, Timestamp)>,
    person: Option<(PersonKey, PersonKey)>,
}

impl Writer {
    pub(crate) fn new(
        place: Place,
        schema: SchemaRef,
        ids: Ids,
        settings: &Settings,
    ) -> Result<Self> {
        let properties = Arc::new(writer_properties(place.table, &schema, ids, settings)?);
        let out = Encoder::new(schema, properties, settings.row_group_rows)?;
        Ok(Self {
            place,
            out,
            rows: 0,
            raw_bytes: 0,
            ts: None,
            person: None,
        })
    }

    /// Adds rows; they continue the order of those before.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        for time in times(batch)?.values() {
            let time = Timestamp::from_ms(*time);
            let (min, max) = self.ts.unwrap_or((time, time));
            self.ts = Some((min.min(time), max.max(time)));
        }
        if let Some(persons) = keys(batch, PERSON_KEY)? {
            // Sorted: the first and the last that are not null are the smallest and largest.
            let mut valid = (0..persons.len()).filter(|row| persons.is_valid(*row));
            if let Some(first) = valid.next() {
                let last = valid.next_back().unwrap_or(first);
                let (first, last) = (key_at(persons, first), key_at(persons, last));
                let (min, max) = self.person.unwrap_or((first, last));
                self.person = Some((min.min(first), max.max(last)));
            }
        }
        self.rows += batch.num_rows() as u64;
        self.raw_bytes = self.raw_bytes.saturating_add(batch.get_array_memory_size());
        self.out.write(batch)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether the part should end here and the next rows go to a new one.
    pub(crate) fn is_full(&self, settings: &Settings) -> bool {
        let encoded = self.out.size_bytes();
        encoded >= settings.part_bytes_max || self.raw_bytes >= settings.part_raw_bytes_max
    }

    /// Ends the part, which has at least one row.
    pub(crate) fn finish(self, id: PartId) -> Result<Finished> {
        let Place {
            account,
            table,
            day,
            level,
            created_at,
        } = self.place;
        let (bytes, mut columns) = self.out.finish()?;
        columns.retain(|it| it == OVERFLOW || PropertyColumn::parse(it).is_some());
        let (ts_min, ts_max) = self.ts.unwrap_or_default();
        let (person_min, person_max) = self
            .person
            .unwrap_or((PersonKey([0; 16]), PersonKey([0xff; 16])));
        let folder = day.map_or_else(|| String::from("mixed"), |day| day.to_string());
        let meta = PartMeta {
            id,
            account,
            table,
            day,
            path: format!("{ROOT}/{account}/{}/{folder}/{id}.parquet", table.as_str()),
            rows: self.rows,
            size_bytes: bytes.len() as u64,
            ts_min,
            ts_max,
            person_min,
            person_max,
            columns,
            level,
            created_at,
        };
        Ok(Finished {
            meta,
            bytes: Bytes::from(bytes),
        })
    }
}

/// The folder of the store that holds all parts.
pub(crate) const ROOT: &str = "lake";

fn writer_properties(
    table: Table,
    schema: &SchemaRef,
    ids: Ids,
    settings: &Settings,
) -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(settings.zstd_level).map_err(Error::parquet("set up a part"))?;
    let sorting = schema::sort_columns(table).iter().filter_map(|name| {
        let column_idx = i32::try_from(schema.index_of(name).ok()?).ok()?;
        Some(SortingColumn {
            column_idx,
            descending: false,
            nulls_first: true,
        })
    });
    let mut properties = WriterProperties::builder()
        .set_created_by(String::from("strongroom"))
        .set_key_value_metadata(Some(vec![
            KeyValue::new(String::from(VERSION_KEY), String::from(VERSION)),
            KeyValue::new(String::from("strongroom.table"), table.as_str().to_owned()),
        ]))
        .set_sorting_columns(Some(sorting.collect()))
        .set_compression(Compression::ZSTD(level))
        .set_data_page_row_count_limit(settings.page_rows)
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for field in schema.fields() {
        let path = || ColumnPath::new(vec![field.name().clone()]);
        let plain = |encoding| (encoding, false);
        let (encoding, dictionary) = match field.name().as_str() {
            // Equal and alike neighbours: each key costs what it does not share with the last.
            PERSON_KEY => plain(Encoding::DELTA_BYTE_ARRAY),
            // Writer, batch and ordinal each in streams of their own.
            RECORD_ID => plain(Encoding::BYTE_STREAM_SPLIT),
            TO_KEY => plain(Encoding::PLAIN),
            TS => plain(Encoding::DELTA_BINARY_PACKED),
            // One dictionary of large bodies would hide how large the rows are.
            "body" => plain(Encoding::PLAIN),
            name => match PropertyColumn::parse(name).map(|it| it.kind) {
                Some(PropertyType::Bool) => plain(Encoding::PLAIN),
                Some(PropertyType::Int) => (Encoding::DELTA_BINARY_PACKED, true),
                _ => (Encoding::PLAIN, true),
            },
        };
        properties = properties
            .set_column_encoding(path(), encoding)
            .set_column_dictionary_enabled(path(), dictionary);
        let paged = [PERSON_KEY, TO_KEY, TS, "name"].contains(&field.name().as_str());
        if paged {
            properties = properties.set_column_statistics_enabled(path(), EnabledStatistics::Page);
        }
        if [PERSON_KEY, TO_KEY].contains(&field.name().as_str()) {
            properties = properties
                .set_column_bloom_filter_enabled(path(), true)
                .set_column_bloom_filter_fpp(path(), settings.bloom_fpp)
                .set_column_bloom_filter_max_ndv(path(), settings.row_group_rows as u64);
        }
        if field.name() == RECORD_ID && ids == Ids::Scattered {
            properties = properties
                .set_column_bloom_filter_enabled(path(), true)
                .set_column_bloom_filter_fpp(path(), settings.record_fpp)
                .set_column_bloom_filter_max_ndv(path(), settings.row_group_rows as u64);
        }
    }
    Ok(properties.build())
}

/// A part's bytes, opened.
pub(crate) fn open(path: &str, bytes: Bytes) -> Result<ParquetRecordBatchReaderBuilder<Bytes>> {
    open_with(path, bytes, ArrowReaderOptions::new())
}

/// The same, with what its footer says of each page.
pub(crate) fn open_paged(
    path: &str,
    bytes: Bytes,
) -> Result<ParquetRecordBatchReaderBuilder<Bytes>> {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    open_with(path, bytes, options)
}

fn open_with(
    path: &str,
    bytes: Bytes,
    options: ArrowReaderOptions,
) -> Result<ParquetRecordBatchReaderBuilder<Bytes>> {
    let metadata =
        ArrowReaderMetadata::load(&bytes, options).map_err(|error| bad_part(path, &error))?;
    check_version(path, metadata.metadata())?;
    Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(
        bytes, metadata,
    ))
}

/// Refuses a part of a later format.
pub(crate) fn check_version(path: &str, metadata: &ParquetMetaData) -> Result<()> {
    let entries = metadata.file_metadata().key_value_metadata();
    let version = entries
        .into_iter()
        .flatten()
        .find(|it| it.key == VERSION_KEY);
    match version.and_then(|it| it.value.as_deref()) {
        Some(VERSION) => Ok(()),
        Some(newer) => Err(Error::NewerPart {
            path: path.to_owned(),
            version: newer.to_owned(),
        }),
        None => Err(Error::BadPart {
            path: path.to_owned(),
            what: String::from("it is no part: it lacks the format's version"),
        }),
    }
}

pub(crate) fn bad_part(path: &str, error: &dyn std::fmt::Display) -> Error {
    Error::BadPart {
        path: path.to_owned(),
        what: error.to_string(),
    }
}

/// The time column of a batch.
pub(crate) fn times(batch: &RecordBatch) -> Result<&TimestampMillisecondArray> {
    batch
        .column_by_name(TS)
        .and_then(|it| it.as_primitive_opt::<TimestampMillisecondType>())
        .ok_or(Error::Internal {
            what: "find the time column of a batch",
        })
}

/// A column of 16-byte keys, if the batch has it.
pub(crate) fn keys<'b>(
    batch: &'b RecordBatch,
    name: &str,
) -> Result<Option<&'b FixedSizeBinaryArray>> {
    let Some(column) = batch.column_by_name(name) else {
        return Ok(None);
    };
    match column.as_fixed_size_binary_opt() {
        Some(keys) if keys.value_length() == 16 => Ok(Some(keys)),
        _ => Err(Error::Internal {
            what: "read a column of keys: it has another type",
        }),
    }
}

/// The key in `row`, which is not null.
pub(crate) fn key_at(keys: &FixedSizeBinaryArray, row: usize) -> PersonKey {
    let mut key = [0; 16];
    key.iter_mut()
        .zip(keys.value(row))
        .for_each(|(to, from)| *to = *from);
    PersonKey(key)
}
