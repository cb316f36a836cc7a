//! The audit log leaves for the places that the operator has named.
//!
//! What waits is in the control database ([`control::SinkProgress`]); here is who takes it. Each sink is
//! served by itself, in turns that end, so that a slow one keeps up no other and nobody who waits.

mod http;
mod syslog;
#[cfg(test)]
mod tests;

use anyhow::{Context as _, Result};
use control::{Control, SinkProgress, SinkTerms};
use model::{Clock, Timestamp};
use serde::Serialize;
use std::path::Path;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;

use crate::config::{self, Way};
use crate::heads::Heads;

/// After so much time a turn begins no other batch.
const TURN_MAX: Duration = Duration::from_secs(10);

/// Every sink of the installation.
#[derive(Debug)]
pub(crate) struct Sinks {
    control: Control,
    clock: Arc<dyn Clock>,
    sinks: Vec<Arc<Sink>>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Sink {
    name: String,
    address: String,
    /// Held while it is spoken to.
    speaker: Mutex<Speaker>,
    state: Lock<Health>,
}

#[derive(Debug)]
enum Speaker {
    Http(Box<http::Http>),
    Syslog(Box<syslog::Syslog>),
}

/// How a sink has been of late.
#[derive(Debug, Clone, Default)]
struct Health {
    progress: Option<SinkProgress>,
    /// Why it takes nothing, and since when.
    down: Option<(String, Timestamp)>,
    taken_at: Option<Timestamp>,
    taken: u64,
}

/// A sink for people and programs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct View {
    /// How far it is.
    #[serde(flatten)]
    pub(crate) progress: SinkProgress,
    /// Where it is.
    pub(crate) address: String,
    /// `up`, `down`, or `unknown` before it was spoken to.
    pub(crate) state: &'static str,
    /// Why it is down.
    pub(crate) why: Option<String>,
    /// Since when.
    pub(crate) down_since: Option<Timestamp>,
    /// When it last took something.
    pub(crate) taken_at: Option<Timestamp>,
    /// Entries that it took since the start.
    pub(crate) taken: u64,
}

