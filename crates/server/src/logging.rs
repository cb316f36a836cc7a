//! The process's own log: standard error, never customer data.

use anyhow::{Context as _, Result};
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts the log as configured; the variable `STRONGROOM_LOG` takes the place of the filter.
///
/// # Errors
/// When the filter is not one.
pub(crate) fn start(log: &Log) -> Result<()> {
    let filter = std::env::var("STRONGROOM_LOG").unwrap_or_else(|_| log.filter.clone());
    let filter = EnvFilter::try_new(&filter).with_context(|| {
        format!("failed to understand the log's filter `{filter}` (`log.filter`)")
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Text => builder
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .try_init(),
    };
    // A second start in one process (the demo's server) keeps the first log.
    drop(started);
    Ok(())
}
