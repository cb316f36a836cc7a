//! Credentials of programs and apps, and when one was used last.

use crate::{AccountId, Timestamp};

/// One of an account's credentials.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Credential {
    /// The passcode of that name.
    Passcode(Box<str>),
    /// The SDK token of that number.
    SdkToken(u32),
}

/// When a credential was accepted last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialUse {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub credential: Credential,
    /// When.
    pub at: Timestamp,
}
