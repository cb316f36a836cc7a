//! What is fuzzed: every decoder of bytes that a stranger chooses, each with the laws that it must
//! keep for any input.
//!
//! `cargo xtask fuzz TARGET` feeds these functions by coverage; the tests replay the inputs that it
//! found, which are kept in `corpus/`. A function panics when a law is broken. It must never depend
//! on anything but its input.

#![expect(
    clippy::indexing_slicing,
    reason = "a panic here is what fuzzing looks for"
)]

mod connection;
mod fields;
mod hpke;
mod listen;
mod rest;
mod sdk;
mod stored;

/// A name, and what is done with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("rest_upload", rest::upload),
    ("rest_question", rest::question),
    ("rest_names", rest::names),
    ("rest_cursor", rest::cursor),
    ("sdk_packed", sdk::packed),
    ("sdk_web", sdk::web),
    ("sdk_mobile", sdk::mobile),
    ("sdk_query", sdk::query),
    ("sdk_kept", sdk::kept),
    ("stored_commit", stored::commit),
    ("stored_sealed", stored::sealed),
    ("stored_label", store::fuzzing::label),
    ("stored_shard", store::fuzzing::shard),
    ("stored_control", control::fuzzing::shipped_chunk),
    ("stored_keys", control::fuzzing::key_table),
    ("tls_hello", connection::client_hello),
    ("http1_framing", listen::framing),
    ("http2_frames", listen::frames),
    ("admin_frame", connection::frame),
    ("rest_hpke", hpke::message),
    ("rest_keyset", hpke::keyset),
    ("http_fields", fields::http),
    ("audit_file", control::fuzzing::audit_file),
];
