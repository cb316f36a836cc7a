//! Encodes rows into a Parquet file that has only the columns which turned out to hold values.
//!
//! A column without a value would still tell its property's name, which a sender may have made
//! from personal data: after a deletion nothing of it may be left. But a file's schema stands
//! before its rows are known, so column chunks are encoded first and the file is put together at
//! the end. It must never leave a value out.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;
use std::io::Write;
use std::sync::Arc;

use crate::{Error, Result};

/// A file under construction.
pub(crate) struct Encoder {
    schema: SchemaRef,
    properties: WriterPropertiesPtr,
    factory: ArrowRowGroupWriterFactory,
    row_group_rows: usize,
    /// Row groups that are complete: a chunk for each column.
    groups: Vec<Vec<ArrowColumnChunk>>,
    group_bytes: usize,
    /// The row group at hand; empty when none has begun.
    columns: Vec<ArrowColumnWriter>,
    rows: usize,
    /// For each column whether it has had a value.
    used: Vec<bool>,
}

impl Encoder {
    pub(crate) fn new(
        schema: SchemaRef,
        properties: WriterPropertiesPtr,
        row_group_rows: usize,
    ) -> Result<Self> {
        let template =
            file(std::io::sink(), &schema, &properties).map_err(Error::parquet("begin a part"))?;
        let factory = ArrowRowGroupWriterFactory::new(&template, Arc::clone(&schema));
        let used = vec![false; schema.fields().len()];
        Ok(Self {
            schema,
            properties,
            factory,
            row_group_rows: row_group_rows.max(1),
            groups: Vec::new(),
            group_bytes: 0,
            columns: Vec::new(),
            rows: 0,
            used,
        })
    }

    /// Adds rows of the schema.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        for (used, column) in self.used.iter_mut().zip(batch.columns()) {
            *used |= column.null_count() < column.len();
        }
        let mut from = 0;
        while from < batch.num_rows() {
            let rows = (batch.num_rows() - from).min(self.row_group_rows - self.rows);
            let written = self.write_rows(&batch.slice(from, rows));
            written.map_err(Error::parquet("write rows to a part"))?;
            from += rows;
        }
        Ok(())
    }

    fn write_rows(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        if self.columns.is_empty() {
            self.columns = self.factory.create_column_writers(self.groups.len())?;
        }
        let mut writers = self.columns.iter_mut();
        for (field, column) in self.schema.fields().iter().zip(batch.columns()) {
            for leaf in compute_leaves(field, column)? {
                // Our columns are flat: each has one leaf and one writer.
                writers.next().map_or(Ok(()), |it| it.write(&leaf))?;
            }
        }
        self.rows += batch.num_rows();
        if self.rows >= self.row_group_rows {
            self.end_group()
        } else {
            Ok(())
        }
    }

    fn end_group(&mut self) -> Result<(), ParquetError> {
        if self.rows > 0 {
            let mut chunks = Vec::with_capacity(self.columns.len());
            for column in std::mem::take(&mut self.columns) {
                let chunk = column.close()?;
                let bytes = chunk.close().metadata.compressed_size();
                self.group_bytes += usize::try_from(bytes).unwrap_or(0);
                chunks.push(chunk);
            }
            self.groups.push(chunks);
            self.rows = 0;
        }
        Ok(())
    }

    /// About how large the file would be now.
    pub(crate) fn size_bytes(&self) -> usize {
        let open: usize = self
            .columns
            .iter()
            .map(ArrowColumnWriter::get_estimated_total_bytes)
            .sum();
        self.group_bytes + open
    }

    /// Puts the file together: returns its bytes and the names of its columns that have values.
    pub(crate) fn finish(mut self) -> Result<(Vec<u8>, Vec<String>)> {
        let failed = Error::parquet("end a part");
        match self.assemble() {
            Ok(done) => Ok(done),
            Err(error) => Err(failed(error)),
        }
    }

    fn assemble(&mut self) -> Result<(Vec<u8>, Vec<String>), ParquetError> {
        self.end_group()?;
        let used = self.used.iter().zip(self.schema.fields());
        let names = used
            .filter(|(used, _)| **used)
            .map(|(_, it)| it.name().clone())
            .collect();
        // Fixed columns are always there, as are those of no row at all.
        let stays: Vec<bool> = self
            .used
            .iter()
            .zip(self.schema.fields())
            .map(|(used, field)| *used || !field.name().starts_with(crate::schema::PROPERTY_PREFIX))
            .collect();
        let fields = self
            .schema
            .fields()
            .iter()
            .zip(&stays)
            .filter(|(_, stays)| **stays);
        let fields: Vec<_> = fields.map(|(field, _)| Arc::clone(field)).collect();
        let mut out = file(
            Vec::with_capacity(self.group_bytes),
            &Arc::new(Schema::new(fields)),
            &self.properties,
        )?;
        for chunks in self.groups.drain(..) {
            let mut group = out.next_row_group()?;
            for (chunk, _) in chunks.into_iter().zip(&stays).filter(|(_, stays)| **stays) {
                chunk.append_to_row_group(&mut group)?;
            }
            group.close()?;
        }
        Ok((out.into_inner()?, names))
    }
}

fn file<W: Write + Send>(
    out: W,
    schema: &SchemaRef,
    properties: &WriterPropertiesPtr,
) -> Result<SerializedFileWriter<W>, ParquetError> {
    let descriptor = ArrowSchemaConverter::new().convert(schema)?;
    SerializedFileWriter::new(out, descriptor.root_schema_ptr(), Arc::clone(properties))
}
