//! `strongroom drops list|show|review`.

use anyhow::{Result, bail};
use serde_json::Value;

use super::listed::print_list;
use super::output::{note, print_json};
use super::{Format, Installation, block_on};
use crate::admin::{DropsRequest, Request, call};
use crate::failure::{Failure, Kind};

/// What can be done with drops.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lists what was dropped, in groups of one reason and path
    ///
    /// Every drop that happened before is in it, and the counts add up to all of them. Paths beyond
    /// a limit are one group, `(other)`.
    List {
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
    /// Shows samples of a group, the newest first, with the addresses they came from; the read is in
    /// the audit
    Show {
        /// The group's reason
        reason: String,
        /// The group's path; every path of the reason when not said
        path: Option<String>,
        /// How many samples, at most 1000
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u32,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
    /// Marks what was dropped so far as reviewed by you; later drops of the same kind are new again
    Review {
        /// The group's reason
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        reason: Option<String>,
        /// The group's path; every path of the reason when not said
        path: Option<String>,
        /// Everything
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
}

impl Command {
    pub(super) fn run(self) -> Result<()> {
        match self {
            Self::List {
                installation,
                format,
            } => {
                let columns = [
                    ("COUNT", "count"),
                    ("NEW", "new"),
                    ("REASON", "reason"),
                    ("PATH", "path"),
                    ("FIRST SEEN", "first_seen"),
                    ("LAST SEEN", "last_seen"),
                    ("REVIEWED BY", "reviewed_by"),
                ];
                let loaded = installation.read()?;
                let request = Request::Drops(DropsRequest::List);
                let end = print_list(&loaded, request, format.json, &columns)?;
                if !format.json {
                    let of = |member: &str| end.get(member).and_then(Value::as_u64).unwrap_or(0);
                    note(&format!("{} drops in {} groups", of("count"), of("groups")));
                }
                Ok(())
            }
            Self::Show {
                reason,
                path,
                limit,
                installation,
                format,
            } => {
                let columns = [
                    ("TIME", "ts"),
                    ("PLANE", "plane"),
                    ("PEER", "peer"),
                    ("TLS", "tls_version"),
                    ("METHOD", "method"),
                    ("PATH", "path"),
                    ("BYTES", "size_bytes"),
                    ("MORE", "more"),
                ];
                let loaded = installation.read()?;
                let request = Request::Drops(DropsRequest::Show {
                    reason,
                    path,
                    limit,
                });
                print_list(&loaded, request, format.json, &columns).map(drop)
            }
            Self::Review {
                reason,
                path,
                all,
                installation,
                format,
            } => {
                if reason.is_none() && !all {
                    bail!(Failure::new(Kind::Invalid, "say which drops, or --all"));
                }
                let loaded = installation.read()?;
                let request = Request::Drops(DropsRequest::Review { reason, path });
                let done = block_on(call(&loaded, request, |_| Ok(())))?;
                if format.json {
                    return print_json(&done);
                }
                let of = |member: &str| done.get(member).and_then(Value::as_u64).unwrap_or(0);
                note(&format!(
                    "{} drops in {} groups are reviewed",
                    of("count"),
                    of("groups")
                ));
                Ok(())
            }
        }
    }
}
