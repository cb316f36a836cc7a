//! Encryption in transit, as the SDKs do it: AES-256-GCM under a key that the sender has chosen.
//!
//! It hides nothing from whoever reads the request, which holds the key; it is what the protocol asks
//! for. Nothing that is stored is sealed so. The caller must give each answer a nonce of its own.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use model::Secret;

use crate::{Error, Result};

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 12;

/// Encrypts an answer; the result has its tag, 16 bytes, at the end.
///
/// # Errors
/// [`model::ErrorKind::Internal`] when the library refuses.
pub fn seal(key: &Secret<[u8; 32]>, nonce: [u8; NONCE_BYTES], plaintext: &[u8]) -> Result<Vec<u8>> {
    let mut out = plaintext.to_vec();
    cipher(key)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut out)
        .map_err(|_| Error::Library("seal an answer"))?;
    Ok(out)
}

/// Decrypts a request; `sealed` has its tag at the end.
///
/// # Errors
/// [`model::ErrorKind::Corrupt`] when the bytes are not what was sealed with that key and nonce.
pub fn open(key: &Secret<[u8; 32]>, nonce: [u8; NONCE_BYTES], sealed: &[u8]) -> Result<Vec<u8>> {
    let mut out = sealed.to_vec();
    let opened = cipher(key)?
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut out)
        .map_err(|_| Error::Refused("a request"))?
        .len();
    out.truncate(opened);
    Ok(out)
}

fn cipher(key: &Secret<[u8; 32]>) -> Result<LessSafeKey> {
    let key =
        UnboundKey::new(&AES_256_GCM, key.expose()).map_err(|_| Error::Library("take a key"))?;
    Ok(LessSafeKey::new(key))
}
