//! Why sealing, opening or finding a key failed. Never holds a key or a plaintext byte.

use model::ErrorKind;
use std::path::PathBuf;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The keyring's file could not be read or written.
    #[error("failed to {act} keyring `{path}`", path = path.display())]
    KeyringFile {
        /// `read` or `write`.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The keyring's file breaks a rule about who may touch it.
    #[error("refused keyring `{path}`: {rule}", path = path.display())]
    KeyringRefused {
        /// The file.
        path: PathBuf,
        /// The rule, and what was found instead.
        rule: String,
    },
    /// The keyring's bytes are not a keyring.
    #[error("failed to decode keyring `{path}`: {reason}", path = path.display())]
    KeyringDamaged {
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        reason: &'static str,
    },
    /// Sealed bytes did not open: another key, another place, or not what was written.
    #[error("failed to open {0}: the sealed bytes are not what was written there")]
    Refused(&'static str),
    /// The key does not exist, or no longer.
    #[error("no such key: {0}")]
    KeyDestroyed(String),
    /// The key cannot be fetched or made durable now.
    #[error("failed to reach the keys: {message}")]
    Unavailable {
        /// What was being done.
        message: String,
        /// The cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A length that the format cannot hold.
    #[error("{0} is larger than the format allows")]
    TooLarge(&'static str),
    /// The library refused a legal request: a bug of ours.
    #[error("the cryptographic library refused to {0}")]
    Library(&'static str),
}

impl Error {
    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::KeyringFile { .. } | Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::KeyringRefused { .. } => ErrorKind::Denied,
            Self::KeyringDamaged { .. } | Self::Refused(_) => ErrorKind::Corrupt,
            Self::KeyDestroyed(_) => ErrorKind::NotFound,
            Self::TooLarge(_) => ErrorKind::Invalid,
            Self::Library(_) => ErrorKind::Internal,
        }
    }
}
