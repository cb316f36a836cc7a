//! The dialect of the Android and iOS SDKs: `GET /hello` and `POST /a1`.
//!
//! A body is one JSON array: what is said of device and account, and then up to 50 records. It may
//! come encrypted in transit. What is accepted and answered is in `docs/wire/mobile-sdk.md`.

mod answer;
mod hello;
mod item;
#[cfg(test)]
mod tests;
mod upload;

pub use answer::answer;
pub use hello::{Hello, authority};
pub use item::keep;
pub use upload::{Body, ITEMS_MAX, Upload, decode};

use model::record::Source;

/// Which of the two SDKs calls itself `os`; none for anything else.
#[must_use]
pub fn source(os: &str) -> Option<Source> {
    if os.eq_ignore_ascii_case("android") {
        Some(Source::Android)
    } else if os.eq_ignore_ascii_case("ios") {
        Some(Source::Ios)
    } else {
        None
    }
}
