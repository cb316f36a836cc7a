//! The project's automation: `cargo xtask COMMAND`.
//!
//! `check` is the quick loop, `test` passes every test after installing what they need, `bench`
//! measures, `simulate` runs the storage simulation for as many seeds as asked.

mod architecture;
mod bench;
mod check;
mod command;
mod fuzz;
mod peers;
mod screenshots;
mod simulate;
mod test;
mod tidy;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Automation of the Strongroom project")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The quick loop: formatting, lints, docs, unit and property tests; needs no service
    Check,
    /// Lints, installs what the tests need, then passes every test
    Test,
    /// Measures and writes docs/benchmarks.md
    Bench(bench::Options),
    /// Feeds a decoder with inputs chosen by coverage
    Fuzz(fuzz::Options),
    /// Keeps pictures of every page of the console: desk and phone, light and dark
    Screenshots,
    /// Runs the storage simulation under injected faults
    Simulate(simulate::Options),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Check => check::run(),
        Command::Test => test::run(),
        Command::Bench(options) => bench::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Screenshots => screenshots::run(),
        Command::Simulate(options) => simulate::run(&options),
    }
}
