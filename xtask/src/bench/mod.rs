//! `cargo xtask bench`: measures the product beside its peers, in one run, and writes
//! `docs/benchmarks.md`.

mod attack;
mod ingest;
mod pages;
mod process;
mod web;

use clap::ValueEnum;
use std::path::PathBuf;

use crate::command::{cargo, run as execute, target_directory};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Which benchmark
    #[arg(value_enum, default_value_t = Name::Ingest)]
    name: Name,
    /// Print the result as one JSON object and leave the page alone
    #[arg(long)]
    json: bool,
    /// The build profile that is measured
    #[arg(long, default_value = "dist")]
    profile: String,
    /// Events in each run
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Events a body
    #[arg(long, default_value_t = 1_000)]
    batch: u64,
    /// Runs of each server, in turn; medians are reported
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Seconds of each flood of `attack`
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How often `pages` opens each page
    #[arg(long, default_value_t = 40)]
    times: usize,
    /// Build nothing: the programs are there
    #[arg(long)]
    built: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Name {
    /// Uploads over TLS, acknowledged when durable, beside nginx writing the bodies to its log
    Ingest,
    /// A good client's p99 and the server's memory while others attack
    Attack,
    /// Single events as the web SDK sends them, over 64 connections
    Web,
    /// The pages of the console, over events of 93 days
    Pages,
}

/// # Errors
/// When something cannot be built, started or read; a peer that is not installed is reported, not
/// passed over.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    match options.name {
        Name::Ingest => ingest::run(options),
        Name::Attack => attack::run(options),
        Name::Web => web::run(options),
        Name::Pages => pages::run(options),
    }
}

/// Builds the program and these of its examples, unless they are there; the folder that holds them. The
/// whole workspace decides the features, as in the tests: one set of compiled dependencies.
fn build(options: &Options, examples: &[&str]) -> anyhow::Result<PathBuf> {
    let profile = options.profile.as_str();
    if !options.built {
        let words = ["build", "--profile", profile, "--workspace"];
        let mut build = cargo(&words);
        build.args(["--bin", "strongroom"]);
        build.args(examples.iter().flat_map(|it| ["--example", *it]));
        execute(&mut build)?;
    }
    Ok(target_directory()?.join(profile))
}
