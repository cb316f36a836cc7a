//! Tests of the crate, by subject.
#![allow(
    clippy::clone_on_ref_ptr,
    reason = "tests pass concrete stores as trait objects"
)]

mod access;
mod accounts;
mod api_keys;
mod attempts;
mod audit;
mod audit_tree;
mod deletions;
mod disabled;
mod formats;
mod keyring;
mod keys;
mod learned;
mod opt_outs;
mod parts;
mod passcodes;
mod personal;
mod receipts;
mod reviews;
mod sdk_tokens;
mod shipping;
mod sign_in;
mod support;
mod upgrades;
mod users;
