//! What a caller can do about an error.

/// The coarse kind of an error: it tells the caller what to do next.
///
/// Every library crate has one `Error` type with a `kind()` of this type; status codes and exit
/// codes are chosen from it at the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The input is wrong: fix it; trying again does not help.
    Invalid,
    /// The actor may not do this.
    Denied,
    /// What was named does not exist (or may not be known to exist).
    NotFound,
    /// Something moved under the operation: read again and retry.
    Conflict,
    /// A resource is missing for now: try again later. The outcome of a write is unknown.
    Unavailable,
    /// Stored bytes are not what was written, beyond what parity repairs.
    Corrupt,
    /// A bug of ours.
    Internal,
}
