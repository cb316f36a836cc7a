//! `cargo xtask fuzz TARGET`: coverage-guided inputs for one decoder.
//!
//! Stable Rust: LLVM's coverage pass is asked for by flags, and the driver links libFuzzer. What is
//! found goes to a working corpus in the target directory; `--keep` adds the smallest set of inputs
//! with the same coverage to the one that the tests replay.

use anyhow::{Context as _, bail, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::command::{cargo, root, run as execute, target_directory};

/// Counters for edges, comparisons as hints, and no inlining of the counters' table.
const COVERAGE_FLAGS: [&str; 7] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];
/// Bytes of the longest input.
const INPUT_BYTES_MAX: &str = "4096";
/// Seconds that one input may take.
const INPUT_SECONDS_MAX: &str = "5";
/// Megabytes that a run may take.
const MEMORY_MB_MAX: &str = "2048";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The target's name; `all` for one after the other
    target: String,
    /// How long each target runs, minutes
    #[arg(long, default_value_t = 60.0)]
    minutes: f64,
    /// Adds the smallest set of inputs that covers as much to the corpus that the tests replay
    #[arg(long)]
    keep: bool,
}

/// # Errors
/// When the driver cannot be built, or an input broke a law: it is named, and kept for the tests.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let corpus = root().join("fuzz/corpus");
    let mut targets = Vec::new();
    for entry in fs::read_dir(&corpus).context("failed to list the targets")? {
        targets.push(entry?.file_name().to_string_lossy().into_owned());
    }
    targets.sort();
    if options.target != "all" {
        ensure!(
            targets.contains(&options.target),
            "no target is called `{}`; there are {}",
            options.target,
            targets.join(", ")
        );
        targets.retain(|it| *it == options.target);
    }
    let folder = target_directory()?.join("fuzz");
    let driver = build(&folder)?;
    for target in targets {
        fuzz(&driver, &folder, &corpus.join(&target), &target, options)?;
    }
    Ok(())
}

fn build(folder: &Path) -> anyhow::Result<std::path::PathBuf> {
    // A target is named, so that build scripts and macros are built without the counters.
    let host = host()?;
    // What is fuzzed is what ships: the same versions of everything.
    fs::copy(
        root().join("Cargo.lock"),
        root().join("fuzz/driver/Cargo.lock"),
    )
    .context("failed to copy Cargo.lock for the driver")?;
    let mut build = cargo(&["build", "--release", "--target", &host]);
    build
        .args(["--manifest-path", "fuzz/driver/Cargo.toml", "--target-dir"])
        .arg(folder)
        .env("CARGO_ENCODED_RUSTFLAGS", COVERAGE_FLAGS.join("\u{1f}"));
    execute(&mut build)?;
    Ok(folder.join(host).join("release/driver"))
}

fn host() -> anyhow::Result<String> {
    let said = Command::new("rustc")
        .arg("-vV")
        .output()
        .context("failed to run rustc")?;
    let said = String::from_utf8_lossy(&said.stdout);
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say its host")?.to_owned())
}

fn fuzz(
    driver: &Path,
    folder: &Path,
    kept: &Path,
    target: &str,
    options: &Options,
) -> anyhow::Result<()> {
    let (found, broken) = (
        folder.join("found").join(target),
        folder.join("broken").join(target),
    );
    fs::create_dir_all(&found)?;
    fs::create_dir_all(&broken)?;
    let seconds = (options.minutes * 60.0).round();
    let mut fuzzer = Command::new(driver);
    fuzzer
        .env("STRONGROOM_FUZZ_TARGET", target)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MB_MAX}"))
        .arg(format!("-artifact_prefix={}/", broken.display()))
        .args(["-print_final_stats=1", "-verbosity=1"])
        .args([found.as_path(), kept]);
    if let Err(error) = execute(&mut fuzzer) {
        for input in fs::read_dir(&broken)? {
            let input = input?;
            fs::copy(input.path(), kept.join(input.file_name()))?;
        }
        bail!("{error:#}; the input is now in {}", kept.display());
    }
    if options.keep {
        let mut merge = Command::new(driver);
        merge
            .env("STRONGROOM_FUZZ_TARGET", target)
            .arg(format!("-max_len={INPUT_BYTES_MAX}"))
            // By edges alone: what was reached counts, not how often.
            .args(["-merge=1", "-use_counters=0", "-verbosity=1"])
            .args([kept, found.as_path()]);
        execute(&mut merge)?;
    }
    Ok(())
}
