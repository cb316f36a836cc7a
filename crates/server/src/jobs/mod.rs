//! Work in the background: each job is idempotent, resumable, and can be run by hand.
//!
//! Only this module and [`crate::serve`] start long-lived tasks. A job and its run by hand share a
//! lock, and jobs that publish to the lake share another, so that they do not conflict with
//! themselves. A job that fails is logged and tried again at its next turn.

mod alerts;
mod certificates;
mod checkpoint;
mod compaction;
mod deletion;
mod drops;
mod expiry;
mod flush;
mod garbage;
mod keys;
mod mail;
mod maintain;
mod reached;
mod sinks;
mod uses;

#[cfg(test)]
pub(crate) mod tests;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::compose::Installation;
use crate::config::Jobs;
pub(crate) use alerts::Receiver;
pub(crate) use certificates::watch as watch_certificates;
pub(crate) use sinks::start as serve_sinks;
pub(crate) use uses::run as write_uses;

/// A job, as an operator names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Job {
    /// Turns the journal's commits into parts
    Flush,
    /// Merges small parts
    Compaction,
    /// Carries out pending deletions: rewrites, then destroys keys
    Deletion,
    /// Removes what is past its retention
    Expiry,
    /// Removes objects that nothing names any more
    Garbage,
    /// Brings volumes back, repairs and scrubs a little further
    Maintain,
    /// Makes keys ahead of time
    Keys,
    /// Signs the heads of the audit logs and writes them to files
    Checkpoint,
    /// Counts what was dropped and not reviewed
    Drops,
    /// Hands mail to the mail server
    Mail,
    /// Streams the audit log to its sinks
    Sinks,
    /// Tells what turned red and what is in order again
    Alerts,
    /// Writes down when credentials were used last
    Uses,
}

impl Job {
    /// Every job.
    pub(crate) const ALL: [Self; 13] = [
        Self::Flush,
        Self::Compaction,
        Self::Deletion,
        Self::Expiry,
        Self::Garbage,
        Self::Maintain,
        Self::Keys,
        Self::Checkpoint,
        Self::Drops,
        Self::Mail,
        Self::Sinks,
        Self::Alerts,
        Self::Uses,
    ];

    /// The job's name in logs and metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Flush => "flush",
            Self::Compaction => "compaction",
            Self::Deletion => "deletion",
            Self::Expiry => "expiry",
            Self::Garbage => "garbage",
            Self::Maintain => "maintain",
            Self::Keys => "keys",
            Self::Checkpoint => "checkpoint",
            Self::Drops => "drops",
            Self::Mail => "mail",
            Self::Sinks => "sinks",
            Self::Alerts => "alerts",
            Self::Uses => "uses",
        }
    }

    /// How often it runs by itself.
    pub(crate) fn interval(self, settings: &Jobs) -> Duration {
        let seconds = match self {
            // By age; by size it runs in between.
            Self::Flush => return flush::POLL,
            Self::Compaction => settings.compaction_interval_s,
            Self::Deletion => settings.deletion_interval_s,
            Self::Expiry => settings.expiry_interval_s,
            Self::Garbage => settings.garbage_interval_s,
            Self::Maintain => settings.maintain_interval_s,
            Self::Keys => 120,
            Self::Checkpoint => settings.checkpoint_interval_s,
            Self::Drops => settings.drops_interval_s,
            Self::Mail => 10,
            Self::Sinks => 1,
            Self::Alerts => 10,
            Self::Uses => 60,
        };
        Duration::from_secs(seconds.into())
    }
}

/// What keeps jobs from meeting themselves and each other, and what one remembers from turn to turn.
#[derive(Debug, Default)]
pub(crate) struct Guards {
    /// Held by whoever publishes to the lake.
    lake: Mutex<()>,
    /// Held by the upkeep of the volumes.
    volumes: Mutex<()>,
    /// Held by whoever sends mail.
    mail: Mutex<()>,
    /// Held by whoever tells what turned.
    alerts: Mutex<()>,
    /// Since when deletions wait.
    waiting: deletion::Waiting,
}

/// Who runs a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Somebody by hand: everything that there is to do is done.
    ByHand,
    /// Its time has come: what may still be taken back is left for later.
    InTime,
}

/// Runs a job by hand to its end and says what it did.
///
/// # Errors
/// What it failed with; what was done stays, and running it again goes on.
pub(crate) async fn run(installation: &Installation, job: Job) -> Result<Value> {
    run_at(installation, job, Turn::ByHand).await
}

