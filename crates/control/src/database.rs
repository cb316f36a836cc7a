//! The one connection to the control database, its transactions, and when they may be answered.
//!
//! A transaction is answered when it is on the volumes. While one shipment is under way the next
//! transactions commit locally, and the shipment after takes all of them. Nothing else in this crate
//! opens the file.

use futures::future::BoxFuture;
use model::Random;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteLockingMode, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Mutex as AsyncMutex;

use crate::shipping::chunk::Point;
use crate::shipping::wal::Follower;
use crate::shipping::{Committed, Shipper};
use crate::state::{Effect, State};
use crate::{Error, Result, schema};

/// How many of the last transactions the database remembers, to prove which history it belongs to.
const HISTORY_MAX: u64 = 4_096;

/// The control database.
#[derive(Debug, Clone)]
pub(crate) struct Database(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    session: AsyncMutex<Session>,
    shipper: AsyncMutex<Shipper>,
    committed: Mutex<Committed>,
    /// What the transactions not yet on the volumes change in memory, in their order.
    effects: Mutex<VecDeque<(u64, Vec<Effect>)>>,
    /// Whether the last shipment failed: then nothing is committed before it is repeated.
    failing: AtomicBool,
    state: Arc<State>,
    random: Arc<dyn Random>,
    snapshot_after_bytes: u64,
}

/// Where shipping stands, for the operator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    pub(crate) committed: u64,
    pub(crate) shipped: u64,
    pub(crate) generation: u64,
}

impl Database {
    /// Starts with an open session: brings the whole of it to the volumes first.
    pub(crate) async fn start(
        mut session: Session,
        shipper: Shipper,
        state: Arc<State>,
        random: Arc<dyn Random>,
        snapshot_after_bytes: u64,
    ) -> Result<Self> {
        schema::migrate(&mut session, random.as_ref()).await?;
        let committed = Mutex::new(Committed {
            point: session.last,
            log_end: None,
        });
        let shared = Shared {
            session: AsyncMutex::new(session),
            shipper: AsyncMutex::new(shipper),
            committed,
            effects: Mutex::default(),
            failing: AtomicBool::new(false),
            state,
            random,
            snapshot_after_bytes,
        };
        let target = shared.committed().point.sequence;
        shared.ship(target).await?;
        Ok(Self(Arc::new(shared)))
    }

    /// Runs `body` in one transaction; returns when it is on the volumes. When `body` fails, nothing
    /// was changed.
    ///
    /// # Errors
    /// Those of `body`; [`model::ErrorKind::Unavailable`] when the outcome is unknown.
    pub(crate) async fn write<T, F>(&self, body: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Session) -> BoxFuture<'c, Result<T>> + Send + 'static,
    {
        // A task of its own: a caller that goes away must not leave half of this.
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move { shared.write(body).await })
            .await
            .map_err(lost)?
    }

    /// As [`Database::write`], and tells one failure from another: an error is that nothing was changed.
    /// Otherwise the transaction is in the file, and beside its value stands whether it is on the volumes,
    /// where it will be before anything else is.
    ///
    /// # Errors
    /// Those of `body`; [`model::ErrorKind::Unavailable`] when it was not begun, or not taken.
    pub(crate) async fn commit<T, F>(&self, body: F) -> Result<(T, Result<()>)>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Session) -> BoxFuture<'c, Result<T>> + Send + 'static,
    {
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move { shared.commit(body).await })
            .await
            .map_err(lost)?
    }

    /// Runs `body`, which only reads; returns when everything that it could see is on the volumes.
    ///
    /// # Errors
    /// Those of `body`; [`model::ErrorKind::Unavailable`] while the volumes do not answer.
    pub(crate) async fn read<T, F>(&self, body: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Session) -> BoxFuture<'c, Result<T>> + Send + 'static,
    {
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move { shared.read(body).await })
            .await
            .map_err(lost)?
    }

    /// Returns once no outcome is unknown: at once, unless the last shipment failed.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] while the volumes do not answer.
    pub(crate) async fn settle(&self) -> Result<()> {
        if self.0.failing.load(Ordering::Acquire) {
            self.read(|_| Box::pin(async { Ok(()) })).await?;
        }
        Ok(())
    }

    /// Where shipping stands.
    pub(crate) async fn position(&self) -> Position {
        let committed = self.0.committed().point.sequence;
        let shipper = self.0.shipper.lock().await;
        Position {
            committed,
            shipped: shipper.shipped().sequence,
            generation: shipper.generation(),
        }
    }
}

