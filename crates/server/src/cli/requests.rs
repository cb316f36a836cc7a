//! `strongroom requests search`.

use anyhow::Result;
use serde_json::Value;

use super::listed::print_list;
use super::output::note;
use super::{Format, Installation};
use crate::admin::{Request, RequestsSearch};

/// What can be done with the request log.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Searches the log, the newest request first; the search is in the audit
    Search {
        #[command(flatten)]
        search: RequestsSearch,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
}

impl Command {
    pub(super) fn run(self) -> Result<()> {
        let Self::Search {
            search,
            installation,
            format,
        } = self;
        let columns = [
            ("TIME", "ts"),
            ("ACCOUNT", "account"),
            ("PLANE", "plane"),
            ("PEER", "peer"),
            ("METHOD", "method"),
            ("PATH", "path"),
            ("STATUS", "status"),
            ("OUTCOME", "outcome"),
            ("REASON", "reason"),
            ("BYTES", "size_bytes"),
        ];
        let loaded = installation.read()?;
        let end = print_list(&loaded, Request::Requests(search), format.json, &columns)?;
        if let Some(next) = end.get("next").and_then(Value::as_str) {
            note(&format!("more: --cursor {next}"));
        }
        Ok(())
    }
}
