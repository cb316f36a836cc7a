//! `strongroom audit list|export|verify|key|sinks`.

use anyhow::{Context as _, Result, bail};
use control::Verification;
use serde_json::{Value, json};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::export::Target;
use super::listed::print_rows;
use super::output::{note, print, print_json};
use super::table::Table;
use super::{Format, Installation, Paint, block_on};
use crate::admin::{AuditFormat, AuditRequest, AuditWanted, Frame, Request, call};
use crate::failure::{Failure, Kind};

/// What is said where the log is not streamed anywhere.
const NO_SINKS: &str = "The audit log is streamed nowhere. Name sinks as `audit.sinks` in the configuration, and restart.";
/// A checkpoint is a few lines.
const CHECKPOINT_BYTES_MAX: u64 = 64 * 1024;

/// What can be done with the audit log.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lists entries; that it was read is an entry too
    List {
        /// Whose log; `0` for the installation's own
        #[arg(long, value_name = "ACCOUNT", default_value = "0")]
        account: String,
        #[command(flatten)]
        which: Which,
        /// Only entries numbered above this one: the last of the page before
        #[arg(long, value_name = "NUMBER")]
        after: Option<u64>,
        /// At most so many entries
        #[arg(long, value_name = "N", default_value_t = 1000,
              value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
    /// Downloads whole logs, with proofs and signatures
    ///
    /// Without filters the file holds every leaf of the log, and `strongroom audit verify` can tell
    /// whether anything was taken out. It is readable by you alone (mode 0600).
    Export {
        /// Whose log; `0` for the installation's own; every log when not said
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
        #[command(flatten)]
        which: Which,
        /// The file; `-` for standard output
        #[arg(short = 'o', long = "output", value_name = "FILE")]
        file: PathBuf,
        /// How it is written; JSON Lines when not said, unless the file ends in .csv
        #[arg(long)]
        format: Option<AuditFormat>,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        print: Format,
    },
    /// Checks a download, offline; exits with 0 only when all of it holds
    Verify {
        /// A download in JSON Lines
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The key of the installation (`strongroom audit key`), or a file that holds it
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
        /// A checkpoint that was kept elsewhere: the download must continue it
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
        #[command(flatten)]
        format: Format,
    },
    /// Shows where the audit log is streamed to, how far that is, and what waits
    Sinks {
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
    /// Prints the public key that checks what this installation has signed
    Key {
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
}

/// Which entries.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Which {
    /// The first day, in the account's time zone
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: Option<String>,
    /// The last day
    #[arg(long, value_name = "YYYY-MM-DD")]
    to: Option<String>,
    /// By whom: an email address or a name; several may be given
    #[arg(long, visible_alias = "email", value_name = "WHO")]
    actor: Vec<String>,
    /// What was done, for example `deletion.requested`; several may be given
    #[arg(long, value_name = "ACTION")]
    action: Vec<String>,
}

impl From<Which> for AuditWanted {
    fn from(which: Which) -> Self {
        Self {
            from: which.from,
            to: which.to,
            actors: which.actor,
            actions: which.action,
        }
    }
}

impl Command {
    pub(super) fn run(self) -> Result<()> {
        match self {
            Self::List {
                account,
                which,
                after,
                limit,
                installation,
                format,
            } => {
                let request = AuditRequest::List {
                    account,
                    wanted: which.into(),
                    after,
                    limit,
                };
                let list = ask(&installation, request)?;
                if format.json {
                    return print_json(&list);
                }
                print_rows(&list, &ENTRIES, "No entry matches.")
            }
            Self::Export {
                account,
                which,
                file,
                format,
                installation,
                print,
            } => {
                let request = AuditRequest::Export {
                    account,
                    wanted: which.into(),
                    format: format.unwrap_or_else(|| by_ending(&file)),
                };
                export(&installation, request, &file, &print)
            }
            Self::Verify {
                file,
                key,
                checkpoint,
                format,
            } => verify(&file, key, checkpoint.as_deref(), &format),
            Self::Sinks {
                installation,
                format,
            } => {
                let list = ask(&installation, AuditRequest::Sinks)?;
                if format.json {
                    return print_json(&list);
                }
                print_rows(&list, &SINKS, NO_SINKS)
            }
            Self::Key {
                installation,
                format,
            } => {
                let answer = ask(&installation, AuditRequest::Key)?;
                if format.json {
                    return print_json(&answer);
                }
                let key = answer
                    .get("key")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                print(format!("{key}\n"))
            }
        }
    }
}

fn ask(installation: &Installation, request: AuditRequest) -> Result<Value> {
    let loaded = installation.read()?;
    block_on(call(&loaded, Request::Audit(request), |_| Ok(())))
}

fn by_ending(file: &Path) -> AuditFormat {
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("csv") => AuditFormat::Csv,
        _ => AuditFormat::Jsonl,
    }
}

