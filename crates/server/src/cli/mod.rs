//! The command line: one file a subcommand, nouns then verbs, `--json` on every read.
//!
//! Data goes to standard output, everything else to standard error. Exit codes: 0 done, 1 failed,
//! 2 wrong usage or input, 3 not found, 4 refused, 5 unavailable for now.

mod access;
mod account;
mod api_key;
mod audit;
mod confirm;
mod credential;
mod demo;
mod dictionary;
mod drops;
mod errors;
mod export;
mod init;
mod job;
mod limits;
mod listed;
mod output;
mod person;
mod quarantine;
mod query;
mod receipt;
mod requests;
mod retention;
mod role;
mod serve;
mod table;
mod user;
mod version;
mod volume;

#[cfg(test)]
mod tests;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::config::Loaded;
use crate::failure::Failure;
pub(crate) use output::{Paint, print};
pub(crate) use table::{bytes as human_bytes, cell};

/// A customer-data platform that a company runs itself: it collects over TLS, keeps what it
/// collects sealed and spread over volumes, and reads it back, exports it and deletes it.
#[derive(Debug, Parser)]
#[command(
    name = "strongroom",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Start with `strongroom demo`, or with `strongroom init DIR` and then `strongroom \
                  serve --config DIR/strongroom.toml`.\n\nExit codes: 0 done, 1 failed, 2 wrong \
                  usage or input, 3 not found, 4 refused, 5 unavailable for now."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the product doing its main job: collects a shop's traffic and tells what became of it
    Demo(demo::Arguments),
    /// Makes a new installation: configuration, keys, certificates, volumes, control database
    Init(init::Arguments),
    /// Runs the server until it is told to stop (SIGTERM or SIGINT)
    Serve(serve::Arguments),
    /// Accounts: one for each app whose data is kept
    #[command(subcommand)]
    Account(account::Command),
    /// Events and properties: which an account knows, which it has discarded, what becomes of others
    #[command(subcommand)]
    Dictionary(dictionary::Command),
    /// What was wrong with records: refused, changed, or kept all the same
    #[command(subcommand)]
    Errors(errors::Command),
    /// Users: who has access to an account
    #[command(subcommand)]
    User(user::Command),
    /// The IP allowlist: from where people and programs may come
    #[command(subcommand)]
    Access(access::Command),
    /// Roles of an account's own
    #[command(subcommand)]
    Role(role::Command),
    /// Passcodes: the credentials of programs
    #[command(subcommand)]
    Credential(credential::Command),
    /// Reads an account's tables by SQL
    Query(query::Arguments),
    /// People: what is held of one, and its deletion
    #[command(subcommand)]
    Person(person::Command),
    /// Writes events or people to a file
    Export(export::Arguments),
    /// The audit log: who did what
    #[command(subcommand)]
    Audit(audit::Command),
    /// What was dropped without an answer: groups, samples, reviews
    #[command(subcommand)]
    Drops(drops::Command),
    /// The log of every request
    #[command(subcommand)]
    Requests(requests::Command),
    /// Records that were refused: read them, store them after all, delete them
    #[command(subcommand)]
    Quarantine(quarantine::Command),
    /// Volumes: where the bytes are
    #[command(subcommand)]
    Volume(volume::Command),
    /// Background jobs
    #[command(subcommand)]
    Job(job::Command),
    /// Prints the version
    Version(version::Arguments),
}

/// Which installation is meant.
#[derive(Debug, Args)]
struct Installation {
    /// The installation's configuration file
    #[arg(
        long,
        value_name = "FILE",
        env = "STRONGROOM_CONFIG",
        default_value = "strongroom.toml"
    )]
    config: PathBuf,
}

impl Installation {
    fn read(&self) -> Result<Loaded> {
        let loaded = Loaded::read(&self.config)?;
        crate::logging::start(&quiet(&loaded))?;
        Ok(loaded)
    }
}

/// A command that reads says only what is wrong; its log is not the server's.
fn quiet(loaded: &Loaded) -> crate::config::Log {
    crate::config::Log {
        filter: "warn".to_owned(),
        ..loaded.config.log.clone()
    }
}

/// How a read is printed.
#[derive(Debug, Args)]
struct Format {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command in the process's arguments.
pub(crate) fn run() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Demo(it) => it.run(),
        Command::Init(it) => it.run(),
        Command::Serve(it) => it.run(),
        Command::Account(it) => it.run(),
        Command::Dictionary(it) => it.run(),
        Command::Errors(it) => it.run(),
        Command::User(it) => it.run(),
        Command::Access(command) => command.run(),
        Command::Role(it) => it.run(),
        Command::Credential(it) => it.run(),
        Command::Query(it) => it.run(),
        Command::Person(it) => it.run(),
        Command::Export(it) => it.run(),
        Command::Audit(it) => it.run(),
        Command::Drops(it) => it.run(),
        Command::Requests(it) => it.run(),
        Command::Quarantine(it) => it.run(),
        Command::Volume(it) => it.run(),
        Command::Job(it) => it.run(),
        Command::Version(it) => it.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough.
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let failure = Failure::of(&error);
            output::complain(&failure);
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

/// How long a process that has ended its work waits for operations that do not come back.
const STRAYS_PATIENCE: Duration = Duration::from_secs(2);

/// Runs a future to its end on a runtime of its own.
fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let outcome = runtime.block_on(work);
    // An operation on a disk that does not answer must not hold up the end of the program: nobody
    // was answered on the strength of it.
    runtime.shutdown_timeout(STRAYS_PATIENCE);
    outcome
}
