//! Runs the storage simulation: one history a seed, each with its own volumes and faults, on every
//! processor. The last line says what was seen; a history in which something went wrong names its
//! seed, and the program fails.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its output is its result"
)]

use anyhow::{Context as _, bail};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use server::simulation::{Advance, Tally, run};
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

/// Where there is no terminal, a line is printed for so many seeds.
const SEEDS_A_LINE: u64 = 10;

#[derive(Debug, Parser)]
struct Options {
    /// How many seeds
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many at a time; as many as there are processors when not given
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let threads = options
        .threads
        .or_else(|| thread::available_parallelism().ok().map(Into::into))
        .unwrap_or(1);
    let end = options.seed.saturating_add(options.seeds);
    let next = AtomicU64::new(options.seed);
    let (sender, histories) = mpsc::channel();
    let (total, failed) = thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    // Nobody listens when the other end has given up.
                    if seed >= end || sender.send((seed, history(seed))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        gather(options.seeds, &histories)
    });
    for (kind, count) in &total.kinds {
        println!("{kind:>14} {count:>8}");
    }
    println!("{total}");
    if failed || !total.is_clean() {
        bail!("the simulation found what must not happen");
    }
    Ok(())
}

/// One seed, on a runtime of its own.
fn history(seed: u64) -> anyhow::Result<Tally> {
    let folder = tempfile::tempdir().context("failed to make a folder")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .context("failed to start a runtime")?;
    let advance: Advance = Arc::new(|by| Box::pin(tokio::time::advance(by)));
    runtime.block_on(run(seed, folder.path().to_owned(), advance))
}

/// Adds up, and says how far it is; true when a history could not go on.
fn gather(seeds: u64, histories: &mpsc::Receiver<(u64, anyhow::Result<Tally>)>) -> (Tally, bool) {
    let progress = if std::io::stderr().is_terminal() {
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {msg}, {eta} left");
        ProgressBar::new(seeds).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    } else {
        ProgressBar::hidden()
    };
    let (mut total, mut failed) = (Tally::default(), false);
    for (done, (seed, outcome)) in (1..).zip(histories) {
        match outcome {
            Ok(tally) => {
                if !tally.is_clean() {
                    progress.suspend(|| eprintln!("seed {seed}: {tally}"));
                }
                total += tally;
            }
            Err(error) => {
                failed = true;
                progress.suspend(|| eprintln!("seed {seed}: {error:#}"));
            }
        }
        progress.inc(1);
        progress.set_message(format!("{} faults", total.fired()));
        if progress.is_hidden() && done % SEEDS_A_LINE == 0 {
            eprintln!("{done} of {seeds} seeds: {total}");
        }
    }
    progress.finish_and_clear();
    (total, failed)
}
