//! Which session a browser is in.

use model::Timestamp;

/// Seconds without a request after which a session is over.
pub const SESSION_SECONDS: u32 = 20 * 60;

/// The id of the session of a request: seconds since the epoch at which it began.
///
/// `sent` is the session that the browser says it is in, `last` the second at which it was heard of last,
/// where that is known. One that goes on keeps its id; one of which nothing is known was heard of when it
/// began. A browser that has none, or whose session is over, begins one now. It would ignore an id that is
/// smaller than the one it has.
#[must_use]
pub fn session(sent: Option<u32>, last: Option<u32>, now: Timestamp) -> u32 {
    let now = u32::try_from(now.seconds().max(1)).unwrap_or(u32::MAX);
    match sent {
        Some(sent) if now.saturating_sub(last.unwrap_or(sent)) < SESSION_SECONDS => sent,
        Some(sent) => sent.max(now),
        None => now,
    }
}
