//! A table as DataFusion scans it: the parts that may hold matching rows, and the journal's rows.
//!
//! Composed of standard plans only (file scan, memory, union), so that the plan can travel. Filters
//! prune parts here by time and person; inside a part DataFusion prunes row groups and pages. The
//! provider must never decide who may see what: see [`crate::tables`].

use arrow::array::{ArrayRef, BooleanArray, FixedSizeBinaryArray, TimestampMillisecondArray};
use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, DFSchema, DataFusionError, Result as EngineResult, ScalarValue};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::union::UnionExec;
use futures::{StreamExt, TryStreamExt};
use lake::schema::{PERSON_KEY, TS};
use model::CommitId;
use model::catalog::PartMeta;
use model::record::Table;
use std::collections::HashSet;
use std::sync::Arc;

use crate::snapshot::{Snapshots, TableRows, TailRows, adapt, scan_schema};
use crate::tail_index::CommitFacts;

/// The address under which the store is registered.
pub(crate) const STORE_URL: &str = "strongroom://lake/";

/// In which order rows are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Any: parts are spread evenly over the threads.
    Any,
    /// That of the parts: each part is read alone, in its own order, so that they can be merged. Rows of
    /// the journal have none.
    Parts,
}

/// Which columns of properties a scan has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Columns<'a> {
    /// All that there are.
    All,
    /// Of all that there are these, by their physical names.
    Named(&'a [String]),
}

/// One table of one snapshot.
#[derive(Debug)]
pub(crate) struct Scan {
    rows: Arc<TableRows>,
    snapshots: Arc<Snapshots>,
    schema: SchemaRef,
    order: Order,
}

impl Scan {
    /// A scan of `rows` with their fixed columns and, of the others, those that are `asked` for: a plan
    /// costs by the columns that it could read.
    pub(crate) fn new(
        rows: Arc<TableRows>,
        snapshots: Arc<Snapshots>,
        order: Order,
        asked: Columns<'_>,
    ) -> Self {
        let schema = scan_schema(&rows, asked);
        Self {
            rows,
            snapshots,
            schema,
            order,
        }
    }

    /// The parts that may hold rows for which all of `filters` hold.
    fn pruned(&self, state: &dyn Session, filters: &[Expr]) -> EngineResult<Vec<Arc<PartMeta>>> {
        let parts = &self.rows.parts;
        let Some(filter) = conjunction(filters.iter().cloned()) else {
            return Ok(parts.clone());
        };
        let schema = DFSchema::try_from(Arc::clone(&self.schema))?;
        let filter = state.create_physical_expr(filter, &schema)?;
        let predicate = PruningPredicateBuilder::new()
            .with_file_schema(Arc::clone(&self.schema))
            .try_build(filter)?;
        if predicate.always_true() {
            return Ok(parts.clone());
        }
        let keep = predicate.prune(&PartStatistics {
            parts,
            table: self.rows.table,
        })?;
        Ok(parts
            .iter()
            .zip(keep)
            .filter(|(_, keep)| *keep)
            .map(|(it, _)| Arc::clone(it))
            .collect())
    }

    fn part_scan(
        &self,
        state: &dyn Session,
        parts: &[Arc<PartMeta>],
        projection: Option<&Vec<usize>>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let url = ObjectStoreUrl::parse(STORE_URL)?;
        let runtime = state.runtime_env();
        let readers = CachedParquetFileReaderFactory::new(
            runtime.object_store(&url)?,
            runtime.cache_manager.get_file_metadata_cache(),
        );
        let mut options = TableParquetOptions::new();
        options.global = state.config_options().execution.parquet.clone();
        let source = ParquetSource::new(Arc::clone(&self.schema))
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(readers));
        let files = parts
            .iter()
            .map(|it| PartitionedFile::new(it.path.clone(), it.size_bytes));
        let mut config = FileScanConfigBuilder::new(url, Arc::new(source));
        config = match self.order {
            Order::Any => {
                let threads = state.config().target_partitions().max(1);
                let mut groups = vec![FileGroup::default(); threads.min(parts.len())];
                let count = groups.len();
                files.enumerate().for_each(|(n, file)| {
                    if let Some(group) = groups.get_mut(n % count) {
                        group.push(file);
                    }
                });
                config.with_file_groups(groups)
            }
            Order::Parts => config
                .with_file_groups(files.map(|it| FileGroup::new(vec![it])).collect())
                .with_output_ordering(
                    ordering(self.rows.table, &self.schema)?
                        .into_iter()
                        .collect(),
                ),
        };
        let config = config.with_projection_indices(projection.cloned())?;
        Ok(DataSourceExec::from_data_source(config.build()))
    }

    fn tail_scan(
        &self,
        projection: Option<&Vec<usize>>,
    ) -> EngineResult<Option<Arc<dyn ExecutionPlan>>> {
        match &self.rows.tail {
            TailRows::Memory(batches) if batches.is_empty() => Ok(None),
            TailRows::Memory(batches) => {
                let batches = batches.iter().map(|it| adapt(it, &self.schema));
                let batches: Vec<RecordBatch> =
                    batches.collect::<crate::Result<_>>().map_err(external)?;
                let schema = Arc::clone(&self.schema);
                let source = MemorySourceConfig::try_new(&[batches], schema, projection.cloned())?;
                let plan: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(source);
                Ok(Some(plan))
            }
            TailRows::Streamed(commits) => {
                let stream = CommitStream {
                    rows: Arc::clone(&self.rows),
                    commits: commits.clone(),
                    snapshots: Arc::clone(&self.snapshots),
                    schema: Arc::clone(&self.schema),
                };
                let plan = StreamingTableExec::try_new(
                    Arc::clone(&self.schema),
                    vec![Arc::new(stream)],
                    projection,
                    None,
                    false,
                    None,
                )?;
                Ok(Some(Arc::new(plan)))
            }
        }
    }
}

