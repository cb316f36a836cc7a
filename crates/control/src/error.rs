//! Why the control database or the key table could not do what was asked. Never holds a secret, an
//! identity or an address.

use model::{ErrorKind, catalog};
use std::path::PathBuf;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// The actor may not do this.
    #[error("refused to {act} in account `{account}`: the actor may not")]
    Denied {
        /// The act.
        act: &'static str,
        /// Where.
        account: String,
    },
    /// What was given is not what may be used here.
    #[error("{0}")]
    Refused(String),
    /// The actor may do this, and may not give that much by it.
    #[error("refused to {0}: it gives more than the actor has")]
    Exceeds(&'static str),
    /// What was named does not exist.
    #[error("no such {0}")]
    NotFound(String),
    /// Something moved under the operation: read again and retry.
    #[error("{0}")]
    Conflict(String),
    /// A retention would become shorter, and nobody said that this is meant.
    #[error("less would be kept than now, and what is removed does not come back")]
    Shortens,
    /// The database refused or failed.
    #[error("failed to {act} in the control database")]
    Database {
        /// What was being done.
        act: &'static str,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// A local file failed.
    #[error("failed to {act} `{path}`", path = path.display())]
    File {
        /// What was being done.
        act: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The store failed: what was committed here is not on the volumes yet, and nothing is answered
    /// until it is.
    #[error("failed to {act} `{path}` on the volumes")]
    Store {
        /// What was being done.
        act: &'static str,
        /// To which object.
        path: String,
        /// What the store said.
        #[source]
        source: object_store::Error,
    },
    /// What was committed here is not on the volumes yet for another reason than that they did not take
    /// it: it is in the file, and will be there before anything else is, so its outcome is unknown.
    #[error("failed to bring what was committed to the volumes")]
    Unshipped(#[source] Box<Self>),
    /// As much waits for a required sink of the audit log as may: nothing that is audited is done.
    #[error(
        "the audit log's required sink `{sink}` is {waiting} entries behind: nothing that is audited is done"
    )]
    SinkFull {
        /// Which.
        sink: String,
        /// Entries that wait for it.
        waiting: u64,
    },
    /// Stored bytes are not what was written.
    #[error("failed to read {what}: {reason}")]
    Damaged {
        /// Which bytes.
        what: String,
        /// What was wrong with them.
        reason: String,
    },
    /// The local database and the shipped one have different histories, and the local one is ahead.
    #[error(
        "refused control database `{path}`: it is ahead of the one on the volumes and does not continue it; \
         move it away to start from the volumes",
        path = path.display()
    )]
    Forked {
        /// The local file.
        path: PathBuf,
    },
    /// A key failed.
    #[error("failed to use a key")]
    Keys(#[from] seal::Error),
    /// A bug of ours.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::Denied { .. } | Self::Refused(_) | Self::Exceeds(_) => ErrorKind::Denied,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Conflict(_) | Self::Shortens => ErrorKind::Conflict,
            Self::Database { .. }
            | Self::File { .. }
            | Self::Store { .. }
            | Self::Unshipped(_)
            | Self::SinkFull { .. } => ErrorKind::Unavailable,
            Self::Damaged { .. } | Self::Forked { .. } => ErrorKind::Corrupt,
            Self::Keys(error) => error.kind(),
            Self::Internal(_) => ErrorKind::Internal,
        }
    }

    pub(crate) fn database(act: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { act, source }
    }

    pub(crate) fn store<'a>(
        act: &'static str,
        path: &'a impl ToString,
    ) -> impl FnOnce(object_store::Error) -> Self + 'a {
        move |source| Self::Store {
            act,
            path: path.to_string(),
            source,
        }
    }

    pub(crate) fn file<'a>(
        act: &'static str,
        path: &'a std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Self + 'a {
        move |source| Self::File {
            act,
            path: path.to_path_buf(),
            source,
        }
    }

    /// As whoever waits for a transaction to be on the volumes is told: never that nothing has happened.
    pub(crate) fn unshipped(self) -> Self {
        match self.kind() {
            ErrorKind::Unavailable => self,
            ErrorKind::Invalid
            | ErrorKind::Denied
            | ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::Corrupt
            | ErrorKind::Internal => Self::Unshipped(Box::new(self)),
        }
    }

    pub(crate) fn damaged(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Damaged {
            what: what.into(),
            reason: reason.into(),
        }
    }
}

impl From<Error> for catalog::Error {
    fn from(error: Error) -> Self {
        Self {
            kind: error.kind(),
            message: error.to_string(),
            source: Some(Box::new(error)),
        }
    }
}

/// As a key source answers: everything that is not about the key itself is a key out of reach.
impl From<Error> for seal::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Keys(error) => error,
            other => Self::Unavailable {
                message: "the key table did not answer".to_owned(),
                source: Some(Box::new(other)),
            },
        }
    }
}