fn lost(error: tokio::task::JoinError) -> Error {
    Error::Internal(format!("a transaction was abandoned: {error}"))
}

const NOTHING: Point = Point {
    sequence: 0,
    tag: [0; 16],
};

impl Shared {
    async fn write<T, F>(&self, body: F) -> Result<T>
    where
        F: for<'c> FnOnce(&'c mut Session) -> BoxFuture<'c, Result<T>> + Send,
    {
        let (value, shipped) = self.commit(body).await?;
        shipped.map(|()| value)
    }

    async fn commit<T, F>(&self, body: F) -> Result<(T, Result<()>)>
    where
        F: for<'c> FnOnce(&'c mut Session) -> BoxFuture<'c, Result<T>> + Send,
    {
        if self.failing.load(Ordering::Acquire) {
            self.ship(self.committed().point.sequence).await?;
        }
        let (value, noted) = {
            let mut session = self.session.lock().await;
            let value = session.transact(self.random.as_ref(), body).await?;
            let sequence = session.last.sequence;
            let effects = std::mem::take(&mut session.effects);
            self.effects
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push_back((sequence, effects));
            (value, self.note_commit(&mut session).map(|()| sequence))
        };
        // Whatever it is: the transaction is in the file, and the next shipment takes it.
        let shipped = match noted {
            Ok(sequence) => self.ship(sequence).await,
            Err(error) => Err(error.unshipped()),
        };
        Ok((value, shipped))
    }

    async fn read<T, F>(&self, body: F) -> Result<T>
    where
        F: for<'c> FnOnce(&'c mut Session) -> BoxFuture<'c, Result<T>> + Send,
    {
        let (value, sequence) = {
            let mut session = self.session.lock().await;
            session.abandon().await?;
            self.note_commit(&mut session)?;
            (body(&mut session).await?, session.last.sequence)
        };
        self.ship(sequence).await?;
        Ok(value)
    }

    fn committed(&self) -> Committed {
        *self
            .committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds where the session's last transaction ends in the log.
    fn note_commit(&self, session: &mut Session) -> Result<()> {
        let before = self.committed();
        if before.point == session.last {
            return Ok(());
        }
        let end = session.log.advance().inspect_err(|_| {
            self.failing.store(true, Ordering::Release);
        })?;
        // A log that has not grown is not the one that was followed: only a snapshot will do.
        let log_end = before.log_end.filter(|before| end > *before).map(|_| end);
        *self
            .committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Committed {
            point: session.last,
            log_end,
        };
        Ok(())
    }

    /// Returns when transaction `target` is on the volumes.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`], whatever the reason.
    async fn ship(&self, target: u64) -> Result<()> {
        let mut shipper = self.shipper.lock().await;
        let result = self.ship_to(&mut shipper, target).await;
        self.failing.store(result.is_err(), Ordering::Release);
        self.apply_effects(shipper.shipped().sequence);
        result.map_err(Error::unshipped)?;
        let database_bytes = self.state.database_bytes();
        if shipper.log_bytes() > self.snapshot_after_bytes.max(database_bytes) {
            shipper.demand_snapshot();
            if let Err(error) = self.ship_to(&mut shipper, target).await {
                // What was asked for is durable; the next caller finishes the snapshot first.
                self.failing.store(true, Ordering::Release);
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "failed to begin a new generation of the control database"
                );
            }
            self.apply_effects(shipper.shipped().sequence);
        }
        Ok(())
    }

    async fn ship_to(&self, shipper: &mut Shipper, target: u64) -> Result<()> {
        loop {
            shipper.run(target, self.committed()).await?;
            if !shipper.must_begin() {
                return Ok(());
            }
            let mut session = self.session.lock().await;
            session.abandon().await?;
            self.note_commit(&mut session)?;
            session.empty_log().await?;
            let point = session.last;
            *self
                .committed
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Committed {
                point,
                log_end: Some(0),
            };
            let database_bytes = shipper.begin(point)?;
            drop(session);
            self.state.note_database_bytes(database_bytes);
            shipper.run(target, self.committed()).await?;
            shipper.tidy().await;
        }
    }

    fn apply_effects(&self, shipped: u64) {
        let mut waiting = self.effects.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ready = Vec::new();
        while waiting
            .front()
            .is_some_and(|(sequence, _)| *sequence <= shipped)
        {
            ready.extend(
                waiting
                    .pop_front()
                    .into_iter()
                    .flat_map(|(_, effects)| effects),
            );
        }
        if !ready.is_empty() {
            self.state.apply(ready);
        }
    }
}

