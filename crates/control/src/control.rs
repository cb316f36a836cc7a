//! The control plane's door: everything that is decided goes through [`Control`].

use governance::{Rules, Stretch};
use model::{AccountId, Clock, LedgerPosition, PersonKey, Random, Secret, Timestamp, WriterId};
use object_store::ObjectStore;
use serde::Serialize;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;

use crate::audit::{self, Action, AuditEntry, AuditFilter, AuditOutcome, Note};
use crate::authz::{self, Act};
use crate::database::{Database, Session};
use crate::sealer::Sealer;
use crate::shipping::Shipper;
use crate::shipping::restore::{self, Shipped};
use crate::sign_in::{Gate, Passkeys};
use crate::state::{Effect, LedgerLine, State};
use crate::{Actor, Error, KeyTable, Result, SharedKeyring, account, catalog, objects, schema};

const FILE_NAME: &str = "control.db";
const STORE_ID: &str = "store_id";

/// Where the control database lives, and how it is shipped.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory of the local file; it must exist.
    pub dir: PathBuf,
    /// This node's number in the installation.
    pub node: u32,
    /// Bytes of log after which a new generation begins; at least the database's own size is waited
    /// for, so that snapshots never cost more than what they save.
    pub snapshot_after_bytes: u64,
    /// The name by which people reach the console; passkeys are bound to it.
    pub console_name: String,
    /// Where links in mails lead: an `https:` URL without a path.
    pub console_url: String,
}

impl Settings {
    /// The defaults, in `dir`: node 1, 4 MiB, `localhost`.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            node: 1,
            snapshot_after_bytes: 4 * 1024 * 1024,
            console_name: String::from("localhost"),
            console_url: String::from("https://localhost:8443"),
        }
    }
}

/// Where the database came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It is new: neither a file nor anything on the volumes.
    Created,
    /// The local file, which holds everything that was acknowledged.
    Local,
    /// From the volumes: there was no local file.
    Restored,
    /// From the volumes: the local file was behind them or unreadable, and was put aside.
    Replaced,
}

/// What [`Control::open`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RestoreReport {
    /// Where the database came from.
    pub origin: Origin,
    /// The generation on the volumes that this run writes.
    pub generation: u64,
    /// Transactions in the history.
    pub sequence: u64,
}

/// How far the control database is on the volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Transactions committed here.
    pub committed: u64,
    /// Transactions on the volumes: everything that was ever answered.
    pub shipped: u64,
    /// The generation being written.
    pub generation: u64,
}

/// The control database: a handle.
#[derive(Debug, Clone)]
pub struct Control {
    pub(crate) database: Database,
    pub(crate) state: Arc<State>,
    pub(crate) keys: Arc<KeyTable>,
    pub(crate) keyring: Arc<SharedKeyring>,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) sink_gate: Arc<audit::sinks::Gate>,
    console_url: Arc<str>,
    node: u32,
}

