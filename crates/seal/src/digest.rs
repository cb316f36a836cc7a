//! Digests, derivations and comparison: thin, so that nobody else needs the library.

use aws_lc_rs::{constant_time, digest, hkdf, hmac};
use model::Secret;

use crate::{Error, Result};

/// The SHA-256 digest of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    let digest = digest::digest(&digest::SHA256, bytes);
    for (to, from) in out.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    out
}

/// A SHA-256 digest of bytes that come in pieces.
#[derive(Clone)]
pub struct Sha256(digest::Context);

impl std::fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sha256").finish_non_exhaustive()
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }
}

impl Sha256 {
    /// Adds a piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all pieces.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        let mut out = [0; 32];
        for (to, from) in out.iter_mut().zip(self.0.finish().as_ref()) {
            *to = *from;
        }
        out
    }
}

/// The HMAC-SHA-256 of the parts, one after the other. The boundary between parts is not
/// authenticated: give fixed lengths, or put the lengths in.
///
/// # Source
/// RFC 2104.
#[must_use]
pub fn hmac_sha256(key: &Secret<[u8; 32]>, parts: &[&[u8]]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
    let mut context = hmac::Context::with_key(&key);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(context.sign().as_ref()) {
        *to = *from;
    }
    out
}

/// Whether two byte strings are equal, in a time that depends on their lengths only.
#[must_use]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// A key derived from `key` for one `purpose` and one `context`: HKDF-SHA256 with the purpose as
/// the salt, and the context, each part preceded by its length, as the info.
///
/// # Errors
/// [`model::ErrorKind::Invalid`] when a part of the context is larger than 64 KiB.
///
/// # Source
/// RFC 5869.
pub fn derive(
    key: &Secret<[u8; 32]>,
    purpose: &str,
    context: &[&[u8]],
) -> Result<Secret<[u8; 32]>> {
    let mut info = Vec::new();
    for part in context {
        let length = u16::try_from(part.len()).map_err(|_| Error::TooLarge("a context"))?;
        info.extend_from_slice(&length.to_le_bytes());
        info.extend_from_slice(part);
    }
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, purpose.as_bytes()).extract(key.expose());
    let info = [info.as_slice()];
    let okm = prk
        .expand(&info, hkdf::HKDF_SHA256)
        .map_err(|_| Error::Library("derive a key"))?;
    let mut out = [0; 32];
    okm.fill(&mut out)
        .map_err(|_| Error::Library("derive a key"))?;
    Ok(Secret::new(out))
}
