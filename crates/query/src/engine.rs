//! The engine: one bounded runtime, and a session for each query.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::ViewTable;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use governance::Suppressions;
use model::catalog::Catalog;
use model::record::Table;
use model::{AccountId, Clock};
use object_store::ObjectStore;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::digest::Digests;
use crate::names::PropertyNames;
use crate::newest::Newest;
use crate::people::{self, LinkCache, PeopleTable};
use crate::presence::Presence;
use crate::scan::{Order, STORE_URL};
use crate::snapshot::{Snapshot, Snapshots};
use crate::tallies::Tallies;
use crate::whole::Whole;
use crate::{Error, ReadPolicy, Result, Tail, functions, planner, statement, tables};

/// How often a typed read is begun anew because a commit was gone before it could be held.
const ATTEMPTS_MAX: usize = 4;

/// What queries may cost.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Memory of all queries together, bytes. Nothing is spilled to disk.
    pub memory_bytes_max: usize,
    /// Time of one query.
    pub time_max: Duration,
    /// Rows of one SQL query's result.
    pub rows_max: u64,
    /// Threads of one query.
    pub threads: usize,
    /// Journal rows of one table held by a query, bytes; more are read again as they are needed.
    pub tail_bytes_max: usize,
    /// Memory for the parts' footers and page indexes, bytes.
    pub footer_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            memory_bytes_max: 256 * 1024 * 1024,
            time_max: Duration::from_secs(300),
            rows_max: 10_000_000,
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            tail_bytes_max: model::limit::JOURNAL_MEMORY_BYTES_MAX / 2,
            footer_bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// Rows that are decoded at a time where they are read whole.
const WHOLE_ROWS: usize = 256;

/// The stack on which a statement is planned; touched as far as it is deep.
const PLANNING_STACK_BYTES: usize = 64 * 1024 * 1024;

/// Answers queries; a handle, cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) runtime: Arc<RuntimeEnv>,
    /// What sessions of typed reads are copies of.
    reader: SessionState,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) links: LinkCache,
    pub(crate) tallies: Digests<Tallies>,
    pub(crate) newest: Digests<Newest>,
    pub(crate) presence: Digests<Presence>,
    pub(crate) properties: Digests<PropertyNames>,
    pub(crate) whole: Whole,
}

