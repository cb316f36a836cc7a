//! The management API, `/v2`: what people do in the console's settings, for programs, in JSON.
//!
//! Every operation is a row of one table ([`table`]): its verb and URL, the act that it is, what it
//! leaves in the audit log. Before it stands the guard ([`guard`]), which lets the call in as the
//! protocol's calls are let in and asks `control::authz` about the act; the handler is then given a
//! [`program::Program`]. The document ([`document`]) is made of the handlers and of the same table.
//! What is done here is done by the functions that the console's pages call.

pub(crate) mod table;

pub(crate) mod document;
mod guard;
pub(crate) mod program;

mod answer;
mod ask;
mod known;
mod values;

mod audit_log;
mod credentials;
mod dictionary;
mod events;
mod people;
mod properties;
mod quarantine;
mod requests;
mod restrictions;
mod roles;
mod security;
mod users;
