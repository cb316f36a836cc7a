//! Everything behind the binary `strongroom`; the binary itself only calls [`main`].
//!
//! A library, so that the storage simulation can run the product's own jobs and routers on volumes
//! that fail on demand.

#[cfg(test)]
mod acts;
mod admin;
mod attention;
mod cli;
mod compose;
mod config;
mod demo;
mod failure;
mod files;
mod heads;
mod init;
mod jobs;
mod listen;
mod lock;
mod logging;
mod metrics;
mod outbound;
mod recall;
mod serve;
pub mod simulation;
mod sinks;
#[cfg(test)]
mod testing;
mod tls;

/// Does what the command line says; the exit code is the process's.
#[must_use]
pub fn main() -> std::process::ExitCode {
    cli::run()
}
