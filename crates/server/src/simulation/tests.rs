//! A few seeds in every test run; `cargo xtask simulate` runs as many as wanted.

use super::{Advance, Tally, run};
use std::sync::Arc;

const SEEDS: u64 = 56;
/// Faults that must have happened, or the run has tested nothing.
const FAULTS: u64 = 1_000;

#[tokio::test(start_paused = true)]
async fn no_fault_that_parity_covers_loses_doubles_or_resurrects_anything() {
    let advance: Advance = Arc::new(|by| Box::pin(tokio::time::advance(by)));
    let mut tally = Tally::default();
    for seed in 1..=SEEDS {
        let folder = tempfile::tempdir().unwrap();
        let seen = run(seed, folder.path().to_owned(), Arc::clone(&advance)).await;
        let seen = seen.unwrap();
        assert!(seen.is_clean(), "seed {seed}: {seen}");
        tally += seen;
    }
    println!("{:?}", tally.kinds);
    println!("{tally}");
    assert!(tally.fired() >= FAULTS, "{tally}");
}
