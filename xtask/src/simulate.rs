//! `cargo xtask simulate`: the storage path under injected faults, one run a seed.

use crate::command::{cargo, run as execute};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many seeds to run, counted up from the first
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed; a failing run names the seed that repeats it
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// # Errors
/// When a seed shows wrong data, a hang, a lost acknowledgement or a deleted person.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let (seeds, seed) = (options.seeds.to_string(), options.seed.to_string());
    let arguments = [
        "run",
        "--quiet",
        "--release",
        "--package",
        "server",
        "--example",
        "simulate",
    ];
    execute(cargo(&arguments).args(["--", "--seeds", &seeds, "--seed", &seed]))
}
