//! A few seeds in every test run; `cargo xtask simulate` runs as many as wanted.

use super::{Tally, run};

const SEEDS: u64 = 24;
/// Faults that must have happened, or the run has tested nothing.
const FAULTS: u64 = 150;

#[tokio::test]
async fn no_fault_that_parity_covers_loses_doubles_or_resurrects_anything() {
    let mut tally = Tally::default();
    for seed in 1..=SEEDS {
        let folder = tempfile::tempdir().unwrap();
        tally += run(seed, folder.path()).await.unwrap();
    }
    println!("{tally}");
    assert!(tally.is_clean(), "{tally}");
    assert!(tally.fired() >= FAULTS, "{tally}");
}
