//! Passcodes and tokens of programs and apps: made, hashed, compared.
//!
//! They are random tokens of 160 bits, so one fast hash is enough: there is nothing to guess. The
//! hash is compared in constant time. Plain text exists once, in [`NewPasscode`], to be shown.

use model::{Random, Secret, Timestamp};

use crate::PasscodeTerms;

/// The BLAKE3 hash of a passcode or token. `==` takes the same time wherever the two differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasscodeHash(blake3::Hash);

impl PasscodeHash {
    /// The hash of what a caller presents.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(blake3::hash(text.as_bytes()))
    }

    /// From the 32 bytes that are stored.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(blake3::Hash::from_bytes(bytes))
    }

    /// The 32 bytes to store.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 32] {
        *self.0.as_bytes()
    }
}

/// One passcode that is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasscodeRule {
    /// The name by which people know it; it goes into the audit log.
    pub name: Box<str>,
    /// What is stored of it.
    pub hash: PasscodeHash,
    /// Until when, for what and from where it is accepted.
    pub terms: PasscodeTerms,
}

/// One token of the SDKs that is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SdkTokenRule {
    /// Which of the account's tokens it is, from 1.
    pub number: u32,
    /// What is stored of it.
    pub hash: PasscodeHash,
    /// From when on it is refused; none for the one that new apps carry.
    pub ends_at: Option<Timestamp>,
}

/// A passcode just made.
#[derive(Debug, Clone)]
pub struct NewPasscode {
    /// The passcode itself: shown once, then forgotten.
    pub text: Secret<String>,
    /// What is kept.
    pub hash: PasscodeHash,
}

impl NewPasscode {
    /// A fresh one: 32 characters of `A-Z` and `2-7`, five random bits each, in groups of eight.
    #[must_use]
    pub fn generate(random: &dyn Random) -> Self {
        const LETTERS: [char; 32] = [
            'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P', 'Q',
            'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', '2', '3', '4', '5', '6', '7',
        ];
        let bytes = random.bytes32();
        let mut text = String::with_capacity(35);
        for (place, byte) in bytes.iter().enumerate() {
            if place > 0 && place % 8 == 0 {
                text.push('-');
            }
            text.extend(LETTERS.get(usize::from(byte & 31)));
        }
        let hash = PasscodeHash::of(&text);
        Self {
            text: Secret::new(text),
            hash,
        }
    }
}
