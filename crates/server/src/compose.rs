//! The only place that constructs the parts and connects them.
//!
//! Order matters: keyring, volumes, key table, store, control database, journal, lake, queries,
//! routers. [`Installation`] is all of it, opened, whether a server runs on it or one command; it
//! holds the lock as long as it lives, and the volumes until it is closed.

mod adapters;
mod keyring;
#[cfg(test)]
mod tests;

use anyhow::{Context as _, Result};
use axum::Router;
use control::{Control, KeyTable, SharedKeyring};
use journal::Journal;
use lake::Lake;
use model::catalog::Catalog;
use model::record::{Plane, Table};
use model::{Clock, Random, RecordIds, SystemClock, SystemRandom, WriterId};
use object_store::ObjectStore;
use query::Engine;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use store::{DirPlace, Place, Store};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::attention::{Attention, Kind, Watch};
use crate::config::{Config, Jobs, Loaded};
use crate::heads::Heads;
use crate::jobs::{Guards, Receiver};
use crate::listen::Health;
use crate::lock::Lock;
use crate::metrics::Metrics;
use crate::sinks::{self, Sinks};
pub(crate) use adapters::Visible;

/// Names of deleted people that wait to be carried to the ledger.
const REACHED_WAITING_MAX: usize = 4_096;

/// An installation, opened.
#[derive(Debug)]
pub(crate) struct Installation {
    folder: PathBuf,
    settings: Jobs,
    mail: crate::config::Mail,
    alerts: crate::config::Alerts,
    clock: Arc<dyn Clock>,
    record_ids: Arc<RecordIds>,
    store: Store,
    keys: Arc<KeyTable>,
    control: Control,
    journal: Journal,
    lake: Lake,
    engine: Engine,
    collect: collect::State,
    web: web::State,
    heads: Arc<Heads>,
    sinks: Arc<Sinks>,
    attention: Arc<Attention>,
    receiver: Option<Receiver>,
    metrics: Metrics,
    guards: Guards,
    /// Names of deleted people, until a job takes the end of the channel.
    reached: Mutex<Option<mpsc::Receiver<collect::Reached>>>,
    writer: Mutex<Option<JoinHandle<journal::Result<()>>>>,
    stop_writer: CancellationToken,
    /// Held as long as the installation is open; none for a simulated one.
    _lock: Option<Lock>,
}

/// What an installation stands on.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) places: Vec<Arc<dyn Place>>,
    pub(crate) keyring: Arc<SharedKeyring>,
    pub(crate) store: store::Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) lock: Option<Lock>,
}

/// Opens an installation.
///
/// # Errors
/// When a rule forbids it (the keyring's mode, volumes of another store) or something is missing;
/// says which.
pub(crate) async fn open(loaded: &Loaded, lock: Lock) -> Result<Installation> {
    let config = &loaded.config.store;
    let place = |path: &PathBuf| Arc::new(DirPlace::new(loaded.resolve(path))) as Arc<dyn Place>;
    let ground = Ground {
        places: config.volumes.iter().map(place).collect(),
        keyring: keyring::open(loaded)?,
        store: store::Settings {
            write_grace: config.write_grace(),
            ..Default::default()
        },
        clock: Arc::new(SystemClock::new()),
        random: Arc::new(SystemRandom),
        lock: Some(lock),
    };
    assemble(loaded, ground).await
}

