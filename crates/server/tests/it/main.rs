//! End-to-end tests: the real binary, real TLS, real clients, on loopback and ports of the system's
//! choosing. One test binary, since each links the whole product.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a test says what is wrong by failing"
)]

mod access;
mod audit;
mod browser;
mod canary;
mod client;
mod generate;
mod harness;
mod raw;
mod visitor;

mod abuse;
mod api_encryption;
mod clients;
mod console;
mod console_acts;
mod deletion;
mod demo;
mod dictionary;
mod disks;
mod first_steps;
mod habits;
mod hostile;
mod idempotency;
mod kill;
mod lost_control;
mod million;
mod mobile_sdk;
mod pages;
mod personal;
mod review;
mod roles;
mod tls;
mod v2;
mod volumes;
mod web_sdk;
