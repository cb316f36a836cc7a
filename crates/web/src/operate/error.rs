//! Why an operator's act was not carried out.

use model::ErrorKind;

/// A result of an operator's act.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operator's act was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was asked for cannot be.
    #[error("{0}")]
    Invalid(String),
    /// What was named is not there.
    #[error("there is no {0}")]
    NotFound(String),
    /// The control database failed or refused; nothing was read or changed.
    #[error(transparent)]
    Control(#[from] control::Error),
    /// Reading failed.
    #[error(transparent)]
    Query(#[from] query::Error),
    /// The list of parts could not be read.
    #[error(transparent)]
    Catalog(#[from] model::catalog::Error),
    /// The journal failed: what was to be kept may or may not be.
    #[error("failed to {act}")]
    Journal {
        /// What was being done.
        act: &'static str,
        /// What the journal said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The head of an audit log was not published, for this reason.
    #[error("failed to publish the head of the audit log: {0}")]
    Head(String),
    /// A row is not what was written.
    #[error("failed to understand {0}")]
    Row(&'static str),
}

impl Error {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Control(error) => error.kind(),
            Self::Query(error) => error.kind(),
            Self::Catalog(error) => error.kind,
            Self::Journal { .. } | Self::Head(_) => ErrorKind::Unavailable,
            Self::Row(_) => ErrorKind::Corrupt,
        }
    }

    pub(crate) fn journal<E: std::error::Error + Send + Sync + 'static>(
        act: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::Journal {
            act,
            source: Box::new(source),
        }
    }
}