/// Constructs the parts on a ground, and connects them.
///
/// # Errors
/// As [`open`].
pub(crate) async fn assemble(loaded: &Loaded, ground: Ground) -> Result<Installation> {
    let config = &loaded.config;
    let Ground {
        places,
        keyring,
        store,
        clock,
        random,
        lock,
    } = ground;
    let metrics = Metrics::start();

    let keys = KeyTable::open(
        Arc::clone(&keyring),
        Arc::clone(&clock),
        Arc::clone(&random),
    );
    let store = Store::open(
        places,
        &keyring.current(),
        Arc::clone(&keys) as _,
        store,
        Arc::clone(&clock),
        Arc::clone(&random),
    )
    .await
    .context("failed to open the volumes")?;
    let objects: Arc<dyn ObjectStore> = Arc::new(store.clone());
    or_repaired(&store, async || {
        keys.attach(Arc::clone(&objects))
            .await
            .context("failed to read the key table")
    })
    .await?;
    let control = or_repaired(&store, async || {
        open_control(loaded, &keyring, &keys, &objects, &clock, &random).await
    })
    .await?;
    let catalog: Arc<dyn Catalog> = Arc::new(control.clone());

    // Each attempt is a start of its own: what one has settled, another must not settle again.
    let (writer_id, journal, writer) = or_repaired(&store, async || {
        let id = number_start(&control).await?;
        let (journal, writer) = open_journal(config, id, &objects, &catalog, &clock).await?;
        Ok((id, journal, writer))
    })
    .await?;
    let stop_writer = CancellationToken::new();
    let writer = tokio::spawn(writer.run(stop_writer.clone().cancelled_owned()));

    let lake = Lake::new(
        Arc::clone(&objects),
        Arc::clone(&catalog),
        Arc::clone(&clock),
        random,
        lake::Settings::default(),
    )
    .knowing_lost(store::is_lost);
    let engine = open_engine(config, &journal, (objects, catalog), &clock)?;

    let record_ids = Arc::new(RecordIds::new(writer_id));
    let (reached_sender, reached) = mpsc::channel(REACHED_WAITING_MAX);
    let collect = collect::State::new(collect::Parts {
        rules: control.rules(),
        journal: journal.clone(),
        clock: Arc::clone(&clock),
        record_ids: Arc::clone(&record_ids),
        reached: reached_sender,
        stored: Arc::new(adapters::EngineStored(engine.clone())),
    });
    let outlook = look_out(loaded, &store, &keyring, &journal, &control, &clock).await?;
    let web = open_web(config, &outlook, &collect, &control, &engine, &clock);
    Ok(Installation {
        folder: loaded.folder.clone(),
        settings: config.jobs.clone(),
        mail: config.mail.clone(),
        alerts: config.alerts.clone(),
        clock,
        record_ids,
        store,
        keys,
        control,
        journal,
        lake,
        engine,
        collect,
        web,
        heads: outlook.heads,
        sinks: outlook.sinks,
        attention: outlook.attention,
        receiver: outlook.receiver,
        metrics,
        guards: Guards::default(),
        reached: Mutex::new(Some(reached)),
        writer: Mutex::new(Some(writer)),
        stop_writer,
        _lock: lock,
    })
}

fn open_engine(
    config: &Config,
    journal: &Journal,
    (objects, catalog): (Arc<dyn ObjectStore>, Arc<dyn Catalog>),
    clock: &Arc<dyn Clock>,
) -> Result<Engine> {
    let tail = Arc::new(adapters::JournalTail(journal.clone()));
    let settings = query_settings(config);
    Engine::new(objects, catalog, tail, Arc::clone(clock), settings)
        .context("failed to start the query engine")
}

/// Takes a step of the start; when it fails while volumes are out, they are repaired and it is taken
/// once more. A commit that a crash cut short can only be judged when every volume that is there has
/// been compared with the others, and a start that is refused could never do that later.
async fn or_repaired<T>(store: &Store, step: impl AsyncFn() -> Result<T>) -> Result<T> {
    let error = match step().await {
        Ok(done) => return Ok(done),
        Err(error) => error,
    };
    let status = store.status();
    if status.healthy == status.volumes.len() {
        return Err(error);
    }
    tracing::warn!("volumes are out and the start needs them: repairing first: {error:#}");
    store.repair().await;
    step().await
}

/// A number for this start, which no other start has or will have.
async fn number_start(control: &Control) -> Result<WriterId> {
    control
        .next_writer()
        .await
        .context("failed to number this start")
}

/// Opens the journal above what is in parts already.
async fn open_journal(
    config: &Config,
    writer: WriterId,
    objects: &Arc<dyn ObjectStore>,
    catalog: &Arc<dyn Catalog>,
    clock: &Arc<dyn Clock>,
) -> Result<(Journal, journal::Writer)> {
    let view = catalog
        .view(None, &[])
        .await
        .context("failed to read the journal's watermarks")?;
    let settings = journal::Settings {
        gather: config.journal.gather(),
        ..Default::default()
    };
    let (journal, writer, recovery) = Journal::open(
        settings,
        Arc::clone(objects),
        writer,
        &view.watermarks,
        Arc::clone(clock),
    )
    .await
    .context("failed to open the journal")?;
    tracing::info!(
        commits.live = recovery.live_commits,
        commits.adopted = recovery.adopted.len(),
        commits.set_aside = recovery.set_aside.len(),
        "the journal is open"
    );
    Ok((journal, writer))
}

fn query_settings(config: &Config) -> query::Settings {
    query::Settings {
        memory_bytes_max: usize::try_from(config.query.memory_bytes_max).unwrap_or(usize::MAX),
        time_max: config.query.time_max(),
        rows_max: config.query.rows_max,
        ..Default::default()
    }
}

