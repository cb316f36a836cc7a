//! What can go wrong in the journal, and what the caller can do about it.

use model::{CommitId, ErrorKind, WriterId};
use std::sync::Arc;

use crate::codec::Malformed;

/// The result of a journal operation.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the journal.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The store did not take a commit. Whether it will be found later is unknown.
    #[error("failed to write `{path}`: the outcome is unknown")]
    Write {
        /// The object.
        path: String,
        /// What the store said.
        #[source]
        source: Arc<object_store::Error>,
    },
    /// The live commits have reached their limit; a flush makes room.
    #[error("the journal is full: it holds {live_bytes} bytes of at most {bytes_max}")]
    Full {
        /// Bytes of live commits.
        live_bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The owner task has ended or is ending.
    #[error("the journal is closed")]
    Closed,
    /// An entry that no commit can hold.
    #[error("an entry of {size_bytes} bytes is larger than a commit")]
    EntryTooLarge {
        /// The entry's encoded size.
        size_bytes: usize,
    },
    /// An entry could not be encoded or compressed.
    #[error("failed to encode entries: {reason}")]
    Encode {
        /// What the library said.
        reason: String,
    },
    /// The store could not read or list.
    #[error("failed to read `{path}`")]
    Read {
        /// The object or prefix.
        path: String,
        /// What the store said.
        #[source]
        source: Arc<object_store::Error>,
    },
    /// An object's bytes are not what was written.
    #[error("failed to decode `{path}`")]
    Decode {
        /// The object.
        path: String,
        /// What is wrong with it.
        #[source]
        source: Malformed,
    },
    /// The chain of a writer's commits is broken here.
    #[error("the chain of commits is broken at `{path}`: {reason}")]
    Chain {
        /// The commit that is missing or does not fit.
        path: String,
        /// How.
        reason: &'static str,
    },
    /// The writer's id, or a later one of the node, has been used.
    #[error(
        "writer {writer} cannot open the journal: `{path}` was written by this or a later start"
    )]
    WriterUsed {
        /// The writer that was to be opened.
        writer: WriterId,
        /// The evidence.
        path: String,
    },
    /// A commit that the caller named is not live.
    #[error("commit {} of writer {} is not in the journal", .0.number, .0.writer)]
    NotLive(CommitId),
    /// Commits that the caller needs have been retired: its watermarks are old.
    #[error("commits of writer {writer} up to {retired} were retired")]
    Retired {
        /// Whose.
        writer: WriterId,
        /// Up to which number.
        retired: u64,
    },
}

impl Error {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Write { .. } | Self::Full { .. } | Self::Closed | Self::Read { .. } => {
                ErrorKind::Unavailable
            }
            Self::EntryTooLarge { .. } => ErrorKind::Invalid,
            Self::Encode { .. } => ErrorKind::Internal,
            Self::Decode { .. } | Self::Chain { .. } => ErrorKind::Corrupt,
            Self::WriterUsed { .. } | Self::Retired { .. } => ErrorKind::Conflict,
            Self::NotLive(_) => ErrorKind::NotFound,
        }
    }
}