impl Control {
    /// Opens the control database, from the local file or from the volumes, and brings everything
    /// that it holds to the volumes before it returns. The key table must be attached.
    ///
    /// # Errors
    /// [`model::ErrorKind::Corrupt`] when the volumes' copy is damaged, or the local file took
    /// another way than what was acknowledged; [`model::ErrorKind::Denied`] when the file belongs to
    /// another store; [`model::ErrorKind::Unavailable`] when disk or volumes do not answer.
    pub async fn open(
        settings: Settings,
        keyring: Arc<SharedKeyring>,
        store: Arc<dyn ObjectStore>,
        keys: Arc<KeyTable>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<(Self, RestoreReport)> {
        let path = settings.dir.join(FILE_NAME);
        let shipped = restore::find(store.as_ref()).await?;
        let origin = choose(store.as_ref(), &path, shipped).await?;
        let mut session = Session::open(&path).await?;
        protect(&path)?;
        let store_id = hex::encode(keyring.current().store_id());
        refuse_foreign(&mut session, &path, &store_id).await?;
        let shipper = Shipper::new(store, path.clone(), shipped.last_generation);
        let state = State::empty();
        let database = Database::start(
            session,
            shipper,
            Arc::clone(&state),
            Arc::clone(&random),
            settings.snapshot_after_bytes,
        )
        .await?;
        let control = Self {
            database,
            state,
            keys,
            sealer: Arc::new(Sealer::new(&keyring, Arc::clone(&random))),
            gate: Arc::new(Gate::new(
                keyring.secret("control passwords v1"),
                Passkeys::of(&settings.console_name),
            )),
            sink_gate: Arc::default(),
            console_url: Arc::from(settings.console_url.as_str()),
            keyring,
            clock,
            random,
            node: settings.node,
        };
        control.claim(store_id).await?;
        audit::log::plant(&control.database, &control.sealer).await?;
        control.load().await?;
        let position = control.database.position().await;
        let report = RestoreReport {
            origin,
            generation: position.generation,
            sequence: position.committed,
        };
        Ok((control, report))
    }

    /// The rules of all accounts, and a notice of each change. A change is seen here before the call
    /// that made it returns.
    #[must_use]
    pub fn rules(&self) -> watch::Receiver<Arc<Rules>> {
        self.state.rules()
    }

    /// A secret for one purpose of a caller's (`cursors`, …): the same in every run.
    #[must_use]
    pub fn secret(&self, purpose: &str) -> Secret<[u8; 32]> {
        self.keyring.secret(&format!("control secret {purpose}"))
    }

    /// The end of the deletion ledger, as far as deletions have begun.
    #[must_use]
    pub fn ledger(&self) -> LedgerPosition {
        self.state.ledger()
    }

    /// How far the control database is on the volumes.
    pub async fn status(&self) -> Status {
        let position = self.database.position().await;
        Status {
            committed: position.committed,
            shipped: position.shipped,
            generation: position.generation,
        }
    }

    /// Begins a run of this node: its commits get a numbering of their own.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when it cannot be made durable.
    pub async fn next_writer(&self) -> Result<WriterId> {
        let node = self.node;
        let actor = Actor::system("start");
        self.act(
            &actor,
            Act::ManageInstallation,
            AccountId::installation(),
            move |session, desk| {
                Box::pin(async move {
                    const ACT: &str = "count a start";
                    sqlx::query(
                        "INSERT INTO nodes (node, starts) VALUES ($1, 1) \
                     ON CONFLICT (node) DO UPDATE SET starts = nodes.starts + 1",
                    )
                    .bind(i64::from(node))
                    .execute(session.connection())
                    .await
                    .map_err(Error::database(ACT))?;
                    let row = sqlx::query("SELECT starts FROM nodes WHERE node = $1")
                        .bind(i64::from(node))
                        .fetch_one(session.connection())
                        .await
                        .map_err(Error::database(ACT))?;
                    let starts: i64 = row.try_get(0).map_err(Error::database(ACT))?;
                    let start = u32::try_from(starts).map_err(|_| {
                        Error::Internal("a node ran out of start numbers".to_owned())
                    })?;
                    let writer = WriterId { node, start };
                    let description = format!("node {node}, start number {start}");
                    desk.note(
                        session,
                        Action::NodeStarted,
                        writer.to_string(),
                        description,
                    )
                    .await?;
                    Ok(writer)
                })
            },
        )
        .await
    }

    /// Writes an entry about something that is not a change of the control database: a read of
    /// people's data, before its first row. When it cannot be written, the read must not happen.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`] when the actor may not read there;
    /// [`model::ErrorKind::Unavailable`] when the entry cannot be made durable.
    pub async fn audit(
        &self,
        actor: &Actor,
        account: AccountId,
        action: Action,
        object: &str,
        description: &str,
        outcome: AuditOutcome,
    ) -> Result<()> {
        let (object, description) = (object.to_owned(), description.to_owned());
        self.act(
            actor,
            Act::of_read(action),
            account,
            move |session, desk| {
                Box::pin(async move {
                    desk.note_outcome(session, action, object, description, outcome)
                        .await
                })
            },
        )
        .await
    }

    /// Reads the audit log of an account; reading it is an entry itself.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`] when the actor may not;
    /// [`model::ErrorKind::Unavailable`] when the database does not answer.
    pub async fn audit_log(
        &self,
        actor: &Actor,
        account: AccountId,
        filter: &AuditFilter,
    ) -> Result<Vec<AuditEntry>> {
        let filter = filter.clone();
        self.act(actor, Act::ReadAudit, account, move |session, desk| {
            Box::pin(async move {
                let entries =
                    audit::list(session, &desk.sealer, account, &filter, u64::MAX).await?;
                let entries: Vec<AuditEntry> = entries.into_iter().map(|it| it.entry).collect();
                let description = format!("{} entries", entries.len());
                desk.note(session, Action::AuditRead, account.to_string(), description)
                    .await?;
                Ok(entries)
            })
        })
        .await
    }

    /// One act: permission first, then `body` in a transaction, in which it writes its entry.
    pub(crate) async fn act<T, F>(
        &self,
        actor: &Actor,
        act: Act,
        account: AccountId,
        body: F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Session, Desk) -> futures::future::BoxFuture<'c, Result<T>>
            + Send
            + 'static,
    {
        self.authorize(actor, act, account).await?;
        let desk = self.desk(actor, account);
        let done = self
            .database
            .write(move |session| body(session, desk))
            .await;
        if let Err(error @ Error::Exceeds(_)) = &done {
            self.note_refusal(actor, account, error.to_string()).await?;
        }
        done
    }

    /// Where a link leads that lets somebody in.
    #[must_use]
    pub fn link_url(&self, link: &Secret<String>) -> String {
        format!("{}/link/{}", self.console_url, link.expose())
    }

    /// The name by which people reach the console, which is often their company's.
    pub(crate) fn console_name(&self) -> Option<String> {
        let url = url::Url::parse(&self.console_url).ok()?;
        url.host_str().map(str::to_owned)
    }

    /// A random text that is used once: 128 bits, in hexadecimal digits.
    #[must_use]
    pub fn nonce(&self) -> String {
        hex::encode(self.random.bytes16())
    }

    /// Whether the actor may; a refusal is written down.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`] when not; [`model::ErrorKind::Unavailable`] when a refusal cannot
    /// be written down.
    pub async fn authorize(&self, actor: &Actor, act: Act, account: AccountId) -> Result<()> {
        let Err(why) = authz::decide(actor, act, account) else {
            return Ok(());
        };
        let description = format!("refused to {}: {why}", act.as_str());
        self.note_refusal(actor, account, description).await?;
        Err(Error::Denied {
            act: act.as_str(),
            account: account.to_string(),
        })
    }

    async fn note_refusal(
        &self,
        actor: &Actor,
        account: AccountId,
        description: String,
    ) -> Result<()> {
        let desk = self.desk(actor, account);
        self.database
            .write(move |session| {
                Box::pin(async move {
                    let (action, outcome) = (Action::Refused, AuditOutcome::Refused);
                    let object = account.to_string();
                    desk.note_outcome(session, action, object, description, outcome)
                        .await
                })
            })
            .await
    }

    pub(crate) fn desk(&self, actor: &Actor, account: AccountId) -> Desk {
        Desk {
            sealer: Arc::clone(&self.sealer),
            sink_gate: Arc::clone(&self.sink_gate),
            actor: actor.clone(),
            account,
            now: self.clock.now(),
        }
    }

    /// Writes down whose the file is, once.
    async fn claim(&self, store_id: String) -> Result<()> {
        let found = self
            .database
            .read(|session| Box::pin(async { schema::setting(session, STORE_ID).await }))
            .await?;
        if found.is_some() {
            return Ok(());
        }
        self.database
            .write(move |session| {
                Box::pin(async move { schema::set(session, STORE_ID, &store_id).await })
            })
            .await
    }

    /// Fills what readers see.
    async fn load(&self) -> Result<()> {
        let sealer = Arc::clone(&self.sealer);
        let (accounts, mut effects) = self
            .database
            .read(move |session| {
                Box::pin(async move {
                    let accounts = account::read_all(session).await?;
                    let mut effects = catalog::load(session, &sealer).await?;
                    effects.push(Effect::Ledger(load_ledger(session).await?));
                    effects.extend(crate::allowlist::load(session, &sealer).await?);
                    Ok((accounts, effects))
                })
            })
            .await?;
        let mut all = Vec::new();
        for record in accounts {
            let secret = self.keys.person_key_secret(record.id)?;
            all.push(Effect::Account(Box::new(
                record.rules(secret, &self.sealer)?,
            )));
        }
        all.append(&mut effects);
        self.state.apply(all);
        Ok(())
    }
}

/// What an act needs inside its transaction.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) sink_gate: Arc<audit::sinks::Gate>,
    pub(crate) actor: Actor,
    pub(crate) account: AccountId,
    pub(crate) now: Timestamp,
}

