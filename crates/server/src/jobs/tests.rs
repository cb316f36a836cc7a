//! When jobs come again.

use std::time::Duration;

use super::{Job, pause_after};

/// The pauses in seconds behind turns that ended so, of a job that runs every second.
fn check(job: Job, done: &[bool], expect: &[u64]) {
    let interval = Duration::from_secs(1);
    let mut pause = interval;
    let pauses: Vec<u64> = done
        .iter()
        .map(|done| {
            pause = pause_after(job, interval, pause, *done);
            pause.as_secs()
        })
        .collect();
    assert_eq!(pauses, expect, "{job:?}");
}

#[test]
fn a_flush_that_fails_waits_longer_each_time() {
    let done = [false, false, false, false, false, false, false, true, false];
    check(Job::Flush, &done, &[2, 4, 8, 16, 32, 60, 60, 1, 2]);
    check(Job::Sinks, &[false, false, true], &[1, 1, 1]);
}
