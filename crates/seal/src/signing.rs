//! Signatures over short texts: Ed25519 keys, and signed notes in the form that transparency logs
//! use.
//!
//! A signed note is a text, an empty line, and a line for each signature. The secret half of a key
//! never leaves this module.

use aws_lc_rs::signature::{self, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Secret;

use crate::{Error, Result, sha256};

/// The number of Ed25519 among the kinds of keys of signed notes.
const ED25519: u8 = 1;
const PUBLIC_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;
/// What a signature's line begins with: an em dash and a space.
const DASH: &str = "\u{2014} ";

/// A key that signs, with the name under which its signatures are known.
#[derive(Debug)]
pub struct SigningKey {
    pair: signature::Ed25519KeyPair,
    verifying: VerifyingKey,
}

impl SigningKey {
    /// The key that belongs to `seed`: the same for the same seed.
    ///
    /// # Errors
    /// [`model::ErrorKind::Internal`] when the library refuses, or the name is not legal: empty,
    /// with white space, or with `+`.
    pub fn from_seed(name: &str, seed: &Secret<[u8; 32]>) -> Result<Self> {
        if !is_name(name) {
            return Err(Error::Library("take the name of a signing key"));
        }
        let pair = signature::Ed25519KeyPair::from_seed_unchecked(seed.expose())
            .map_err(|_| Error::Library("take a signing key"))?;
        let public = pair.public_key().as_ref();
        let public = public
            .try_into()
            .map_err(|_| Error::Library("show a public key"))?;
        Ok(Self {
            pair,
            verifying: VerifyingKey {
                name: name.to_owned(),
                public,
            },
        })
    }

    /// What checks its signatures.
    #[must_use]
    pub const fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// The note of `text` with this key's signature. The text must end in a line end and hold no
    /// empty line.
    ///
    /// # Source
    /// C2SP signed-note.
    #[must_use]
    pub fn sign_note(&self, text: &str) -> String {
        debug_assert!(is_text(text), "a note's text must be lines");
        let mut bytes = self.verifying.id().to_vec();
        bytes.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        let name = &self.verifying.name;
        format!("{text}\n{DASH}{name} {}\n", STANDARD.encode(bytes))
    }
}

/// A public key, with the name under which its signatures are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    public: [u8; PUBLIC_BYTES],
}

impl VerifyingKey {
    /// Reads `name+id+key`: eight hexadecimal digits, then base64 of the kind and the key.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '+');
        let (name, id, key) = (parts.next()?, parts.next()?, parts.next()?);
        let key = STANDARD.decode(key).ok()?;
        let (kind, public) = key.split_first()?;
        let found = Self {
            name: name.to_owned(),
            public: public.try_into().ok()?,
        };
        (is_name(name)
            && *kind == ED25519
            && found.to_string() == format!("{name}+{id}+{}", STANDARD.encode(&key)))
        .then_some(found)
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text of a note that this key has signed; none when it has not.
    ///
    /// # Source
    /// C2SP signed-note.
    #[must_use]
    pub fn open_note<'a>(&self, note: &'a str) -> Option<&'a str> {
        let (text, signatures) = split_note(note)?;
        let own = format!("{DASH}{} ", self.name);
        let signed = signatures.lines().any(|line| {
            line.strip_prefix(&own)
                .is_some_and(|signature| self.signed(text, signature))
        });
        signed.then_some(text)
    }

    fn signed(&self, text: &str, signature: &str) -> bool {
        let Ok(bytes) = STANDARD.decode(signature) else {
            return false;
        };
        let Some((id, signature)) = bytes.split_first_chunk::<4>() else {
            return false;
        };
        *id == self.id()
            && signature.len() == SIGNATURE_BYTES
            && UnparsedPublicKey::new(&signature::ED25519, self.public)
                .verify(text.as_bytes(), signature)
                .is_ok()
    }

    /// The first bytes of the digest of name, kind and key.
    fn id(&self) -> [u8; 4] {
        let mut bytes = self.name.clone().into_bytes();
        bytes.extend_from_slice(&[b'\n', ED25519]);
        bytes.extend_from_slice(&self.public);
        let [a, b, c, d, ..] = sha256(&bytes);
        [a, b, c, d]
    }
}

impl std::fmt::Display for VerifyingKey {
    /// As [`VerifyingKey::parse`] reads it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut key = vec![ED25519];
        key.extend_from_slice(&self.public);
        write!(f, "{}+", self.name)?;
        for byte in self.id() {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "+{}", STANDARD.encode(key))
    }
}

/// The text of a note, with its last line end, and the lines of its signatures. What the signatures
/// are worth is another question.
#[must_use]
pub fn split_note(note: &str) -> Option<(&str, &str)> {
    let at = note.find("\n\n")?;
    let (text, rest) = note.split_at_checked(at.checked_add(1)?)?;
    let signatures = rest.strip_prefix('\n')?;
    let lines = signatures.ends_with('\n') && signatures.lines().all(|line| line.starts_with(DASH));
    (is_text(text) && lines).then_some((text, signatures))
}

fn is_text(text: &str) -> bool {
    text.ends_with('\n') && text.len() > 1 && !text.starts_with('\n') && !text.contains("\n\n")
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|it: char| it.is_whitespace() || it == '+')
}

#[cfg(test)]
mod tests;