impl Desk {
    /// Writes the act's entry.
    pub(crate) async fn note(
        &self,
        session: &mut Session,
        action: Action,
        object: String,
        description: String,
    ) -> Result<()> {
        self.note_outcome(session, action, object, description, AuditOutcome::Done)
            .await
    }

    /// Writes an entry with another outcome.
    pub(crate) async fn note_outcome(
        &self,
        session: &mut Session,
        action: Action,
        object: String,
        description: String,
        outcome: AuditOutcome,
    ) -> Result<()> {
        self.sink_gate.admit(action, &object)?;
        let note = Note {
            account: self.account,
            action,
            object,
            description,
            outcome,
        };
        audit::write(session, &self.sealer, self.now, &self.actor, &note).await
    }
}

/// Decides which bytes are the database, and puts them at `path`.
async fn choose(store: &dyn ObjectStore, path: &Path, shipped: Shipped) -> Result<Origin> {
    let exists = path.try_exists().map_err(Error::file("look for", path))?;
    let Some(tail) = shipped.tail else {
        if exists {
            return Ok(Origin::Local);
        }
        for folder in ["lake", "journal"] {
            if objects::any(store, folder).await? {
                let reason = "the volumes hold data, and neither they nor the disk hold it";
                return Err(Error::damaged("the control database", reason));
            }
        }
        return Ok(Origin::Created);
    };
    if !exists {
        restore::restore(store, tail, path).await?;
        return Ok(Origin::Restored);
    }
    match compare(path, tail.point).await {
        Ok(Comparison::Continues) => return Ok(Origin::Local),
        Ok(Comparison::Ahead) => {
            return Err(Error::Forked {
                path: path.to_path_buf(),
            });
        }
        Ok(Comparison::Behind) => {}
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to read the local control database"
            );
        }
    }
    restore::set_aside(path)?;
    restore::restore(store, tail, path).await?;
    Ok(Origin::Replaced)
}

