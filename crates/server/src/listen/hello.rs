//! The first bytes of a connection: is this TLS, and which version does the client offer?
//!
//! Only the record header, the handshake header and the version field are looked at (RFC 8446 §4.1.2
//! and §5.1): 11 bytes. They are handed on to the TLS library unchanged.

/// How many bytes are looked at.
pub(super) const BYTES: usize = 11;

/// The first byte of a record that a TLS client begins with.
pub(super) const HANDSHAKE_RECORD: u8 = 22;

/// The fatal alert `protocol_version` (RFC 8446 §6) in a record that old clients read.
pub(super) const ALERT_TOO_OLD: [u8; 7] = [21, 3, 1, 0, 2, 2, 70];

/// How much of the record is still to come after the first bytes.
pub(super) fn rest_of_record(bytes: &[u8; BYTES]) -> u64 {
    let length = u64::from(u16::from_be_bytes([bytes[3], bytes[4]]));
    length.saturating_sub(BYTES as u64 - 5)
}

/// What the first bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hello {
    /// A client hello, with its `legacy_version` field.
    Tls {
        /// Major and minor: 3,3 is TLS 1.2 and everything newer.
        version: (u8, u8),
    },
    /// Something else: plain HTTP, a port scan, SSL 2.
    NotTls,
}

impl Hello {
    /// Reads the first bytes of a connection.
    pub(super) const fn read(bytes: &[u8; BYTES]) -> Self {
        match bytes {
            // A record so short that the version is in the next one: what stands there is its head.
            [22, 3, _, 0, 1..=5, 1, ..] => Self::Tls { version: (0, 0) },
            // Record type handshake, a version 3.x, handshake type client hello.
            [22, 3, _, _, _, 1, _, _, _, major, minor] => Self::Tls {
                version: (*major, *minor),
            },
            _ => Self::NotTls,
        }
    }

    /// Whether the client knows nothing newer than TLS 1.1.
    pub(super) const fn is_too_old(self) -> bool {
        matches!(
            self,
            Self::Tls {
                version: (3, 0..=2)
            }
        )
    }

    /// The version offered, as the request log shows it; empty when there is none.
    pub(super) const fn version(self) -> &'static str {
        match self {
            Self::Tls { version: (3, 0) } => "ssl3",
            Self::Tls { version: (3, 1) } => "1.0",
            Self::Tls { version: (3, 2) } => "1.1",
            // Newer versions say so in an extension, which is the library's to read.
            Self::Tls { version: (3, 3..) } => "1.2",
            Self::Tls { .. } => "unknown",
            Self::NotTls => "",
        }
    }
}
