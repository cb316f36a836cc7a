//! The configuration: one file, one struct a section, every field with its doc, unit and default.
//!
//! Settings are values; nothing here opens a file but the configuration itself. Unknown keys are
//! errors. The commented file that `init` writes is generated from these types ([`render`]), so it
//! cannot fall behind them.

#[macro_use]
mod section;

mod acme;
mod alerts;
mod audit;
mod control;
mod jobs;
mod journal;
mod keyring;
mod listen;
mod log;
mod mail;
mod query;
mod store;
mod tls;
mod web;

#[cfg(test)]
mod tests;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

pub(crate) use acme::Acme;
pub(crate) use alerts::Alerts;
pub(crate) use audit::{Audit, Sink, Way};
pub(crate) use control::Control;
pub(crate) use jobs::Jobs;
pub(crate) use journal::Journal;
pub(crate) use keyring::Keyring;
pub(crate) use listen::Listen;
pub(crate) use log::{Log, LogFormat};
pub(crate) use mail::Mail;
pub(crate) use query::Query;
pub(crate) use store::Store;
pub(crate) use tls::{Pair, Tls};
pub(crate) use web::Web;

use section::render_section;

/// The whole configuration file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where clients and operators connect.
    pub(crate) listen: Listen,
    /// Certificates.
    pub(crate) tls: Tls,
    /// Certificates from a public authority.
    pub(crate) acme: Acme,
    /// The volumes.
    pub(crate) store: Store,
    /// The keyring.
    pub(crate) keyring: Keyring,
    /// The control database.
    pub(crate) control: Control,
    /// The journal.
    pub(crate) journal: Journal,
    /// Queries.
    pub(crate) query: Query,
    /// Background work.
    pub(crate) jobs: Jobs,
    /// The console plane.
    pub(crate) web: Web,
    /// Mail.
    pub(crate) mail: Mail,
    /// Where the audit log is streamed to.
    pub(crate) audit: Audit,
    /// Who is told that something turned red.
    pub(crate) alerts: Alerts,
    /// The process's own log.
    pub(crate) log: Log,
}

/// A configuration and where it came from; relative paths in it start at its folder.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// What the file says.
    pub(crate) config: Config,
    /// The file.
    pub(crate) file: PathBuf,
    /// The file's folder: the installation. The lock and the socket are here.
    pub(crate) folder: PathBuf,
}

impl Loaded {
    /// Where people reach the console.
    pub(crate) fn console_url(&self) -> String {
        let port = self.config.listen.console.port();
        self.config.web.console_url(port)
    }

    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// When the file cannot be read, is not well-formed, has an unknown key, or a value is out of
    /// its bounds; the message names the key.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let file = std::path::absolute(file)
            .with_context(|| format!("failed to locate `{}`", file.display()))?;
        let text = std::fs::read_to_string(&file).with_context(|| {
            format!(
                "failed to read the configuration `{}` (make an installation with `strongroom init \
                 DIR`, or name its file with --config)",
                file.display()
            )
        })?;
        let config: Config = toml::from_str(&text)
            .with_context(|| format!("failed to understand `{}`", file.display()))?;
        config
            .check()
            .with_context(|| format!("failed to accept `{}`", file.display()))?;
        let folder = file
            .parent()
            .unwrap_or_else(|| Path::new("/"))
            .to_path_buf();
        Ok(Self {
            config,
            file,
            folder,
        })
    }

    /// A path of the configuration as an absolute one.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }
}

impl Config {
    /// Whether every value is within its bounds.
    ///
    /// # Errors
    /// Names the first key that is not.
    pub(crate) fn check(&self) -> Result<()> {
        self.listen.check()?;
        self.tls.check()?;
        self.acme.check()?;
        self.store.check()?;
        self.journal.check()?;
        self.query.check()?;
        self.web.check()?;
        self.mail.check()?;
        self.audit.check()?;
        self.alerts.check()?;
        self.jobs.check()
    }
}

/// The commented file for `config`: every key with its doc; keys at their default are commented out.
///
/// # Errors
/// When a value has no form in TOML, which is a bug of ours.
pub(crate) fn render(config: &Config) -> Result<String> {
    let mut text = String::from(
        "# Strongroom's configuration. Every key is here with what it means; one that is commented\n\
         # out shows its default. Relative paths start at this file's folder. Unknown keys are\n\
         # errors. The server reads this file when it starts.\n",
    );
    render_section(&mut text, "listen", &config.listen)?;
    render_section(&mut text, "tls", &config.tls)?;
    render_section(&mut text, "acme", &config.acme)?;
    render_section(&mut text, "store", &config.store)?;
    render_section(&mut text, "keyring", &config.keyring)?;
    render_section(&mut text, "control", &config.control)?;
    render_section(&mut text, "journal", &config.journal)?;
    render_section(&mut text, "query", &config.query)?;
    render_section(&mut text, "jobs", &config.jobs)?;
    render_section(&mut text, "web", &config.web)?;
    render_section(&mut text, "mail", &config.mail)?;
    render_section(&mut text, "audit", &config.audit)?;
    render_section(&mut text, "alerts", &config.alerts)?;
    render_section(&mut text, "log", &config.log)?;
    Ok(text)
}

/// Refuses a value outside its bounds, naming its key.
fn within(key: &str, value: u64, bounds: std::ops::RangeInclusive<u64>) -> Result<()> {
    if bounds.contains(&value) {
        return Ok(());
    }
    bail!(
        "`{key}` is {value}; it must be from {} to {}",
        bounds.start(),
        bounds.end()
    )
}
