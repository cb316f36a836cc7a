//! End-to-end tests: the real binary, real TLS, real clients, on loopback and ports of the system's
//! choosing. One test binary, since each links the whole product.

mod client;
mod generate;
mod harness;

mod clients;
mod deletion;
mod demo;
mod first_steps;
mod hostile;
mod kill;
mod lost_control;
mod million;
mod tls;
mod volumes;
