//! The operators' listener: plain HTTP on loopback, three paths, no data of anybody.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{MethodRouter, get};
use control::Audit;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

const CONNECTIONS_MAX: usize = 64;
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// What the operators' listener shows.
pub(crate) trait Health: Send + Sync + 'static {
    /// Whether requests can be served; says why not.
    fn readiness(&self) -> Result<(), String>;

    /// The metrics in Prometheus' text format.
    fn metrics(&self) -> String;
}

/// One path.
pub(crate) struct Route {
    /// The URL.
    pub(crate) path: &'static str,
    /// What each call leaves in the audit log.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the table of acts is made of it, by a test")
    )]
    pub(crate) audit: Audit,
    /// Makes the handler.
    handler: fn(Arc<dyn Health>) -> MethodRouter,
}

/// The three paths. A path that is not in this table does not exist.
pub(crate) const ROUTES: [Route; 3] = [
    Route {
        path: "/healthz",
        audit: Audit::Nothing,
        handler: |_| get(|| async { "ok\n" }),
    },
    Route {
        path: "/readyz",
        audit: Audit::Nothing,
        handler: ready,
    },
    Route {
        path: "/metrics",
        audit: Audit::Nothing,
        handler: numbers,
    },
];

pub(super) fn router(health: &Arc<dyn Health>) -> Router {
    ROUTES.iter().fold(Router::new(), |router, route| {
        router.route(route.path, (route.handler)(Arc::clone(health)))
    })
}

fn ready(health: Arc<dyn Health>) -> MethodRouter {
    get(move || async move {
        match health.readiness() {
            Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
            Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
        }
    })
}

fn numbers(health: Arc<dyn Health>) -> MethodRouter {
    get(move || async move {
        (
            [("content-type", "text/plain; version=0.0.4; charset=utf-8")],
            health.metrics(),
        )
    })
}

/// Serves until `stop`.
pub(crate) async fn run(socket: TcpListener, health: Arc<dyn Health>, stop: CancellationToken) {
    let router = router(&health);
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = socket.accept() => accepted,
        };
        let Ok((tcp, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Whoever does not get a slot is closed: the next scrape comes soon.
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            continue;
        };
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(async move {
            let service = service_fn(move |request| router.clone().oneshot(request));
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(tcp), service);
            tokio::select! {
                ended = connection => drop(ended),
                () = stop.cancelled() => {}
            }
            drop(slot);
        });
    }
    connections.close();
    connections.wait().await;
}
