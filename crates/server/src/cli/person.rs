//! `strongroom person show|restrict|lift|restrictions|delete|deletions|cancel-deletion|receipt|verify-receipt`.

use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;

use super::confirm::confirm;
use super::listed::print_rows;
use super::output::{note, print, print_json};
use super::table::{Row, Table};
use super::{Format, Installation, Paint, block_on, receipt};
use crate::admin::{DeletionsAct, Frame, Request, RestrictionAct, Whom, call};
use crate::failure::{Failure, Kind};

/// What can be done with people.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Shows what is held of a person; the read is in the audit
    Show {
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
    /// Restricts the processing of a person: out of every query, count and export until it is lifted
    Restrict {
        #[command(flatten)]
        who: Who,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
    /// Lifts the restriction of a person
    Lift {
        #[command(flatten)]
        who: Who,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
    /// Shows when the processing of a person was restricted, by whom and why
    Restrictions {
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
    /// Deletes a person: hidden at once everywhere, then rewritten out of every byte by a job
    Delete {
        #[command(flatten)]
        who: Who,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
    /// Lists the deletions of an account, and how far each is
    Deletions {
        /// Whose data
        #[arg(long, value_name = "ACCOUNT")]
        account: String,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
    /// Takes a deletion back whose job has not begun
    CancelDeletion {
        /// The deletion's id
        deletion: String,
        /// Whose data
        #[arg(long, value_name = "ACCOUNT")]
        account: String,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
    /// Prints the signed receipt of a deletion that is done
    Receipt {
        /// The deletion's id
        deletion: String,
        /// Whose data
        #[arg(long, value_name = "ACCOUNT")]
        account: String,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
    /// Checks the receipt of a deletion, offline; exits with 0 only when it holds
    VerifyReceipt {
        /// A receipt
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The key of the installation (`strongroom audit key`), or a file that holds it
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
        #[command(flatten)]
        format: Format,
    },
}

/// Who is meant.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Who {
    /// Whose data
    #[arg(long, value_name = "ACCOUNT")]
    account: String,
    #[command(flatten)]
    name: Name,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Name {
    /// The company's own id of the person
    #[arg(long, value_name = "ID")]
    identity: Option<String>,
    /// The id of one of the person's devices or browsers
    #[arg(long, value_name = "ID")]
    object_id: Option<String>,
    /// The address in the person's profile
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
}

impl Who {
    fn into_parts(self) -> Result<(String, Whom)> {
        let Name {
            identity,
            object_id,
            email,
        } = self.name;
        let whom = identity
            .map(Whom::Identity)
            .or_else(|| object_id.map(Whom::ObjectId))
            .or_else(|| email.map(Whom::Email));
        match whom {
            Some(whom) => Ok((self.account, whom)),
            None => bail!(Failure::new(
                Kind::Invalid,
                "name the person: --identity, --object-id or --email"
            )),
        }
    }
}

impl Command {
    pub(super) fn run(self) -> Result<()> {
        match self {
            Self::Show {
                who,
                installation,
                format,
            } => {
                let (account, whom) = who.into_parts()?;
                let loaded = installation.read()?;
                let request = Request::PersonShow { account, whom };
                let mut data = Vec::new();
                block_on(call(&loaded, request, |frame| {
                    if let Frame::Data(bytes) = frame {
                        data.extend_from_slice(&bytes);
                    }
                    Ok(())
                }))?;
                if format.json {
                    data.push(b'\n');
                    print(data)
                } else {
                    let shown = serde_json::from_slice(&data);
                    print(portrait(&shown.context("failed to understand the person")?))
                }
            }
            Self::Restrict {
                who,
                reason,
                installation,
                format,
            } => restriction(
                who,
                Some(RestrictionAct::Restrict(reason)),
                &installation,
                &format,
            ),
            Self::Lift {
                who,
                reason,
                installation,
                format,
            } => restriction(
                who,
                Some(RestrictionAct::Lift(reason)),
                &installation,
                &format,
            ),
            Self::Restrictions {
                who,
                installation,
                format,
            } => restriction(who, None, &installation, &format),
            Self::Deletions {
                account,
                installation,
                format,
            } => deletions(account, DeletionsAct::List, &installation, &format),
            Self::CancelDeletion {
                deletion,
                account,
                installation,
                format,
            } => {
                let act = DeletionsAct::Cancel(deletion);
                deletions(account, act, &installation, &format)
            }
            Self::Receipt {
                deletion,
                account,
                installation,
                format,
            } => receipt::show(account, deletion, &installation, &format),
            Self::VerifyReceipt { file, key, format } => receipt::verify(&file, key, &format),
            Self::Delete {
                who,
                yes,
                installation,
                format,
            } => {
                let (account, whom) = who.into_parts()?;
                let loaded = installation.read()?;
                if !yes {
                    confirm("a deletion cannot be undone", "nothing was deleted")?;
                }
                let request = Request::PersonDelete { account, whom };
                let done = block_on(call(&loaded, request, |_| Ok(())))?;
                if format.json {
                    return print_json(&done);
                }
                print(super::account::fields(&done))?;
                note(
                    "Hidden from every read now; the deletion job removes the bytes. Until it begins, `person cancel-deletion` takes it back.",
                );
                Ok(())
            }
        }
    }
}

fn deletions(
    account: String,
    act: DeletionsAct,
    installation: &Installation,
    format: &Format,
) -> Result<()> {
    let loaded = installation.read()?;
    let request = Request::Deletions { account, act };
    let list = block_on(call(&loaded, request, |_| Ok(())))?;
    if format.json {
        return print_json(&list);
    }
    let columns = [
        ("DELETION", "deletion"),
        ("STATE", "state"),
        ("KEYS", "keys"),
        ("ORDERED", "requested_at"),
        ("BEGAN", "started_at"),
        ("DONE", "completed_at"),
    ];
    print_rows(&list, &columns, "Nobody's deletion has been ordered.")
}

fn restriction(
    who: Who,
    act: Option<RestrictionAct>,
    installation: &Installation,
    format: &Format,
) -> Result<()> {
    let (account, whom) = who.into_parts()?;
    let loaded = installation.read()?;
    let request = Request::PersonRestriction { account, whom, act };
    let mut shown = block_on(call(&loaded, request, |_| Ok(())))?;
    if format.json {
        return print_json(&shown);
    }
    let history = shown.as_object_mut().and_then(|it| it.remove("history"));
    print(super::account::fields(&shown))?;
    let columns = [
        ("SINCE", "set_at"),
        ("BY", "set_by"),
        ("REASON", "reason"),
        ("UNTIL", "lifted_at"),
        ("BY", "lifted_by"),
        ("REASON", "lift_reason"),
    ];
    print_rows(&history.unwrap_or_default(), &columns, "Never restricted.")
}

/// What is read of a person to be shown; values stay as they were sent.
#[derive(serde::Deserialize)]
struct Shown {
    identities: Vec<Row>,
    devices: Vec<Row>,
    profile: Row,
    events: Row,
}

/// A person for people to read.
fn portrait(shown: &Shown) -> String {
    let paint = Paint::stdout();
    let mut text = String::new();
    let mut section = |title: &str, table: &Table| {
        text.push_str(&format!(
            "{}\n{}\n",
            paint.accent(title),
            table.render(paint)
        ));
    };
    let mut identities = Table::new(["KIND", "ID"]);
    for it in &shown.identities {
        identities.push(["kind", "identity"].map(|key| it.cell(key)));
    }
    section("identities", &identities);
    let mut devices = Table::new(["DEVICE", "PLATFORM"]);
    for it in &shown.devices {
        devices.push(["object_id", "platform"].map(|key| it.cell(key)));
    }
    section("devices", &devices);
    let mut profile = Table::new(["PROPERTY", "VALUE"]);
    for (name, _) in &shown.profile.0 {
        profile.push([name.clone(), shown.profile.cell(name)]);
    }
    section("profile", &profile);
    let mut events = Table::new(["EVENT", "COUNT", "FIRST SEEN", "LAST SEEN"]);
    for (name, of) in &shown.events.0 {
        let of: Row = serde_json::from_str(of.get()).unwrap_or_default();
        let of = ["count", "first_seen", "last_seen"].map(|key| of.cell(key));
        events.push([&[name.clone()][..], &of[..]].concat());
    }
    section("events", &events);
    text
}
