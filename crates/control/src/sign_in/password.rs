//! Passwords: which ones are taken, and how they are kept.
//!
//! Length decides, not composition (NIST SP 800-63B, section 3.1.1.2): eight characters and more,
//! because nobody signs in by a password alone; what is common, or made of the words around the user
//! ([`super::words`]), is refused. Kept is the Argon2id string, hashed together with a secret of the
//! keyring, and sealed.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use model::{Random, Secret};
use std::cmp::Reverse;

use crate::{Error, Result};

/// Characters of a password at least.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// Characters of a password at most.
pub const PASSWORD_CHARS_MAX: usize = 1_024;
/// Characters of a word, or of a part of one, that a password must not be made of: less are in anything.
const WORD_CHARS_MIN: usize = 3;
/// Letters that a password has beside such words, at least.
const LETTERS_BESIDE_MIN: usize = 4;
/// A password that is found within so many guesses is too common.
const GUESSES_MIN: u64 = 100_000_000;

/// Refuses what is too short, too long, common, or made of these words: of one of them or of several,
/// with less than four letters beside.
///
/// # Errors
/// [`model::ErrorKind::Invalid`], in words for the user.
pub(crate) fn check(password: &str, words: &[String]) -> Result<()> {
    let chars = password.chars().count();
    if chars < PASSWORD_CHARS_MIN {
        return Err(Error::Invalid(format!(
            "a password has at least {PASSWORD_CHARS_MIN} characters; a few words in a row are easy \
             to remember"
        )));
    }
    if chars > PASSWORD_CHARS_MAX {
        return Err(Error::Invalid(format!(
            "a password has at most {PASSWORD_CHARS_MAX} characters"
        )));
    }
    let parts = |text: &String| -> Vec<String> {
        let parts = text
            .split(|it: char| !it.is_alphanumeric())
            .chain([&**text]);
        let parts = parts.filter(|word| word.chars().count() >= WORD_CHARS_MIN);
        parts.map(str::to_lowercase).collect()
    };
    let mut words: Vec<String> = words.iter().flat_map(parts).collect();
    // A word that is part of another one must not break that one up.
    words.sort_by_key(|word| Reverse(word.len()));
    let small = password.to_lowercase();
    let taken_out = |rest: String, word: &String| rest.replace(word.as_str(), "");
    let rest = words.iter().fold(small.clone(), taken_out);
    let letters = rest.chars().filter(|it| it.is_alphabetic()).count();
    if rest.len() < small.len() && letters < LETTERS_BESIDE_MIN {
        return Err(Error::Invalid(String::from(
            "this password is made of your own name or address, or of those of the account, the \
             console or the product; choose one that nobody can guess from them",
        )));
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if zxcvbn::zxcvbn(password, &words).guesses() < GUESSES_MIN {
        return Err(Error::Invalid(String::from(
            "this password is common or easily guessed; a few unrelated words in a row are better",
        )));
    }
    Ok(())
}

/// Hashes and compares passwords. Each takes 19 MiB and some tens of milliseconds of one core.
#[derive(Clone)]
pub(crate) struct Hasher {
    secret: Secret<[u8; 32]>,
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher")
    }
}

impl Hasher {
    pub(crate) const fn new(secret: Secret<[u8; 32]>) -> Self {
        Self { secret }
    }

    /// The string to keep.
    ///
    /// # Errors
    /// [`model::ErrorKind::Internal`] when the library refuses.
    pub(crate) fn hash(&self, password: &str, random: &dyn Random) -> Result<Secret<String>> {
        let made = self
            .argon2()?
            .hash_password_with_salt(password.as_bytes(), &random.bytes16())
            .map_err(|error| Error::Internal(format!("failed to hash a password: {error}")))?;
        Ok(Secret::new(made.to_string()))
    }

    /// Whether `password` is the one of which `kept` was made.
    pub(crate) fn verify(&self, password: &str, kept: &str) -> bool {
        let (Ok(argon2), Ok(kept)) = (self.argon2(), PasswordHash::new(kept)) else {
            return false;
        };
        argon2.verify_password(password.as_bytes(), &kept).is_ok()
    }

    /// RFC 9106's second recommended kind, with OWASP's least costs: 19 MiB, two passes, one lane.
    fn argon2(&self) -> Result<Argon2<'_>> {
        let (algorithm, version) = (Algorithm::Argon2id, Version::V0x13);
        Argon2::new_with_secret(self.secret.expose(), algorithm, version, Params::default())
            .map_err(|error| Error::Internal(format!("failed to set up Argon2: {error}")))
    }
}
