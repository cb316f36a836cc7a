//! The server: an installation with its listeners, its socket and its jobs, until it is told to
//! stop.
//!
//! Order matters. Starting: lock, parts, certificates, sockets, and only then the lines that say
//! where it listens and the readiness notice. Stopping: no new connections, requests in progress
//! end, jobs end, the journal drains.

#[cfg(test)]
mod tests;

use anyhow::{Context as _, Result, bail};
use model::record::Plane;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin;
use crate::compose::{self, Installation};
use crate::config::Loaded;
use crate::failure::{Failure, Kind};
use crate::jobs;
use crate::listen::{self, Listener, Shared};
use crate::lock::Lock;
use crate::recall::recall;
use crate::tls::{self, Certificates};

/// How long a start waits for a command that is using the installation.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// A server that runs.
pub(crate) struct Server {
    installation: Arc<Installation>,
    certificates: Arc<Certificates>,
    addresses: Vec<(&'static str, SocketAddr)>,
    /// Stops listeners, socket and jobs.
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// Runs a server until SIGTERM or SIGINT; SIGHUP reads the certificates again.
///
/// # Errors
/// When the start is refused (says which rule), or what was in progress could not be ended well.
pub(crate) async fn until_signal(loaded: &Loaded) -> Result<()> {
    let fail = "failed to listen for signals";
    let mut terminate = signal(SignalKind::terminate()).context(fail)?;
    let mut interrupt = signal(SignalKind::interrupt()).context(fail)?;
    let mut hangup = signal(SignalKind::hangup()).context(fail)?;
    let server = start(loaded).await?;
    for (plane, address) in server.addresses() {
        let url = match *plane {
            "ops" => format!("http://{address}"),
            // Passkeys and certificates know the console by its name.
            "console" => loaded.config.web.console_url(address.port()),
            _ => format!("https://{address}"),
        };
        crate::cli::print(format!("{plane:<8} {url}\n"))?;
    }
    // Where systemd did not start us there is nobody to tell.
    drop(sd_notify::notify(&[sd_notify::NotifyState::Ready]));
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => server.reload_certificates(),
        }
    }
    drop(sd_notify::notify(&[sd_notify::NotifyState::Stopping]));
    tracing::info!("stopping: requests in progress may end");
    server.stop().await
}

/// Starts a server.
///
/// # Errors
/// When a rule forbids it or a resource is missing; says which.
pub(crate) async fn start(loaded: &Loaded) -> Result<Server> {
    let lock = take_lock(loaded).await?;
    let installation = Arc::new(compose::open(loaded, lock).await?);
    let equipped = match recall(&installation).await {
        Ok(()) => equip(loaded, &installation).await,
        Err(error) => Err(error),
    };
    match equipped {
        Ok(server) => Ok(server),
        Err(error) => {
            installation.close().await?;
            Err(error)
        }
    }
}

async fn take_lock(loaded: &Loaded) -> Result<Lock> {
    let held = || {
        Failure::new(
            Kind::Refused,
            format!(
                "another strongroom process already runs on `{}` and holds its lock",
                loaded.folder.display()
            ),
        )
    };
    if admin::is_served(loaded).await {
        bail!(held());
    }
    match Lock::take(&loaded.folder, LOCK_PATIENCE).await? {
        Some(lock) => Ok(lock),
        None => bail!(held()),
    }
}

/// Opens every socket, then starts every task.
async fn equip(loaded: &Loaded, installation: &Arc<Installation>) -> Result<Server> {
    let config = &loaded.config.listen;
    let certificates = Arc::new(Certificates::open(loaded, installation.clock().now())?);
    let mut listeners = Vec::new();
    let mut addresses = Vec::new();
    for plane in tls::PLANES {
        let wanted = match plane {
            Plane::Collect => config.collect,
            Plane::Api => config.api,
            Plane::Console => config.console,
        };
        let socket = listen::bind(plane.as_str(), wanted).await?;
        let address = socket
            .local_addr()
            .context("failed to learn where a plane listens")?;
        addresses.push((plane.as_str(), address));
        if plane == Plane::Collect {
            let name = public_name(loaded, &certificates.names(plane), address.port());
            installation.collect().set_public_name(&name);
        }
        let acceptor = TlsAcceptor::from(Arc::new(certificates.server_config(plane)?));
        listeners.push(Listener {
            plane,
            socket,
            acceptor,
            certificates: Arc::clone(&certificates),
            router: installation.router(plane),
        });
    }
    let ops = listen::bind("ops", config.ops).await?;
    addresses.push((
        "ops",
        ops.local_addr()
            .context("failed to learn where ops listens")?,
    ));
    let commands = admin::bind(installation.folder())?;

    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let shared = Arc::new(Shared {
        limits: config.clone(),
        proxies: config.proxies()?,
        drops: installation.drops().clone(),
        connections_max: listen::connections_max(config.connections_max),
    });
    for listener in listeners {
        tasks.spawn(listen::run(listener, Arc::clone(&shared), stop.clone()));
    }
    tasks.spawn(listen::run_ops(
        ops,
        Arc::clone(installation) as _,
        stop.clone(),
    ));
    tasks.spawn(admin::run(commands, Arc::clone(installation), stop.clone()));
    jobs::start(&tasks, installation, &stop);
    tasks.spawn(jobs::watch_certificates(
        Arc::clone(installation),
        Arc::clone(&certificates),
        stop.clone(),
    ));
    tasks.close();
    Ok(Server {
        installation: Arc::clone(installation),
        certificates,
        addresses,
        stop,
        tasks,
    })
}