/// The connection, inside or outside a transaction.
#[derive(Debug)]
pub(crate) struct Session {
    connection: SqliteConnection,
    log: Follower,
    /// Whether a transaction may be open that nobody continues.
    in_transaction: bool,
    last: Point,
    effects: Vec<Effect>,
}

impl Session {
    /// Opens the file at `path`, which is made when it is missing.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when it cannot be opened or is not a database.
    pub(crate) async fn open(path: &Path) -> Result<Self> {
        let connection = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .foreign_keys(true)
            .locking_mode(SqliteLockingMode::Exclusive)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", "0")
            .pragma("temp_store", "memory")
            .disable_statement_logging()
            .connect()
            .await
            .map_err(Error::database("open the file"))?;
        let log = Follower::of(path);
        Ok(Self {
            connection,
            log,
            in_transaction: false,
            last: NOTHING,
            effects: Vec::new(),
        })
    }

    /// The connection, for a statement.
    pub(crate) const fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// What the transaction changes in memory, once it is on the volumes.
    pub(crate) fn then(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// The last transaction that the file holds; none before the first.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the file does not answer.
    pub(crate) async fn point(&mut self) -> Result<Option<Point>> {
        const ACT: &str = "read the history";
        let tables = sqlx::query("SELECT name FROM sqlite_master WHERE name = 'history'")
            .fetch_optional(&mut self.connection)
            .await
            .map_err(Error::database(ACT))?;
        if tables.is_none() {
            return Ok(None);
        }
        let row = sqlx::query("SELECT sequence, tag FROM history ORDER BY sequence DESC LIMIT 1")
            .fetch_optional(&mut self.connection)
            .await
            .map_err(Error::database(ACT))?;
        let Some(row) = row else { return Ok(None) };
        let sequence: i64 = row.try_get(0).map_err(Error::database(ACT))?;
        let tag: Vec<u8> = row.try_get(1).map_err(Error::database(ACT))?;
        let tag = tag
            .try_into()
            .map_err(|_| Error::damaged("the history", "a tag is too long"))?;
        Ok(Some(Point {
            sequence: u64::try_from(sequence).unwrap_or(0),
            tag,
        }))
    }

    /// Takes up the history where the file ends.
    ///
    /// # Errors
    /// As [`Session::point`].
    pub(crate) async fn resume(&mut self) -> Result<()> {
        self.last = self.point().await?.unwrap_or(NOTHING);
        Ok(())
    }

    /// Whether the file's history goes through `point`.
    ///
    /// # Errors
    /// As [`Session::point`].
    pub(crate) async fn has_passed(&mut self, point: Point) -> Result<bool> {
        let row = sqlx::query("SELECT tag FROM history WHERE sequence = $1")
            .bind(i64::try_from(point.sequence).unwrap_or(i64::MAX))
            .fetch_optional(&mut self.connection)
            .await
            .map_err(Error::database("read the history"))?;
        let Some(row) = row else { return Ok(false) };
        let tag: Vec<u8> = row
            .try_get(0)
            .map_err(Error::database("read the history"))?;
        Ok(tag == point.tag)
    }

    /// Whether `SQLite` finds the file's structure sound.
    ///
    /// # Errors
    /// As [`Session::point`].
    pub(crate) async fn is_sound(&mut self) -> Result<bool> {
        let row = sqlx::query("PRAGMA quick_check(1)")
            .fetch_one(&mut self.connection)
            .await
            .map_err(Error::database("check the file"))?;
        let answer: String = row.try_get(0).map_err(Error::database("check the file"))?;
        Ok(answer == "ok")
    }

    /// Closes the file; the log is emptied into it.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when it cannot be written.
    pub(crate) async fn close(self) -> Result<()> {
        self.connection
            .close()
            .await
            .map_err(Error::database("close the file"))
    }

    /// Runs `body` in a transaction of its own.
    pub(crate) async fn transact<T>(
        &mut self,
        random: &dyn Random,
        body: impl for<'c> FnOnce(&'c mut Self) -> BoxFuture<'c, Result<T>> + Send,
    ) -> Result<T> {
        self.abandon().await?;
        self.effects.clear();
        self.in_transaction = true;
        self.execute("BEGIN IMMEDIATE", "begin a transaction")
            .await?;
        let done = match body(self).await {
            Ok(value) => self.commit(random).await.map(|()| value),
            Err(error) => Err(error),
        };
        if done.is_err() {
            self.effects.clear();
            self.abandon().await?;
        }
        done
    }

