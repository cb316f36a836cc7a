//! Requests through the routers, on a journal whose store can be made to fail.

mod bodies;
mod encryption;
mod harness;
mod idempotency;
mod log;
mod paths;
mod replay;
mod sdk;
mod terms;
mod uploads;
mod urls;