/// The name by which apps reach the SDK endpoints. What the operator has not said is, where the
/// certificate is a file of their own, one of the names that it is for: those are in `covered`.
fn public_name(loaded: &Loaded, covered: &[Box<str>], port: u16) -> String {
    let config = &loaded.config;
    if !config.listen.collect_name.is_empty() {
        return config.listen.collect_name.clone();
    }
    let acme = config.acme.names.iter().filter(|_| config.acme.is_on());
    let configured = acme.chain(&config.tls.names).map(String::as_str);
    let configured: Vec<&str> = configured
        .filter(|name| wire::mobile_sdk::authority(name).is_some())
        .collect();
    let own = match config.tls.collect.is_empty() {
        true => None,
        false => own_name(&configured, covered),
    };
    let name = own.or_else(|| configured.first().copied());
    let name = name.unwrap_or("localhost");
    let name = match name.contains(':') {
        true => format!("[{name}]"),
        false => name.to_owned(),
    };
    match port {
        443 => name,
        port => format!("{name}:{port}"),
    }
}

/// The name that phones are told of a certificate of the operator's own: a configured one that stands in
/// it; else the first host in it; else a configured one that it is for by a wildcard. A certificate for
/// `*.example.com` mostly names `example.com` too, which is then somebody's web site: a name with a
/// wildcard beneath it is taken last, where there is nothing else.
fn own_name<'a>(configured: &[&'a str], covered: &'a [Box<str>]) -> Option<&'a str> {
    let has = |name: &str| covered.iter().any(|it| it.eq_ignore_ascii_case(name));
    // What `tls.names` holds unless it is told otherwise is this machine to itself alone.
    let said = || {
        let said = configured.iter().copied();
        said.filter(|name| !is_loopback(name))
    };
    if let Some(name) = said().find(|name| has(name)) {
        return Some(name);
    }
    let in_it = || covered.iter().map(|name| &**name);
    let hosts = || in_it().filter(|name| is_host_name(name) && !is_loopback(name));
    let mut alone = hosts().filter(|name| !has(&format!("*.{name}")));
    let (first, second) = (alone.next(), alone.next());
    let by_wildcard = said().find(|name| {
        let beneath = name.split_once('.').map(|(_, rest)| format!("*.{rest}"));
        beneath.is_some_and(|it| has(&it))
    });
    let told = first.or(by_wildcard).or_else(|| hosts().next());
    if told.is_none() || second.is_some() || (first.is_none() && by_wildcard.is_none()) {
        tracing::warn!(
            told = told.unwrap_or("none of its names"),
            "`listen.collect_name` is empty, and the certificate of the collect plane does not tell which \
             of its names is the one that apps reach: say it, since phones keep what they are told"
        );
    }
    told
}

/// Whether a name is this machine's to itself alone.
fn is_loopback(name: &str) -> bool {
    let address = name.parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|it| it.is_loopback())
}

/// Whether a name of a certificate is one host's: no address, and no wildcard.
fn is_host_name(name: &str) -> bool {
    name.parse::<IpAddr>().is_err() && wire::mobile_sdk::authority(name).is_some()
}

impl Server {
    /// Where each plane listens.
    pub(crate) fn addresses(&self) -> &[(&'static str, SocketAddr)] {
        &self.addresses
    }

    /// What it runs on.
    pub(crate) fn installation(&self) -> &Arc<Installation> {
        &self.installation
    }

    /// Reads the certificates again, changed or not.
    pub(crate) fn reload_certificates(&self) {
        self.certificates
            .reload(self.installation.clock().now(), true);
    }

    /// Stops: requests in progress end, jobs end, the journal drains.
    ///
    /// # Errors
    /// When the journal could not be drained.
    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.tasks.wait().await;
        if let Err(error) = jobs::run(&self.installation, jobs::Job::Checkpoint).await {
            tracing::error!("the heads of the audit logs were not published: {error:#}");
        }
        self.installation.close().await
    }
}
