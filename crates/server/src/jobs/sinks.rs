//! The audit log leaves for the places that the operator has named.

use anyhow::Result;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Turn;
use crate::compose::Installation;
use crate::sinks::Sink;

/// By hand every sink is given what waits for it; in time its own task does that, and here is seen how
/// far they are.
pub(super) async fn run(installation: &Installation, turn: Turn) -> Result<Value> {
    let sinks = installation.sinks();
    match turn {
        Turn::ByHand => sinks.turn().await.map(|taken| json!({"taken": taken})),
        Turn::InTime => sinks.look().await.map(|()| json!({})),
    }
}

/// Starts a task for each sink: it is given what waits for it, and then left alone for `interval`.
pub(crate) fn start(
    tasks: &TaskTracker,
    installation: &Arc<Installation>,
    interval: Duration,
    stop: &CancellationToken,
) {
    for sink in installation.sinks().all() {
        let (installation, sink) = (Arc::clone(installation), Arc::clone(sink));
        tasks.spawn(serve(installation, sink, interval, stop.clone()));
    }
}

async fn serve(
    installation: Arc<Installation>,
    sink: Arc<Sink>,
    interval: Duration,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        // A batch that is under way at the end is sent again after the next start.
        let served = tokio::select! {
            () = stop.cancelled() => return,
            served = Box::pin(installation.sinks().serve(&sink)) => served,
        };
        if let Err(error) = served {
            tracing::error!(
                sink = sink.name(),
                "a sink of the audit log was not served and will be tried again: {error:#}"
            );
        }
    }
}