/// The order of rows within a part.
fn ordering(table: Table, schema: &SchemaRef) -> EngineResult<Option<LexOrdering>> {
    let options = SortOptions {
        descending: false,
        nulls_first: true,
    };
    let columns = lake::schema::sort_columns(table).iter();
    let columns = columns
        .map(|name| Ok(PhysicalSortExpr::new(col(name, schema)?, options)))
        .collect::<EngineResult<Vec<_>>>()?;
    Ok(LexOrdering::new(columns))
}

#[async_trait]
impl TableProvider for Scan {
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
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let mut plans = Vec::with_capacity(2);
        let parts = self.pruned(state, filters)?;
        if !parts.is_empty() {
            plans.push(self.part_scan(state, &parts, projection)?);
        }
        plans.extend(self.tail_scan(projection)?);
        match plans.len() {
            0 => {
                let none: &[Vec<RecordBatch>] = &[vec![]];
                let schema = Arc::clone(&self.schema);
                Ok(MemorySourceConfig::try_new_exec(
                    none,
                    schema,
                    projection.cloned(),
                )?)
            }
            1 => plans
                .pop()
                .ok_or_else(|| DataFusionError::Internal(String::from("one plan"))),
            _ => UnionExec::try_new(plans),
        }
    }
}

/// Journal rows that are too many to hold: read commit by commit.
#[derive(Debug)]
struct CommitStream {
    rows: Arc<TableRows>,
    commits: Vec<(CommitId, Arc<CommitFacts>)>,
    snapshots: Arc<Snapshots>,
    schema: SchemaRef,
}

impl PartitionStream for CommitStream {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (rows, snapshots) = (Arc::clone(&self.rows), Arc::clone(&self.snapshots));
        let schema = Arc::clone(&self.schema);
        let commits = futures::stream::iter(self.commits.clone());
        let batches = commits
            .then(move |(commit, facts)| {
                let (rows, snapshots) = (Arc::clone(&rows), Arc::clone(&snapshots));
                let schema = Arc::clone(&schema);
                async move {
                    let batches = snapshots
                        .commit_rows(rows.table, rows.account, commit, &facts)
                        .await?;
                    let batches: crate::Result<Vec<_>> =
                        batches.iter().map(|it| adapt(it, &schema)).collect();
                    Ok(futures::stream::iter(batches?.into_iter().map(Ok)))
                }
            })
            .map_err(external)
            .try_flatten();
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            batches,
        ))
    }
}

pub(crate) fn external(error: crate::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// What the catalog knows of each part.
struct PartStatistics<'a> {
    parts: &'a [Arc<PartMeta>],
    table: Table,
}

impl PartStatistics<'_> {
    fn times(&self, of: impl Fn(&PartMeta) -> model::Timestamp) -> ArrayRef {
        let times = self.parts.iter().map(|it| of(it).ms());
        Arc::new(TimestampMillisecondArray::from_iter_values(times).with_timezone("UTC"))
    }

    fn persons(&self, of: impl Fn(&PartMeta) -> model::PersonKey) -> Option<ArrayRef> {
        let keys = self.parts.iter().map(|it| of(it).0);
        Some(Arc::new(FixedSizeBinaryArray::try_from_iter(keys).ok()?))
    }

    fn has_persons(&self) -> bool {
        match self.table {
            Table::Events | Table::ProfileChanges | Table::Links => true,
            // Without people, or with rows that name nobody.
            Table::Requests | Table::Quarantine => false,
        }
    }
}

impl PruningStatistics for PartStatistics<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        match column.name.as_str() {
            TS => Some(self.times(|it| it.ts_min)),
            PERSON_KEY if self.has_persons() => self.persons(|it| it.person_min),
            _ => None,
        }
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        match column.name.as_str() {
            TS => Some(self.times(|it| it.ts_max)),
            PERSON_KEY if self.has_persons() => self.persons(|it| it.person_max),
            _ => None,
        }
    }

    fn num_containers(&self) -> usize {
        self.parts.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        match column.name.as_str() {
            TS => Some(Arc::new(UInt64Array::from_iter_values(
                self.parts.iter().map(|_| 0),
            ))),
            _ => None,
        }
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from_iter_values(
            self.parts.iter().map(|it| it.rows),
        )))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
