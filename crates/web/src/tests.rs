//! Requests through the routers, on real parts: a journal, a control database and a query engine
//! over one store in memory that can be made to fail.

mod browser;
mod changes;
mod console;
mod deletion;
mod exports;
mod harness;
mod lookups;
mod pages;
mod reports;
mod routes;
mod sign_in;
mod v2;
