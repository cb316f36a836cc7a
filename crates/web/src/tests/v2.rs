//! The management API, through the router of its plane.

mod acts;
mod authz;
mod caller;
mod document;
mod lists;
mod refusals;
