//! `/a/{account}/settings/…`: who has access, what was done, and how programs get in.

pub(crate) mod audit;
pub(crate) mod credentials;
pub(crate) mod roles;
pub(crate) mod security;
mod snippets;
pub(crate) mod users;