/// The columns of entries.
const ENTRIES: [(&str, &str); 9] = [
    ("NUMBER", "sequence"),
    ("AT", "at"),
    ("BY", "actor"),
    ("ROLE", "role"),
    ("ACTION", "action"),
    ("OBJECT", "action_id"),
    ("OUTCOME", "outcome"),
    ("FROM", "peer"),
    ("DESCRIPTION", "description"),
];
/// The columns of sinks.
const SINKS: [(&str, &str); 9] = [
    ("NAME", "name"),
    ("ADDRESS", "address"),
    ("REQUIRED", "is_required"),
    ("STATE", "state"),
    ("WAITING", "waiting"),
    ("OF", "waiting_max"),
    ("DROPPED", "dropped"),
    ("TAKEN", "taken_at"),
    ("WHY", "why"),
];

fn export(
    installation: &Installation,
    request: AuditRequest,
    file: &Path,
    format: &Format,
) -> Result<()> {
    let loaded = installation.read()?;
    if file == Path::new("-") {
        let end = block_on(call(
            &loaded,
            Request::Audit(request),
            |frame| match frame {
                Frame::Data(data) => print(data),
                _ => Ok(()),
            },
        ));
        return end.map(drop);
    }
    let mut target = Target::create(file)?;
    let end = block_on(call(
        &loaded,
        Request::Audit(request),
        |frame| match frame {
            Frame::Data(data) => target.write(&data),
            _ => Ok(()),
        },
    ))?;
    target.finish()?;
    if format.json {
        return print_json(&end);
    }
    let entries = end.get("entries").and_then(Value::as_u64).unwrap_or(0);
    let whole = match end.get("filtered").and_then(Value::as_bool) {
        Some(true) => ", filtered: not every entry of the log is there",
        _ => "",
    };
    note(&format!("{entries} entries in {}{whole}", file.display()));
    Ok(())
}

/// The text of a file that has at most so many bytes.
pub(super) fn read_text(path: &Path, bytes_max: u64) -> Result<String> {
    let fail = || format!("failed to read `{}`", path.display());
    let length = path.metadata().with_context(fail)?.len();
    if length > bytes_max {
        bail!(Failure::new(
            Kind::Invalid,
            format!("`{}` is too long", path.display())
        ));
    }
    std::fs::read_to_string(path).with_context(fail)
}

/// The key that was given, or that the file holds which was given.
pub(super) fn key_of(given: Option<String>) -> Result<Option<String>> {
    match given {
        Some(text) if !text.contains('+') => {
            read_text(Path::new(&text), CHECKPOINT_BYTES_MAX).map(Some)
        }
        text => Ok(text),
    }
}

fn verify(file: &Path, key: Option<String>, kept: Option<&Path>, format: &Format) -> Result<()> {
    let key = key_of(key)?;
    let kept = kept.map(|path| read_text(path, CHECKPOINT_BYTES_MAX));
    let kept = kept.transpose()?;
    let fail = || format!("failed to read `{}`", file.display());
    let open = BufReader::new(File::open(file).with_context(fail)?);
    let found = control::verify(open, key.as_deref(), kept.as_deref()).with_context(fail)?;
    if format.json {
        let mut value = serde_json::to_value(&found).context("failed to show a verification")?;
        if let Some(members) = value.as_object_mut() {
            members.insert("holds".to_owned(), json!(found.holds()));
        }
        print_json(&value)?;
    } else {
        print(report(&found))?;
    }
    if found.holds() {
        return Ok(());
    }
    let text = format!("`{}` is not what was logged", file.display());
    bail!(Failure {
        kind: Kind::Failed,
        chain: std::iter::once(text).chain(found.findings).collect(),
    })
}

fn report(found: &Verification) -> String {
    let paint = Paint::stdout();
    let mut table = Table::new(["ACCOUNT", "SIZE", "ENTRIES", "PURGED"]);
    for log in &found.logs {
        let numbers = [log.size, log.entries, log.purged].map(|it| it.to_string());
        table.push([&[log.account.clone()][..], &numbers[..]].concat());
    }
    let mut text = table.render(paint);
    let mut line = |words: &str| text.push_str(&format!("{words}\n"));
    if found.filtered {
        line("This is a filtered download: it does not hold every entry of its logs.");
    }
    if found.signer_checked && found.holds() {
        line("The signer is the key given.");
    } else if !found.signer_checked && found.key.is_some() {
        line("The signer was not checked: give the installation's key with --key.");
    }
    match found.checkpoint_size {
        Some(size) => line(&format!("Compared with a checkpoint of {size} entries.")),
        None => line(
            "Not compared with a checkpoint kept elsewhere: entries deleted before the download \
             would not be noticed.",
        ),
    }
    if found.holds() {
        line(&paint.good("Everything in the file holds."));
    }
    text
}
