//! A failure as an operator sees it: what kind it is, and the chain of causes, once.

use model::ErrorKind;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What can be done about a failure; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Anything that has no kind of its own.
    Failed,
    /// The input is wrong.
    Invalid,
    /// What was named does not exist.
    NotFound,
    /// A rule forbids it, or something moved under it.
    Refused,
    /// What it would do does not come back, and nobody said that it is meant.
    Unconfirmed,
    /// Something is missing for now.
    Unavailable,
}

impl Kind {
    /// The process's exit code.
    pub(crate) const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Invalid | Self::Unconfirmed => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
            Self::Unavailable => 5,
        }
    }
}

impl From<ErrorKind> for Kind {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Invalid => Self::Invalid,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Denied | ErrorKind::Conflict => Self::Refused,
            ErrorKind::Unavailable => Self::Unavailable,
            ErrorKind::Corrupt | ErrorKind::Internal => Self::Failed,
        }
    }
}

/// A failure that can travel through the socket.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// What can be done about it.
    pub(crate) kind: Kind,
    /// The messages, the outermost first.
    pub(crate) chain: Vec<String>,
}

impl Failure {
    /// A failure of one message.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            chain: vec![message.into()],
        }
    }

    /// The failure in an error of any crate: its kind is that of the first cause that has one.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        let kind = error.chain().find_map(kind_of).unwrap_or(Kind::Failed);
        let mut chain: Vec<String> = Vec::new();
        for cause in error.chain() {
            match cause.downcast_ref::<Self>() {
                Some(inner) => chain.extend(inner.chain.iter().cloned()),
                None => chain.push(cause.to_string()),
            }
        }
        // Wrappers that only repeat their cause say nothing.
        chain.dedup();
        Self { kind, chain }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain.join(": "))
    }
}

impl std::error::Error for Failure {}

/// The kind of one error of a chain, when it is one of ours.
fn kind_of(cause: &(dyn std::error::Error + 'static)) -> Option<Kind> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return Some(failure.kind);
    }
    let kind = cause
        .downcast_ref::<control::Error>()
        .map(control::Error::kind)
        .or_else(|| {
            cause
                .downcast_ref::<web::operate::Error>()
                .map(web::operate::Error::kind)
        })
        .or_else(|| cause.downcast_ref::<query::Error>().map(query::Error::kind))
        .or_else(|| {
            cause
                .downcast_ref::<journal::Error>()
                .map(journal::Error::kind)
        })
        .or_else(|| cause.downcast_ref::<lake::Error>().map(lake::Error::kind))
        .or_else(|| cause.downcast_ref::<store::Error>().map(store::Error::kind))
        .or_else(|| cause.downcast_ref::<seal::Error>().map(seal::Error::kind));
    kind.map(Kind::from)
}
