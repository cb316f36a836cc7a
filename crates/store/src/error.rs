//! Why the store could not do something, and how `object_store` says it.

use model::ErrorKind;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name, geometry or setting that the store cannot hold.
    #[error("{0}")]
    Invalid(String),
    /// A volume that may not be used: it belongs to another store, holds something else, or is open
    /// in another process.
    #[error("refused volume `{place}`: {rule}")]
    Refused {
        /// Where the volume is.
        place: String,
        /// The rule that it breaks.
        rule: String,
    },
    /// No such object.
    #[error("no object `{0}`")]
    NotFound(String),
    /// No such object on the volumes in service: with others out, or with a write of it that may turn
    /// out to be complete, there may be one.
    #[error("no object `{0}` on the volumes in service")]
    Hidden(String),
    /// There is one already.
    #[error("object `{0}` exists already")]
    Exists(String),
    /// The object is not the one that the caller has seen.
    #[error("object `{0}` has changed")]
    Changed(String),
    /// Too few volumes serve. The outcome of a write is unknown.
    #[error("failed to {act}: {reason}")]
    Unavailable {
        /// What was being done to what.
        act: String,
        /// Why it cannot be done now.
        reason: String,
    },
    /// Stored bytes are not what was written, beyond what parity repairs.
    #[error("failed to read `{path}`: {reason}")]
    Corrupt {
        /// The object.
        path: String,
        /// What was found.
        reason: String,
    },
    /// Sealing, opening or a key failed.
    #[error("failed to seal or open `{path}`")]
    Seal {
        /// The object.
        path: String,
        /// The cause.
        #[source]
        source: seal::Error,
    },
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
            Self::Refused { .. } => ErrorKind::Denied,
            Self::NotFound(_) | Self::Hidden(_) => ErrorKind::NotFound,
            Self::Exists(_) | Self::Changed(_) => ErrorKind::Conflict,
            Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::Seal { source, .. } => source.kind(),
            Self::Internal(_) => ErrorKind::Internal,
        }
    }

    pub(crate) fn sealing(path: &str) -> impl FnOnce(seal::Error) -> Self + '_ {
        move |source| Self::Seal {
            path: path.to_owned(),
            source,
        }
    }
}

impl From<Error> for object_store::Error {
    fn from(error: Error) -> Self {
        match &error {
            Error::NotFound(path) | Error::Hidden(path) => Self::NotFound {
                path: path.clone(),
                source: error.into(),
            },
            Error::Exists(path) => Self::AlreadyExists {
                path: path.clone(),
                source: error.into(),
            },
            Error::Changed(path) => Self::Precondition {
                path: path.clone(),
                source: error.into(),
            },
            Error::Invalid(_)
            | Error::Refused { .. }
            | Error::Unavailable { .. }
            | Error::Corrupt { .. }
            | Error::Seal { .. }
            | Error::Internal(_) => Self::Generic {
                store: "Strongroom",
                source: error.into(),
            },
        }
    }
}

/// What a caller can do about an error that came out of the store's `ObjectStore` side.
#[must_use]
pub fn kind(error: &object_store::Error) -> ErrorKind {
    match error {
        object_store::Error::NotFound { .. } => ErrorKind::NotFound,
        object_store::Error::AlreadyExists { .. }
        | object_store::Error::Precondition { .. }
        | object_store::Error::NotModified { .. } => ErrorKind::Conflict,
        object_store::Error::InvalidPath { .. }
        | object_store::Error::NotSupported { .. }
        | object_store::Error::NotImplemented { .. } => ErrorKind::Invalid,
        object_store::Error::Generic { source, .. } => source
            .downcast_ref::<Error>()
            .map_or(ErrorKind::Unavailable, Error::kind),
        _ => ErrorKind::Unavailable,
    }
}

/// Whether an error that came out of the store's `ObjectStore` side says that an object is lost for
/// good: it is damaged beyond what parity repairs, its key does not exist, or it was not there although
/// every volume serves and no write of it is undecided. After any other error it may be there the next
/// time.
#[must_use]
pub fn is_lost(error: &object_store::Error) -> bool {
    let (object_store::Error::NotFound { source, .. }
    | object_store::Error::Generic { source, .. }) = error
    else {
        return false;
    };
    matches!(
        source.downcast_ref::<Error>(),
        Some(
            Error::NotFound(_)
                | Error::Corrupt { .. }
                | Error::Seal {
                    source: seal::Error::KeyDestroyed(_),
                    ..
                }
        )
    )
}