async fn run_at(installation: &Installation, job: Job, turn: Turn) -> Result<Value> {
    let ran = Box::pin(run_once(installation, job, turn)).await;
    let failure = ran.as_ref().err().map(|error| format!("{error:#}"));
    let now = installation.clock().now();
    installation.attention().watch.ran(job, now, failure);
    ran
}

async fn run_once(installation: &Installation, job: Job, turn: Turn) -> Result<Value> {
    match job {
        Job::Flush => {
            let _guard = installation.guards().lake.lock().await;
            flush::run(installation).await
        }
        Job::Compaction => {
            let _guard = installation.guards().lake.lock().await;
            compaction::run(installation).await
        }
        Job::Deletion => {
            let _guard = installation.guards().lake.lock().await;
            Box::pin(deletion::run(installation, turn)).await
        }
        Job::Expiry => {
            let _guard = installation.guards().lake.lock().await;
            expiry::run(installation).await
        }
        Job::Garbage => {
            let _guard = installation.guards().lake.lock().await;
            garbage::run(installation).await
        }
        Job::Maintain => {
            let _guard = installation.guards().volumes.lock().await;
            maintain::run(installation).await
        }
        Job::Keys => keys::run(installation).await,
        Job::Checkpoint => checkpoint::run(installation).await,
        Job::Drops => drops::count(installation).await,
        Job::Mail => {
            let _guard = installation.guards().mail.lock().await;
            mail::run(installation).await
        }
        Job::Sinks => sinks::run(installation, turn).await,
        Job::Alerts => {
            let _guard = installation.guards().alerts.lock().await;
            alerts::run(installation).await
        }
        Job::Uses => uses::run(installation).await,
    }
}

/// Fails with all that `failures` say; with none of them it does not.
fn together(mut failures: Vec<anyhow::Error>) -> Result<()> {
    let Some(last) = failures.pop() else {
        return Ok(());
    };
    if failures.is_empty() {
        return Err(last);
    }
    failures.push(last);
    let words: Vec<String> = failures.iter().map(|error| format!("{error:#}")).collect();
    Err(anyhow::Error::msg(words.join("; ")))
}

/// Starts every job; each ends soon after `stop`.
pub(crate) fn start(
    tasks: &TaskTracker,
    installation: &Arc<Installation>,
    stop: &CancellationToken,
) {
    for job in Job::ALL {
        let (installation, stop) = (Arc::clone(installation), stop.clone());
        tasks.spawn(async move {
            let interval = job.interval(installation.settings());
            let mut pause = interval;
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                if job == Job::Flush && !flush::is_due(&installation) {
                    continue;
                }
                // A job that is dropped in the middle goes on at the next start.
                tokio::select! {
                    () = stop.cancelled() => return,
                    done = turn(&installation, job) => {
                        pause = pause_after(job, interval, pause, done);
                    }
                }
            }
        });
    }
    let interval = Job::Sinks.interval(installation.settings());
    serve_sinks(tasks, installation, interval, stop);
    tasks.spawn(drops::write(Arc::clone(installation), stop.clone()));
    if let Some(names) = installation.take_reached() {
        tasks.spawn(reached::run(Arc::clone(installation), names, stop.clone()));
    }
}

/// How long a job waits after a turn; `before` is how long it waited for that one. A flush that fails
/// may leave objects behind, so it comes again at longer and longer intervals.
fn pause_after(job: Job, interval: Duration, before: Duration, done: bool) -> Duration {
    if job == Job::Flush && !done {
        before.saturating_mul(2).min(flush::PAUSE_MAX)
    } else {
        interval
    }
}

/// One turn of a job in the background; whether it came to its end.
async fn turn(installation: &Installation, job: Job) -> bool {
    let name = job.as_str();
    match Box::pin(run_at(installation, job, Turn::InTime)).await {
        Ok(report) => {
            metrics::counter!("strongroom_job_runs_total", "job" => name, "outcome" => "done")
                .increment(1);
            tracing::debug!(job = name, %report, "a job is done");
            true
        }
        Err(error) => {
            metrics::counter!("strongroom_job_runs_total", "job" => name, "outcome" => "failed")
                .increment(1);
            tracing::error!(
                job = name,
                "a job failed and will be tried again: {error:#}"
            );
            false
        }
    }
}
