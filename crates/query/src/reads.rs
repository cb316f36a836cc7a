//! How typed reads get their rows: a filter and some columns over what a reader may see.

use arrow::array::{
    Array, AsArray, FixedSizeBinaryArray, PrimitiveArray, RecordBatch, StringArray,
};
use arrow::datatypes::{ArrowPrimitiveType, TimestampMillisecondType};
use datafusion::common::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, SortExpr};
use model::{PersonKey, RecordId, Timestamp};
use std::sync::Arc;

use crate::scan::{Columns, Order};
use crate::snapshot::TableRows;
use crate::tables::{self, column};
use crate::{Engine, Error, ReadPolicy, Result, Rows};

/// What to read of a table.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// Only rows for which this holds.
    pub(crate) filter: Option<Expr>,
    /// The physical columns; all when empty.
    pub(crate) columns: Vec<String>,
    /// In this order; any when empty.
    pub(crate) sort: Vec<SortExpr>,
    /// At most so many of them.
    pub(crate) limit: Option<usize>,
}

impl Engine {
    /// Rows of one table of a snapshot, under `policy`.
    pub(crate) async fn read(
        &self,
        rows: &Arc<TableRows>,
        policy: &ReadPolicy,
        order: Order,
        read: Read,
    ) -> Result<Rows> {
        let plan = self.plan_read(rows, policy, order, read)?;
        self.run(self.reader(order), plan, None).await
    }

    /// The plan of [`Engine::read`].
    pub(crate) fn plan_read(
        &self,
        rows: &Arc<TableRows>,
        policy: &ReadPolicy,
        order: Order,
        read: Read,
    ) -> Result<LogicalPlan> {
        // Filters and orders are by fixed columns only.
        let asked = match read.columns.as_slice() {
            [] => Columns::All,
            named => Columns::Named(named),
        };
        let plan = tables::visible(rows, &self.inner.snapshots, policy, order, asked)?;
        let then = |plan: LogicalPlanBuilder| -> Result<_, DataFusionError> {
            let mut plan = plan;
            if let Some(filter) = read.filter {
                plan = plan.filter(filter)?;
            }
            if !read.columns.is_empty() {
                plan = plan.project(read.columns.into_iter().map(column))?;
            }
            if !read.sort.is_empty() {
                plan = plan.sort(read.sort)?;
            }
            if read.limit.is_some() {
                plan = plan.limit(0, read.limit)?;
            }
            plan.build()
        };
        then(plan).map_err(|error| self.engine_error(error))
    }
}

/// A filter for rows of some people.
pub(crate) fn of_persons(key_column: &str, persons: &[PersonKey]) -> Expr {
    let list =
        column(key_column).in_list(persons.iter().map(|it| tables::key(*it)).collect(), false);
    match (persons.iter().min(), persons.iter().max()) {
        // Lists that are too long to prune with still have ends.
        (Some(min), Some(max)) => column(key_column)
            .gt_eq(tables::key(*min))
            .and(column(key_column).lt_eq(tables::key(*max)))
            .and(list),
        _ => list,
    }
}

/// A column of keys of a batch.
pub(crate) fn keys<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b FixedSizeBinaryArray> {
    batch
        .column_by_name(name)
        .and_then(|it| it.as_fixed_size_binary_opt())
        .ok_or(Error::Internal("find a column of keys"))
}

/// A column of text of a batch.
pub(crate) fn texts<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b StringArray> {
    batch
        .column_by_name(name)
        .and_then(|it| it.as_string_opt::<i32>())
        .ok_or(Error::Internal("find a column of text"))
}

/// A column of numbers of a batch.
pub(crate) fn numbers<'b, T: ArrowPrimitiveType>(
    batch: &'b RecordBatch,
    name: &str,
) -> Result<&'b PrimitiveArray<T>> {
    batch
        .column_by_name(name)
        .and_then(|it| it.as_primitive_opt::<T>())
        .ok_or(Error::Internal("find a column of numbers"))
}

/// A column of times of a batch.
pub(crate) fn times<'b>(
    batch: &'b RecordBatch,
    name: &str,
) -> Result<&'b PrimitiveArray<TimestampMillisecondType>> {
    numbers::<TimestampMillisecondType>(batch, name)
}

/// The person key in a row.
pub(crate) fn person(keys: &FixedSizeBinaryArray, row: usize) -> PersonKey {
    PersonKey(<[u8; 16]>::try_from(keys.value(row)).unwrap_or_default())
}

/// The record id in a row.
pub(crate) fn record(keys: &FixedSizeBinaryArray, row: usize) -> RecordId {
    RecordId(<[u8; 16]>::try_from(keys.value(row)).unwrap_or_default())
}

/// The time in a row.
pub(crate) fn time(times: &PrimitiveArray<TimestampMillisecondType>, row: usize) -> Timestamp {
    Timestamp::from_ms(times.value(row))
}

/// The text in a row; none when it is null.
pub(crate) fn text(texts: &StringArray, row: usize) -> Option<&str> {
    texts.is_valid(row).then(|| texts.value(row))
}
