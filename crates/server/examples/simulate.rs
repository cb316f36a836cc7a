//! Runs the storage simulation: one history a seed, each with its own volumes and faults. The last
//! line says what was seen; a history in which something went wrong names its seed.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its output is its result"
)]

use anyhow::{Context as _, bail};
use clap::Parser;
use indicatif::ProgressBar;
use server::simulation::{Tally, run};

#[derive(Debug, Parser)]
struct Options {
    /// How many seeds
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let progress = ProgressBar::new(options.seeds);
    let mut total = Tally::default();
    for seed in options.seed..options.seed.saturating_add(options.seeds) {
        let folder = tempfile::tempdir().context("failed to make a folder")?;
        let tally = run(seed, folder.path()).await?;
        if !tally.is_clean() {
            eprintln!("seed {seed}: {tally}");
        }
        total += tally;
        progress.inc(1);
    }
    progress.finish_and_clear();
    for (kind, count) in &total.kinds {
        println!("{kind:>14} {count:>8}");
    }
    println!("{total}");
    if !total.is_clean() {
        bail!("the simulation found what must not happen");
    }
    Ok(())
}
