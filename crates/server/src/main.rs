//! `strongroom`: the one binary. See [`cli`] for what it can be told to do.

mod admin;
mod cli;
mod compose;
mod config;
mod demo;
mod failure;
mod files;
mod init;
mod jobs;
mod listen;
mod lock;
mod logging;
mod metrics;
mod serve;
mod tls;

fn main() -> std::process::ExitCode {
    cli::run()
}