/// The rows of a query, as they come.
pub struct Rows {
    /// The columns. Those that hold JSON text are marked: see [`crate::json::is_marked`].
    pub schema: SchemaRef,
    /// The rows. After an error there are no more.
    pub batches: BoxStream<'static, Result<RecordBatch>>,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine over the parts that `catalog` lists in `store` and the journal's `tail`.
    ///
    /// # Errors
    /// `Internal` when the runtime cannot be set up.
    pub fn new(
        store: Arc<dyn ObjectStore>,
        catalog: Arc<dyn Catalog>,
        tail: Arc<dyn Tail>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<Self> {
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(settings.memory_bytes_max)))
            .with_disk_manager_builder(disk)
            .with_metadata_cache_limit(settings.footer_bytes_max)
            .build_arc()
            .map_err(Error::Engine)?;
        let url = ObjectStoreUrl::parse(STORE_URL).map_err(Error::Engine)?;
        runtime.register_object_store(url.as_ref(), Arc::clone(&store));
        let bytes_max = settings.tail_bytes_max;
        let snapshots = Arc::new(Snapshots::new(store, catalog, tail, bytes_max));
        let links = LinkCache::default();
        let reader = new_session(&runtime, &settings);
        Ok(Self {
            inner: Arc::new(Inner {
                runtime,
                reader,
                snapshots,
                settings,
                clock,
                links,
                tallies: Digests::default(),
                newest: Digests::default(),
                presence: Digests::default(),
                properties: Digests::default(),
                whole: Whole::default(),
            }),
        })
    }

    /// Lets go of what is kept in memory of the events of people who were deleted. Whoever destroys
    /// their rows calls it: until then a page only hides them.
    pub fn forget(&self, account: AccountId, deleted: Arc<Suppressions>) {
        self.inner.whole.forget(account, deleted);
    }

    /// Runs one SELECT, WITH or EXPLAIN under `policy`.
    ///
    /// # Errors
    /// `Invalid` when the statement is wrong, not allowed, or has too many rows; `Denied` when it uses a
    /// masked column otherwise than by selecting it; `Unavailable` when it takes more memory or time than
    /// there is; `Unavailable`, `Corrupt` and `Conflict` (try again) as the stream goes on.
    pub async fn sql(&self, policy: &ReadPolicy, text: &str) -> Result<Rows> {
        let rows = self.in_time(self.begin_apart(policy, text)).await?;
        Ok(limited(rows, self.inner.settings.rows_max))
    }

    /// Begins on a thread of its own: the tree of a statement is walked recursively, and what its
    /// writer may nest must never depend on how much stack the caller has left.
    async fn begin_apart(&self, policy: &ReadPolicy, text: &str) -> Result<Rows> {
        let (engine, policy, text) = (self.clone(), policy.clone(), text.to_owned());
        let runtime = tokio::runtime::Handle::current();
        let (sender, begun) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name(String::from("planning"))
            .stack_size(PLANNING_STACK_BYTES)
            .spawn(move || {
                let rows = runtime.block_on(engine.begin_sql(&policy, &text));
                // Whoever asked may have gone.
                drop(sender.send(rows));
            })
            .map_err(|error| Error::unavailable("start a thread for a query", error))?;
        begun
            .await
            .map_err(|error| Error::unavailable("plan a query", error))?
    }

    async fn begin_sql(&self, policy: &ReadPolicy, text: &str) -> Result<Rows> {
        let allowed = statement::parse(text)?;
        let context = SessionContext::new_with_state(self.session());
        let (names, with_people) = self.tables_of(&context.state(), &allowed.statement)?;
        let mut needed: BTreeSet<Table> = names.iter().copied().collect();
        if with_people {
            needed.extend(people::TABLES);
        }
        let needed: Vec<Table> = needed.into_iter().collect();
        self.settle(policy).await?;
        let snapshot = self.inner.snapshots.take(policy.account, &needed).await?;
        let masked = planner::Masked::of(policy, &names, with_people);
        for table in names {
            let rows = snapshot.table(table)?;
            let view = tables::view(rows, &self.inner.snapshots, policy, &allowed)?;
            context
                .register_table(table.as_str(), Arc::new(ViewTable::new(view, None)))
                .map_err(|error| self.engine_error(error))?;
        }
        if with_people {
            let table = PeopleTable::new(self, snapshot, policy, &allowed.properties).await?;
            context
                .register_table(people::NAME, Arc::new(table))
                .map_err(|error| self.engine_error(error))?;
        }
        let state = context.state();
        let plan = state
            .statement_to_plan(allowed.statement)
            .await
            .map_err(|error| self.engine_error(error))?;
        read_only()
            .verify_plan(&plan)
            .map_err(|error| self.engine_error(error))?;
        let plan = planner::finish(plan, masked)?;
        self.run(state, plan, Some(self.inner.settings.time_max))
            .await
    }

    /// The tables that a statement reads, and whether it reads people.
    fn tables_of(&self, state: &SessionState, statement: &Statement) -> Result<(Vec<Table>, bool)> {
        let references = state
            .resolve_table_references(statement)
            .map_err(|error| self.engine_error(error))?;
        let mut found = Vec::new();
        let mut with_people = false;
        for reference in references {
            match Table::from_name(reference.table()) {
                Some(table) if reference.schema().is_none() => found.push(table),
                None if reference.schema().is_none() && reference.table() == people::NAME => {
                    with_people = true;
                }
                _ => {
                    return Err(Error::Statement(format!(
                        "there is no table `{reference}`; there are events, people, \
                         profile_changes, links, requests and quarantine"
                    )));
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok((found, with_people))
    }

    /// A session of its own for one statement: nothing is shared but the runtime.
    fn session(&self) -> SessionState {
        new_session(&self.inner.runtime, &self.inner.settings)
    }

    /// A session for one typed read, which names no table: it is a copy, as making one anew costs more
    /// than many a read.
    pub(crate) fn reader(&self, order: Order) -> SessionState {
        let mut state = self.inner.reader.clone();
        // Cutting a sorted input in pieces forgets that it is sorted.
        let options = state.config_mut().options_mut();
        options.optimizer.repartition_file_scans = order == Order::Any;
        state
    }

    /// As [`Engine::reader`], for rows that may be large: few come at a time, and none wait for a thread
    /// that is free to take them.
    pub(crate) fn whole_reader(&self, order: Order) -> SessionState {
        let mut state = self.reader(order);
        let config = state.config_mut();
        *config = config.clone().with_batch_size(WHOLE_ROWS);
        let options = config.options_mut();
        options.optimizer.enable_round_robin_repartition = false;
        state
    }

    /// Runs a plan; the rows are bounded in memory, and in `time` where the caller does not bound
    /// it otherwise.
    pub(crate) async fn run(
        &self,
        state: SessionState,
        plan: LogicalPlan,
        time: Option<Duration>,
    ) -> Result<Rows> {
        let memory = self.inner.settings.memory_bytes_max;
        let frame = DataFrame::new(state, plan);
        let schema = Arc::clone(frame.schema().inner());
        let stream = frame
            .execute_stream()
            .await
            .map_err(|error| Error::from_engine(error, memory))?;
        // The stream's own schema may have lost the marks of columns.
        let batches =
            stream.map(move |batch| batch.map_err(|error| Error::from_engine(error, memory)));
        let batches = match time {
            Some(limit) => Timed {
                batches: batches.boxed(),
                limit,
                deadline: deadline(limit),
            }
            .boxed(),
            None => batches.boxed(),
        };
        Ok(Rows { schema, batches })
    }

    pub(crate) fn engine_error(&self, error: datafusion::common::DataFusionError) -> Error {
        Error::from_engine(error, self.inner.settings.memory_bytes_max)
    }

    /// Takes a snapshot and reads it with `read`; again when the journal moves under it.
    pub(crate) async fn with_snapshot<T, F: Future<Output = Result<T>>>(
        &self,
        policy: &ReadPolicy,
        tables: &[Table],
        read: impl Fn(Snapshot) -> F,
    ) -> Result<T> {
        self.in_time(async {
            self.settle(policy).await?;
            self.attempts(policy, tables, read).await
        })
        .await
    }

    /// The outcome of `work`, unless it takes longer than a query may.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let limit = self.inner.settings.time_max;
        tokio::time::timeout(limit, work)
            .await
            .unwrap_or(Err(Error::Time { limit }))
    }

    async fn attempts<T, F: Future<Output = Result<T>>>(
        &self,
        policy: &ReadPolicy,
        tables: &[Table],
        read: impl Fn(Snapshot) -> F,
    ) -> Result<T> {
        let mut last = Error::Internal("read a snapshot");
        for _ in 0..ATTEMPTS_MAX {
            let snapshot = self.inner.snapshots.take(policy.account, tables).await?;
            match read(snapshot).await {
                Err(retired @ Error::Retired(_)) => last = retired,
                other => return other,
            }
        }
        Err(last)
    }
}

/// A session over the runtime that all of them share.
fn new_session(runtime: &Arc<RuntimeEnv>, settings: &Settings) -> SessionState {
    let mut config = SessionConfig::new()
        .with_target_partitions(settings.threads.max(1))
        .with_information_schema(false);
    let options = config.options_mut();
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    options.execution.parquet.enable_page_index = true;
    options.execution.parquet.bloom_filter_on_read = true;
    options.execution.parquet.schema_force_view_types = false;
    options.optimizer.prefer_existing_sort = true;
    options.sql_parser.enable_ident_normalization = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(Arc::clone(runtime))
        .with_default_features()
        .build();
    let ours = [
        functions::text(),
        functions::string(),
        functions::num(),
        functions::boolean(),
        functions::property(),
    ];
    for function in ours {
        // Replacing a function of the same name is meant.
        drop(datafusion::execution::FunctionRegistry::register_udf(
            &mut state, function,
        ));
    }
    drop(
        datafusion::execution::FunctionRegistry::register_expr_planner(
            &mut state,
            Arc::new(planner::Operators),
        ),
    );
    state
}

fn read_only() -> SQLOptions {
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
}

fn deadline(limit: Duration) -> Pin<Box<tokio::time::Sleep>> {
    Box::pin(tokio::time::sleep(limit))
}

/// Ends with an error when the time is over.
struct Timed {
    batches: BoxStream<'static, Result<RecordBatch>>,
    limit: Duration,
    deadline: Pin<Box<tokio::time::Sleep>>,
}

impl Stream for Timed {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.deadline.as_mut().poll(context).is_ready() {
            let limit = self.limit;
            self.batches = futures::stream::empty().boxed();
            self.deadline = deadline(Duration::from_secs(u32::MAX.into()));
            return Poll::Ready(Some(Err(Error::Time { limit })));
        }
        self.batches.poll_next_unpin(context)
    }
}

/// Ends with an error after `rows_max` rows.
fn limited(rows: Rows, limit: u64) -> Rows {
    let mut seen = 0_u64;
    let batches = rows.batches.map(move |batch| {
        let batch = batch?;
        seen = seen.saturating_add(batch.num_rows() as u64);
        if seen > limit {
            Err(Error::Rows { limit })
        } else {
            Ok(batch)
        }
    });
    let mut failed = false;
    let batches = batches.take_while(move |batch| {
        let go_on = !failed;
        failed |= batch.is_err();
        futures::future::ready(go_on)
    });
    Rows {
        schema: rows.schema,
        batches: batches.boxed(),
    }
}
