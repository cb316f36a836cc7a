//! Which session a browser is in.

use model::Timestamp;

/// The id of the session of a request: seconds since the epoch at which it began.
///
/// The browser forgets its session after 20 minutes without an answer, so one that it sends is still
/// on, however wrong its clock is: an id smaller than the one it has would be ignored. One that sends
/// none begins a session now.
#[must_use]
pub fn session(sent: Option<u32>, now: Timestamp) -> u32 {
    sent.unwrap_or_else(|| u32::try_from(now.seconds().max(1)).unwrap_or(u32::MAX))
}
