//! The console: pages for people, behind a sign-in with two factors.
//!
//! A request comes to the guard of its page ([`guard`]), which reads the session ([`visit`]) and asks
//! the page's row in the table ([`pages`]) who may; the page then has a [`staff::Staff`] and draws
//! itself with the pieces of [`view`].

pub(crate) mod guard;
pub(crate) mod pages;

pub(crate) mod enter;
pub(crate) mod me;
pub(crate) mod not_found;
pub(crate) mod refused;
pub(crate) mod security_txt;

pub(crate) mod api;
pub(crate) mod dictionary;
pub(crate) mod drops;
pub(crate) mod events;
pub(crate) mod exports;
pub(crate) mod overview;
pub(crate) mod people;
pub(crate) mod quarantine;
pub(crate) mod requests;
pub(crate) mod settings;
pub(crate) mod storage;

mod counts;
pub(crate) mod period;
mod records;

pub(crate) mod staff;
pub(crate) mod style;
pub(crate) mod view;
pub(crate) mod visit;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, header};

/// A text of ours, whole, with its type.
fn page(text: impl Into<Body>, content_type: &'static str) -> Response {
    let mut response = Response::new(text.into());
    let content_type = HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