    async fn commit(&mut self, random: &dyn Random) -> Result<()> {
        const ACT: &str = "write the history";
        let next = Point {
            sequence: self.last.sequence.saturating_add(1),
            tag: random.bytes16(),
        };
        let forgotten = next.sequence.saturating_sub(HISTORY_MAX);
        sqlx::query("INSERT INTO history (sequence, tag) VALUES ($1, $2)")
            .bind(i64::try_from(next.sequence).unwrap_or(i64::MAX))
            .bind(next.tag.to_vec())
            .execute(&mut self.connection)
            .await
            .map_err(Error::database(ACT))?;
        sqlx::query("DELETE FROM history WHERE sequence <= $1")
            .bind(i64::try_from(forgotten).unwrap_or(i64::MAX))
            .execute(&mut self.connection)
            .await
            .map_err(Error::database(ACT))?;
        if let Err(error) = self.execute("COMMIT", "commit a transaction").await {
            // The file itself says whether the transaction is in it.
            self.abandon().await?;
            if self.point().await? != Some(next) {
                return Err(error);
            }
        }
        self.in_transaction = false;
        self.last = next;
        Ok(())
    }

    /// Rolls back a transaction that nobody continues, if there is one.
    async fn abandon(&mut self) -> Result<()> {
        if !self.in_transaction {
            return Ok(());
        }
        if let Err(error) = self.execute("ROLLBACK", "roll back a transaction").await {
            // "No transaction is active" is as good. Whether one still is, a new one tells.
            self.execute("BEGIN IMMEDIATE", "begin a transaction")
                .await
                .map_err(|_| error)?;
            self.execute("ROLLBACK", "roll back a transaction").await?;
        }
        self.in_transaction = false;
        Ok(())
    }

    /// Empties the log into the database file.
    async fn empty_log(&mut self) -> Result<()> {
        const ACT: &str = "empty the log";
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut self.connection)
            .await
            .map_err(Error::database(ACT))?;
        let busy: i64 = row.try_get(0).map_err(Error::database(ACT))?;
        if busy != 0 || self.log.file_bytes()? != 0 {
            return Err(Error::Conflict(
                "the control database's log could not be emptied: another program reads it"
                    .to_owned(),
            ));
        }
        self.log.restart();
        Ok(())
    }

    async fn execute(&mut self, statement: &'static str, act: &'static str) -> Result<()> {
        sqlx::query(statement)
            .execute(&mut self.connection)
            .await
            .map(|_| ())
            .map_err(Error::database(act))
    }
}
