//! What can go wrong with the lake, and what the caller can do about it.

use model::{ErrorKind, catalog};

/// Why the lake could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The list of parts refused or did not answer. `Conflict`: read again and retry.
    #[error("failed to {what}")]
    Catalog {
        /// What was being done.
        what: &'static str,
        /// The catalog's answer.
        #[source]
        source: catalog::Error,
    },
    /// The store did not take or give an object.
    #[error("failed to {what} `{path}`")]
    Store {
        /// What was being done.
        what: &'static str,
        /// The object.
        path: String,
        /// The store's answer.
        #[source]
        source: object_store::Error,
    },
    /// A newer program has written a part.
    #[error("failed to read part `{path}`: its format, version {version}, is a newer program's")]
    NewerPart {
        /// The object.
        path: String,
        /// The version of its format.
        version: String,
    },
    /// A part's bytes are not what this version or an older one wrote.
    #[error("failed to read part `{path}`: {what}")]
    BadPart {
        /// The object.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// The columnar library refused; a bug of ours, or damaged bytes where `path` names a part.
    #[error("failed to {what}")]
    Columns {
        /// What was being done.
        what: &'static str,
        /// Its complaint.
        #[source]
        source: arrow::error::ArrowError,
    },
    /// The Parquet library refused.
    #[error("failed to {what}")]
    Parquet {
        /// What was being done.
        what: &'static str,
        /// Its complaint.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// A caller's mistake or a bug of ours.
    #[error("failed to {what}")]
    Internal {
        /// What was being done.
        what: &'static str,
    },
}

impl Error {
    /// What the caller can do.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Catalog { source, .. } => source.kind,
            Self::Store {
                source: object_store::Error::NotFound { .. },
                ..
            } => ErrorKind::NotFound,
            Self::Store { .. } => ErrorKind::Unavailable,
            Self::BadPart { .. } | Self::NewerPart { .. } => ErrorKind::Corrupt,
            Self::Columns { .. } | Self::Parquet { .. } | Self::Internal { .. } => {
                ErrorKind::Internal
            }
        }
    }

    pub(crate) fn columns(what: &'static str) -> impl FnOnce(arrow::error::ArrowError) -> Self {
        move |source| Self::Columns { what, source }
    }

    pub(crate) fn parquet(
        what: &'static str,
    ) -> impl FnOnce(parquet::errors::ParquetError) -> Self {
        move |source| Self::Parquet { what, source }
    }

    pub(crate) fn catalog(what: &'static str) -> impl FnOnce(catalog::Error) -> Self {
        move |source| Self::Catalog { what, source }
    }
}

/// The result of an act on the lake.
pub type Result<T, E = Error> = std::result::Result<T, E>;
