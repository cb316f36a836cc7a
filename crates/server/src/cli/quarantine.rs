//! `strongroom quarantine list|show|replay|delete`.

use anyhow::Result;
use serde_json::Value;

use super::account::fields;
use super::confirm::confirm;
use super::listed::{print_list, print_rows};
use super::output::{note, print, print_json};
use super::{Format, Installation, block_on};
use crate::admin::{QuarantineAct, QuarantineFilter, QuarantineRequest, Request, call};
use crate::config::Loaded;

/// What can be done with quarantined records.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lists them, the newest first, without their content; the read is in the audit
    List {
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        filter: QuarantineFilter,
        /// Records on a page, at most 10000
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
        /// The page that follows: the record that the page before ended with
        #[arg(long, value_name = "RECORD")]
        after: Option<String>,
    },
    /// Shows one with its content; the read is in the audit
    Show {
        /// Its id
        record: String,
        #[command(flatten)]
        whose: Whose,
    },
    /// Decodes records again, by the rules as they are now, and stores what they let in, once
    Replay {
        /// Their ids
        #[arg(required = true)]
        records: Vec<String>,
        #[command(flatten)]
        whose: Whose,
    },
    /// Takes records away: they are not shown or replayed any more
    Delete {
        /// Their ids
        #[arg(required = true)]
        records: Vec<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        whose: Whose,
    },
}

/// Whose records, and how they are printed.
#[derive(Debug, clap::Args)]
pub(super) struct Whose {
    /// Whose records
    #[arg(long, value_name = "ACCOUNT")]
    account: String,
    #[command(flatten)]
    installation: Installation,
    #[command(flatten)]
    format: Format,
}

impl Whose {
    fn request(&self, act: QuarantineAct) -> Request {
        let account = self.account.clone();
        Request::Quarantine(QuarantineRequest { account, act })
    }

    fn ask(&self, act: QuarantineAct) -> Result<Value> {
        let loaded: Loaded = self.installation.read()?;
        block_on(call(&loaded, self.request(act), |_| Ok(())))
    }
}

impl Command {
    pub(super) fn run(self) -> Result<()> {
        match self {
            Self::List {
                whose,
                filter,
                limit,
                after,
            } => {
                let columns = [
                    ("RECORD", "record_id"),
                    ("RECEIVED AT", "ts"),
                    ("SOURCE", "source"),
                    ("CODE", "code"),
                    ("ERROR", "error"),
                    ("STATE", "state"),
                ];
                let loaded = whose.installation.read()?;
                let request = whose.request(QuarantineAct::List {
                    filter,
                    limit,
                    after,
                });
                let end = print_list(&loaded, request, whose.format.json, &columns)?;
                if let Some(next) = end.get("next").and_then(Value::as_str) {
                    note(&format!("more: --after {next}"));
                }
                Ok(())
            }
            Self::Show { record, whose } => {
                let shown = whose.ask(QuarantineAct::Show { record })?;
                if whose.format.json {
                    return print_json(&shown);
                }
                print(fields(&shown))
            }
            Self::Replay { records, whose } => {
                let done = whose.ask(QuarantineAct::Replay { records })?;
                if whose.format.json {
                    return print_json(&done);
                }
                let columns = [
                    ("RECORD", "record_id"),
                    ("OUTCOME", "outcome"),
                    ("CODE", "code"),
                    ("ERROR", "error"),
                ];
                let outcomes = done.get("records").unwrap_or(&Value::Null);
                print_rows(outcomes, &columns, "No record was named.")
            }
            Self::Delete {
                records,
                yes,
                whose,
            } => {
                if !yes {
                    confirm("a deletion cannot be undone", "nothing was deleted")?;
                }
                let done = whose.ask(QuarantineAct::Delete { records })?;
                if whose.format.json {
                    return print_json(&done);
                }
                let count = done.get("deleted").and_then(Value::as_u64).unwrap_or(0);
                note(&format!("{count} records are deleted"));
                Ok(())
            }
        }
    }
}
