//! What can go wrong with a query, and what the caller can do about it.

use datafusion::common::DataFusionError;
use datafusion::parquet;
use model::{CommitId, ErrorKind, catalog};
use std::time::Duration;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a query was not answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The statement cannot be run: wrong syntax, an unknown name, types that do not fit.
    #[error("failed to plan the query: {0}")]
    Statement(String),
    /// The statement is of a kind that is not allowed.
    #[error("only SELECT, WITH and EXPLAIN are allowed: {0}")]
    NotAllowed(&'static str),
    /// The policy does not let the reader look at this.
    #[error("not permitted: {0}")]
    Masked(String),
    /// The query needs more memory than is left, or gathers more than half of all. It may be a good one:
    /// another time, there may be more.
    #[error(
        "the query needs more memory than is left of the {limit_bytes} bytes that all queries share, \
         or more than half of them; try again later, read fewer days or columns, or group by fewer values"
    )]
    Memory {
        /// The limit of all queries together, bytes.
        limit_bytes: usize,
    },
    /// The query took too long. It may be a good one: another time, there is less to do beside it.
    #[error(
        "the query took longer than {} ms; try again later, or read fewer days or columns",
        limit.as_millis()
    )]
    Time {
        /// The limit of one query.
        limit: Duration,
    },
    /// The query has too many rows.
    #[error("the query has more than {limit} rows; add a LIMIT, or export")]
    Rows {
        /// The limit of one query, rows.
        limit: u64,
    },
    /// A commit has become part of the lake since it was listed: a new snapshot is needed.
    #[error("failed to read commit {} of writer {}: it has been retired", .0.number, .0.writer)]
    Retired(CommitId),
    /// The journal could not be read.
    #[error("failed to {what}")]
    Journal {
        /// What was being done.
        what: &'static str,
        /// What the caller can do.
        kind: ErrorKind,
        /// The cause.
        #[source]
        source: Source,
    },
    /// The list of parts could not be read.
    #[error("failed to list the parts")]
    Catalog(#[source] catalog::Error),
    /// The lake's rows could not be made or read.
    #[error("failed to read rows")]
    Lake(#[source] lake::Error),
    /// An object could not be read.
    #[error("failed to read a part")]
    Store(#[source] object_store::Error),
    /// A part is damaged.
    #[error("failed to decode a part")]
    Part(#[source] DataFusionError),
    /// Writing what was read failed.
    #[error("failed to write the output")]
    Output(#[source] std::io::Error),
    /// The engine failed.
    #[error("failed to run the query")]
    Engine(#[source] DataFusionError),
    /// A bug of ours.
    #[error("failed to {0}")]
    Internal(&'static str),
}

/// The result of a query's act.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What the caller can do.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Statement(_) | Self::NotAllowed(_) | Self::Rows { .. } => ErrorKind::Invalid,
            Self::Masked(_) => ErrorKind::Denied,
            Self::Retired(_) => ErrorKind::Conflict,
            Self::Journal { kind, .. } => *kind,
            Self::Catalog(source) => source.kind,
            Self::Lake(source) => source.kind(),
            Self::Memory { .. } | Self::Time { .. } | Self::Store(_) | Self::Output(_) => {
                ErrorKind::Unavailable
            }
            Self::Part(_) => ErrorKind::Corrupt,
            Self::Engine(_) | Self::Internal(_) => ErrorKind::Internal,
        }
    }

    /// For [`crate::Tail`]: the journal could not be read, and trying again later may help.
    pub fn unavailable(
        what: &'static str,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Journal {
            what,
            kind: ErrorKind::Unavailable,
            source: Box::new(source),
        }
    }

    /// From the engine's error: finds the cause that says what the caller can do.
    pub(crate) fn from_engine(error: DataFusionError, memory_bytes: usize) -> Self {
        match error {
            DataFusionError::ResourcesExhausted(_) => Self::Memory {
                limit_bytes: memory_bytes,
            },
            DataFusionError::SQL(source, _) => Self::Statement(source.to_string()),
            DataFusionError::Plan(text)
            | DataFusionError::NotImplemented(text)
            | DataFusionError::Execution(text) => Self::Statement(text),
            DataFusionError::SchemaError(source, _) => Self::Statement(source.to_string()),
            DataFusionError::ArrowError(source, text) => arrow_error(*source, text, memory_bytes),
            DataFusionError::ParquetError(source) => match *source {
                parquet::errors::ParquetError::External(source) => external(source, memory_bytes),
                source => Self::Part(DataFusionError::ParquetError(Box::new(source))),
            },
            DataFusionError::ObjectStore(source) => Self::Store(*source),
            DataFusionError::External(source) => external(source, memory_bytes),
            DataFusionError::Context(text, source) => {
                match Self::from_engine(*source, memory_bytes) {
                    Self::Engine(source) => {
                        Self::Engine(DataFusionError::Context(text, Box::new(source)))
                    }
                    known => known,
                }
            }
            DataFusionError::Diagnostic(_, source) => Self::from_engine(*source, memory_bytes),
            DataFusionError::Collection(errors) => match errors.into_iter().next() {
                Some(first) => Self::from_engine(first, memory_bytes),
                None => Self::Internal("name the errors of a query"),
            },
            DataFusionError::Shared(source) => Self::of_shared(&source, memory_bytes),
            other => Self::Engine(other),
        }
    }

    fn of_shared(error: &DataFusionError, memory_bytes: usize) -> Self {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Self::Memory {
                limit_bytes: memory_bytes,
            },
            DataFusionError::External(source) => match source.downcast_ref::<Self>() {
                Some(Self::Retired(id)) => Self::Retired(*id),
                Some(Self::Memory { limit_bytes }) => Self::Memory {
                    limit_bytes: *limit_bytes,
                },
                _ => Self::Engine(DataFusionError::Execution(error.to_string())),
            },
            _ => Self::Engine(DataFusionError::Execution(error.to_string())),
        }
    }
}

fn arrow_error(
    error: arrow::error::ArrowError,
    text: Option<String>,
    memory_bytes: usize,
) -> Error {
    use arrow::error::ArrowError;
    match error {
        ArrowError::ExternalError(source) => external(source, memory_bytes),
        // Overflows, divisions by zero, texts that are no numbers: the statement's.
        ArrowError::DivideByZero
        | ArrowError::ArithmeticOverflow(_)
        | ArrowError::CastError(_)
        | ArrowError::ParseError(_)
        | ArrowError::ComputeError(_)
        | ArrowError::InvalidArgumentError(_) => Error::Statement(error.to_string()),
        other => Error::Engine(DataFusionError::ArrowError(Box::new(other), text)),
    }
}

fn external(source: Source, memory_bytes: usize) -> Error {
    let source = match source.downcast::<Error>() {
        Ok(ours) => return *ours,
        Err(other) => other,
    };
    let source = match source.downcast::<DataFusionError>() {
        Ok(engine) => return Error::from_engine(*engine, memory_bytes),
        Err(other) => other,
    };
    match source.downcast::<object_store::Error>() {
        Ok(store) => Error::Store(*store),
        Err(other) => Error::Engine(DataFusionError::External(other)),
    }
}
