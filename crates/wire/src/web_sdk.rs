//! The web SDK's dialect: `GET /a`, and the page about subscriptions, `GET /e`.
//!
//! A request carries one message in the parameter `d`: JSON, packed by lz-string, in base64. Twice so
//! inside encryption in transit. The answer is a script or JSON, as the sender asks. What is accepted
//! and answered is in `docs/wire/web-sdk.md`.

mod answer;
mod kept;
mod lz;
mod message;
mod query;
mod session;
mod subscription;
#[cfg(test)]
mod tests;

pub use answer::Answer;
pub use kept::{keep, reread};
pub use lz::{UNITS_MAX, decompress_from_base64};
pub use message::Message;
pub use query::{Call, Query};
pub use session::{SESSION_SECONDS, session};
pub use subscription::Subscription;