enum Comparison {
    /// The file holds everything that was acknowledged.
    Continues,
    /// It does not, and has fewer transactions or as many: what it has beyond the common history
    /// was never acknowledged.
    Behind,
    /// It does not, and has more: somebody may have acknowledged them elsewhere.
    Ahead,
}

async fn compare(path: &Path, acknowledged: crate::shipping::chunk::Point) -> Result<Comparison> {
    let mut session = Session::open(path).await?;
    let sound = session.is_sound().await?;
    let own = session.point().await?;
    let continues = own.is_some() && session.has_passed(acknowledged).await?;
    session.close().await?;
    if !sound {
        return Err(Error::damaged(
            path.display().to_string(),
            "its structure is not sound",
        ));
    }
    Ok(match own {
        Some(_) if continues => Comparison::Continues,
        Some(own) if own.sequence > acknowledged.sequence => Comparison::Ahead,
        Some(_) | None => Comparison::Behind,
    })
}

/// A file of another store must not reach these volumes.
async fn refuse_foreign(session: &mut Session, path: &Path, store_id: &str) -> Result<()> {
    if session.point().await?.is_none() {
        return Ok(());
    }
    match schema::setting(session, STORE_ID).await? {
        Some(found) if found != store_id => Err(Error::Refused(format!(
            "refused control database `{}`: it belongs to another store",
            path.display()
        ))),
        Some(_) | None => Ok(()),
    }
}

/// Nobody but the owner reads the database's files.
fn protect(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    for ending in ["", "-wal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        let file = PathBuf::from(name);
        match fs::set_permissions(&file, fs::Permissions::from_mode(0o600)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::file("protect", &file)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

async fn load_ledger(session: &mut Session) -> Result<Vec<LedgerLine>> {
    const ACT: &str = "read the ledger";
    let rows = sqlx::query(
        "SELECT position, account, person, from_ms, to_ms, begun FROM ledger ORDER BY position",
    )
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    rows.iter().map(ledger_line).collect()
}

/// The lines of one account.
pub(crate) async fn ledger_of(session: &mut Session, id: AccountId) -> Result<Vec<LedgerLine>> {
    let all = load_ledger(session).await?;
    Ok(all.into_iter().filter(|it| it.account == id).collect())
}

fn ledger_line(row: &SqliteRow) -> Result<LedgerLine> {
    const ACT: &str = "read the ledger";
    let position: i64 = row.try_get(0).map_err(Error::database(ACT))?;
    let account: String = row.try_get(1).map_err(Error::database(ACT))?;
    let person: Vec<u8> = row.try_get(2).map_err(Error::database(ACT))?;
    let from: Option<i64> = row.try_get(3).map_err(Error::database(ACT))?;
    let to: Option<i64> = row.try_get(4).map_err(Error::database(ACT))?;
    let begun: i64 = row.try_get(5).map_err(Error::database(ACT))?;
    let damaged = || Error::damaged(format!("line {position} of the ledger"), "it is malformed");
    Ok(LedgerLine {
        account: account.parse().map_err(|_| damaged())?,
        person: PersonKey(person.try_into().map_err(|_| damaged())?),
        stretch: Stretch {
            from: from.map(Timestamp::from_ms),
            to: to.map(Timestamp::from_ms),
        },
        position: LedgerPosition(u64::try_from(position).map_err(|_| damaged())?),
        has_begun: begun != 0,
    })
}