/// What leads out of the installation, and what is told there.
struct Outlook {
    heads: Arc<Heads>,
    sinks: Arc<Sinks>,
    attention: Arc<Attention>,
    receiver: Option<Receiver>,
}

/// Opens the places that the audit log and alerts go to. From here on a required sink that is too far
/// behind holds up what is audited.
async fn look_out(
    loaded: &Loaded,
    store: &Store,
    keyring: &Arc<SharedKeyring>,
    journal: &Journal,
    control: &Control,
    clock: &Arc<dyn Clock>,
) -> Result<Outlook> {
    let config = &loaded.config;
    let heads = Arc::new(Heads::new(&loaded.folder, control));
    let host = &config.web.console_name;
    let sinks = Sinks::open(&config.audit, &loaded.folder, host, control, &heads, clock)?;
    let known = control.set_sinks(sinks::terms(&config.audit)).await;
    known.context("failed to write down where the audit log is streamed to")?;
    let sinks = Arc::new(sinks);
    let attention = Arc::new(Attention {
        store: store.clone(),
        keyring: Arc::clone(keyring),
        journal: journal.clone(),
        sinks: Arc::clone(&sinks),
        watch: Watch::default(),
        clock: Arc::clone(clock),
        settings: config.jobs.clone(),
        started_at: clock.now(),
    });
    let receiver = Receiver::open(&config.alerts, &loaded.folder)
        .context("failed to set up the receiver of alerts")?;
    Ok(Outlook {
        heads,
        sinks,
        attention,
        receiver,
    })
}

fn open_web(
    config: &Config,
    outlook: &Outlook,
    collect: &collect::State,
    control: &Control,
    engine: &Engine,
    clock: &Arc<dyn Clock>,
) -> web::State {
    web::State::new(web::Parts {
        collect: collect.clone(),
        control: control.clone(),
        engine: engine.clone(),
        cursor_key: control.secret("cursors"),
        clock: Arc::clone(clock),
        volumes: Arc::new(adapters::InstallationGround(Arc::clone(&outlook.attention))),
        heads: Arc::<Heads>::clone(&outlook.heads),
        settings: web_settings(config),
    })
}

fn web_settings(config: &Config) -> web::Settings {
    let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let host = |port: u16| match port {
        443 => config.web.console_name.clone(),
        port => format!("{}:{port}", config.web.console_name),
    };
    web::Settings {
        collect_host: host(config.listen.collect.port()),
        api_host: host(config.listen.api.port()),
        security_contact: config.web.security_contact.clone(),
        security_policy: some(&config.web.security_policy),
        security_canonical: some(&config.web.security_canonical),
        preferred_languages: config.web.preferred_languages.clone(),
        request_retention_days: config.jobs.requests_retention_days,
    }
}

async fn open_control(
    loaded: &Loaded,
    keyring: &Arc<SharedKeyring>,
    keys: &Arc<KeyTable>,
    objects: &Arc<dyn ObjectStore>,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
) -> Result<Control> {
    let folder = loaded.resolve(&loaded.config.control.folder);
    crate::files::create_folder(&folder)?;
    let (control, report) = Control::open(
        control::Settings {
            console_name: loaded.config.web.console_name.clone(),
            console_url: loaded.console_url(),
            ..control::Settings::new(folder)
        },
        Arc::clone(keyring),
        Arc::clone(objects),
        Arc::clone(keys),
        Arc::clone(clock),
        Arc::clone(random),
    )
    .await
    .context("failed to open the control database")?;
    tracing::debug!(?report, "the control database is open");
    Ok(control)
}

impl Installation {
    /// The folder of the configuration file.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// How often jobs run.
    pub(crate) const fn settings(&self) -> &Jobs {
        &self.settings
    }

    /// How mail goes out.
    pub(crate) const fn mail(&self) -> &crate::config::Mail {
        &self.mail
    }

    /// Who is told that something turned red.
    pub(crate) const fn alerts(&self) -> &crate::config::Alerts {
        &self.alerts
    }

    /// Who is called besides.
    pub(crate) const fn receiver(&self) -> Option<&Receiver> {
        self.receiver.as_ref()
    }

    /// What needs attention.
    pub(crate) fn attention(&self) -> &Attention {
        &self.attention
    }

    /// The time.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// The ids of this writer.
    pub(crate) fn record_ids(&self) -> Arc<RecordIds> {
        Arc::clone(&self.record_ids)
    }

