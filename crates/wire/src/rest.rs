//! The REST dialect: `/1/upload` and the calls that read, count and delete.
//!
//! `docs/wire/rest.md` says what is accepted and answered. HTTP status codes are not chosen here: a
//! [`Refusal`] says what is wrong, and the listener's own code maps it.

pub mod answers;
pub mod cursor;
pub mod delete;
pub mod export;
pub mod hpke;
pub mod lookup;
pub(crate) mod number;
pub mod record;
mod refusal;
pub mod report;
pub mod subscription;
pub mod upload;
pub(crate) mod url;

#[cfg(test)]
mod tests;

pub use refusal::Refusal;
