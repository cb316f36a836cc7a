//! Processes under measurement, seen through `/proc`.

use anyhow::Context as _;
use std::fs;
use std::process::Child;

/// Clock ticks a second in `/proc/PID/stat`: 100 on every Linux that Rust's standard library runs on.
const TICKS_A_SECOND: f64 = 100.0;

/// A child that ends with the measurement.
#[derive(Debug)]
pub(crate) struct Measured(pub(crate) Child);

impl Measured {
    /// User and system time so far, seconds.
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let path = format!("/proc/{}/stat", self.0.id());
        let stat = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
        // The command's name is in parentheses and may hold anything: fields are counted after it.
        let fields = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        let ticks: Vec<f64> = fields
            .skip(11)
            .take(2)
            .filter_map(|it| it.parse().ok())
            .collect();
        Ok(ticks.iter().sum::<f64>() / TICKS_A_SECOND)
    }

    /// Peak resident memory, bytes.
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn peak_memory_bytes(&self) -> anyhow::Result<u64> {
        let path = format!("/proc/{}/status", self.0.id());
        let status = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap_or_default();
        let kib = line
            .split_whitespace()
            .nth(1)
            .and_then(|it| it.parse::<u64>().ok());
        Ok(kib.context("the kernel does not say how much memory was used")? * 1_024)
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is what is wanted.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