impl Sinks {
    /// Those of the configuration. Nothing is connected to yet.
    ///
    /// # Errors
    /// When a file that one names cannot be read.
    pub(crate) fn open(
        settings: &config::Audit,
        folder: &Path,
        host_name: &str,
        control: &Control,
        heads: &Arc<Heads>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self> {
        let sinks = settings.sinks.iter().map(|it| {
            let fail = || format!("failed to set up the sink `{}`", it.name);
            let (host, way) = it.way()?;
            let speaker = match way {
                Way::Http(url) => {
                    let http = http::Http::new(it, host, url, folder, heads);
                    Speaker::Http(Box::new(http.with_context(fail)?))
                }
                Way::Udp(_) | Way::Tcp(_) | Way::Tls(_) => {
                    let syslog = syslog::Syslog::new(it, host, way, folder, host_name);
                    Speaker::Syslog(Box::new(syslog.with_context(fail)?))
                }
            };
            Ok(Arc::new(Sink {
                name: it.name.clone(),
                address: it.address.clone(),
                speaker: Mutex::new(speaker),
                state: Lock::default(),
            }))
        });
        Ok(Self {
            control: control.clone(),
            clock: Arc::clone(clock),
            sinks: sinks.collect::<Result<_>>()?,
        })
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Arc<Sink>] {
        &self.sinks
    }

    /// Gives every sink a turn, the sinks beside each other. Says how many entries were taken.
    ///
    /// # Errors
    /// When the control database does not answer. A sink that takes nothing is no error: it is down.
    pub(crate) async fn turn(&self) -> Result<u64> {
        let turns = self.sinks.iter().map(|sink| self.serve(sink));
        let taken = futures::future::join_all(turns).await;
        self.look().await?;
        taken.into_iter().sum()
    }

    /// Gives a sink what waits for it, until nothing does, it takes no more or its turn is over; then
    /// gives up what is too much for it. Says how many entries were taken.
    ///
    /// # Errors
    /// As of [`Sinks::turn`].
    pub(crate) async fn serve(&self, sink: &Sink) -> Result<u64> {
        let mut speaker = sink.speaker.lock().await;
        let began = self.clock.monotonic();
        let mut taken = 0_u64;
        while self.clock.monotonic().saturating_sub(began) < TURN_MAX {
            match speaker.step(&self.control, &sink.name).await {
                Ok(Step::Took(entries)) => {
                    sink.took(entries, self.clock.now());
                    taken = taken.saturating_add(entries);
                }
                Ok(Step::Idle) => break,
                Err(error) => {
                    sink.failed(&error, self.clock.now());
                    break;
                }
            }
        }
        let trimmed = self.control.trim_sink(&sink.name).await;
        trimmed.context("failed to give up what is too much for a sink")?;
        Ok(taken)
    }

    /// Reads how far each is.
    ///
    /// # Errors
    /// When the control database does not answer.
    pub(crate) async fn look(&self) -> Result<()> {
        if self.sinks.is_empty() {
            return Ok(());
        }
        let progress = self.control.sinks().await;
        for it in progress.context("failed to read how far the sinks are")? {
            let Some(sink) = self.sinks.iter().find(|sink| sink.name == it.name) else {
                continue;
            };
            let shown = |number: u64| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
            let mut health = sink.health();
            let is_up = health.down.is_none();
            let name = sink.name.clone();
            metrics::gauge!("strongroom_audit_sink_waiting", "sink" => name.clone())
                .set(shown(it.waiting));
            metrics::gauge!("strongroom_audit_sink_dropped", "sink" => name.clone())
                .set(shown(it.dropped));
            metrics::gauge!("strongroom_audit_sink_up", "sink" => name).set(f64::from(is_up));
            health.progress = Some(it);
        }
        Ok(())
    }

    /// Each sink as it was seen last.
    pub(crate) fn views(&self) -> Vec<View> {
        let views = self.sinks.iter().filter_map(|sink| {
            let health = sink.health().clone();
            Some(View {
                progress: health.progress?,
                address: sink.address.clone(),
                state: match (&health.down, health.taken_at) {
                    (Some(_), _) => "down",
                    (None, Some(_)) => "up",
                    (None, None) => "unknown",
                },
                why: health.down.as_ref().map(|it| it.0.clone()),
                down_since: health.down.as_ref().map(|it| it.1),
                taken_at: health.taken_at,
                taken: health.taken,
            })
        });
        views.collect()
    }
}

impl Speaker {
    async fn step(&mut self, control: &Control, name: &str) -> Result<Step> {
        match self {
            Self::Http(http) => http.step(control, name).await,
            Self::Syslog(syslog) => syslog.step(control, name).await,
        }
    }
}

/// What became of one step.
enum Step {
    /// So many entries were taken.
    Took(u64),
    /// There is nothing to do now.
    Idle,
}

impl Sink {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn took(&self, entries: u64, now: Timestamp) {
        let mut health = self.health();
        if health.down.take().is_some() {
            tracing::info!(
                sink = self.name,
                "a sink of the audit log takes entries again"
            );
        }
        let name = self.name.clone();
        metrics::counter!("strongroom_audit_sink_taken_total", "sink" => name).increment(entries);
        health.taken_at = Some(now);
        health.taken = health.taken.saturating_add(entries);
    }

    fn failed(&self, error: &anyhow::Error, now: Timestamp) {
        let mut health = self.health();
        if health.down.is_none() {
            tracing::warn!(
                sink = self.name,
                "a sink of the audit log is down: {error:#}"
            );
        }
        let since = health.down.as_ref().map_or(now, |it| it.1);
        health.down = Some((format!("{error:#}"), since));
    }

    fn health(&self) -> std::sync::MutexGuard<'_, Health> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sinks as the control database knows them.
pub(crate) fn terms(settings: &config::Audit) -> Vec<SinkTerms> {
    settings
        .sinks
        .iter()
        .map(|it| SinkTerms {
            name: it.name.clone(),
            is_required: it.required,
            waiting_max: it.waiting_max.into(),
        })
        .collect()
}