    /// The volumes.
    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    /// The key table.
    pub(crate) fn keys(&self) -> &KeyTable {
        &self.keys
    }

    /// The control database.
    pub(crate) const fn control(&self) -> &Control {
        &self.control
    }

    /// Admission.
    pub(crate) const fn collect(&self) -> &collect::State {
        &self.collect
    }

    /// Where drops go.
    pub(crate) fn drops(&self) -> &collect::Drops {
        self.collect.drops()
    }

    /// The journal.
    pub(crate) const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The lake.
    pub(crate) const fn lake(&self) -> &Lake {
        &self.lake
    }

    /// Queries.
    pub(crate) const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The published heads of the audit logs.
    pub(crate) fn heads(&self) -> &Heads {
        &self.heads
    }

    /// Where the audit log is streamed to.
    pub(crate) fn sinks(&self) -> &Sinks {
        &self.sinks
    }

    /// What the console and the API stand on.
    pub(crate) const fn web(&self) -> &web::State {
        &self.web
    }

    /// The locks of the jobs.
    pub(crate) const fn guards(&self) -> &Guards {
        &self.guards
    }

    /// The end of the channel of names that reach deleted people; once.
    pub(crate) fn take_reached(&self) -> Option<mpsc::Receiver<collect::Reached>> {
        self.reached
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// What answers on a plane.
    pub(crate) fn router(&self, plane: Plane) -> Router {
        match plane {
            Plane::Collect => collect::router(&self.collect),
            Plane::Api => web::api_router(&self.web),
            Plane::Console => web::console_router(&self.web),
        }
    }

    /// The rules of every account at this moment.
    pub(crate) fn rules(&self) -> Arc<governance::Rules> {
        Arc::clone(&self.control.rules().borrow())
    }

    /// Ends what was started: the journal drains, and the volumes are given back.
    ///
    /// # Errors
    /// When the journal could not write its last commit.
    pub(crate) async fn close(&self) -> Result<()> {
        if let Err(error) = self.drops().flush(collect::Flush::All).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to write down what was dropped last"
            );
        }
        if let Err(error) = crate::jobs::write_uses(self).await {
            tracing::warn!("{error:#}");
        }
        if let Err(error) = crate::admin::write_left_out(self).await {
            tracing::warn!("{error:#}");
        }
        self.stop_writer.cancel();
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let drained = match writer {
            Some(writer) => writer.await.context("the journal's writer failed"),
            None => Ok(Ok(())),
        };
        // Whoever still has a handle of the store, as the key table has, must not hold them.
        self.store.close().await;
        drained?.context("failed to drain the journal")
    }

    fn refresh_gauges(&self) {
        let status = self.store.status();
        let shown = |number: u64| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
        let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
        metrics::gauge!("strongroom_volumes").set(count(status.volumes.len()));
        metrics::gauge!("strongroom_volumes_in_service").set(count(status.healthy));
        metrics::gauge!("strongroom_volumes_needed").set(count(status.data));
        metrics::gauge!("strongroom_shards_wanted").set(shown(status.shards_wanted));
        metrics::gauge!("strongroom_objects").set(shown(status.objects));
        for volume in &status.volumes {
            let in_service = matches!(volume.state, store::VolumeState::InService);
            let number = volume.number.to_string();
            metrics::gauge!("strongroom_volume_in_service", "volume" => number)
                .set(if in_service { 1.0 } else { 0.0 });
        }
        let concerns = self.attention.find();
        for kind in Kind::ALL {
            let of_kind = concerns.iter().filter(|it| it.kind == kind).count();
            metrics::gauge!("strongroom_needs_attention", "kind" => kind.as_str())
                .set(count(of_kind));
        }
        let journal = self.journal.status();
        metrics::gauge!("strongroom_journal_commits").set(count(journal.live_commits));
        metrics::gauge!("strongroom_journal_mebibytes").set(shown(journal.live_bytes >> 20));
        metrics::gauge!("strongroom_journal_lines_waiting").set(count(journal.waiting_lines));
    }

    /// The tables that hold people.
    pub(crate) const PERSONAL_TABLES: [Table; 4] = [
        Table::Events,
        Table::ProfileChanges,
        Table::Links,
        Table::Quarantine,
    ];
}

impl Health for Installation {
    fn readiness(&self) -> Result<(), String> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.as_ref().is_none_or(JoinHandle::is_finished) {
            return Err("the journal takes nothing any more".to_owned());
        }
        drop(writer);
        self.attention.readiness()
    }

    fn metrics(&self) -> String {
        self.refresh_gauges();
        self.metrics.render()
    }
}
