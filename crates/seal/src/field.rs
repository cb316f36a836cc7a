//! Sealing of single values: columns of a database, rows of the key table.
//!
//! Each message has its own subkey, derived from the key, a random 128-bit salt and the context,
//! and uses it once with nonce 0; so no pair of key and nonce is ever used twice, whatever is
//! sealed. Drawn in `docs/formats/keyring.md`.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use model::{Random, Secret};

use crate::object::TAG_BYTES;
use crate::{Error, Result, derive};

const FORMAT: u8 = 1;
const SALT_BYTES: usize = 16;
const PURPOSE: &str = "strongroom field v1";

/// Seals `plaintext` for the place that `context` names (table, column, row): it opens there and
/// nowhere else. The result is 33 bytes longer.
///
/// # Errors
/// [`model::ErrorKind::Invalid`] for a context larger than 64 KiB.
pub fn seal_field(
    key: &Secret<[u8; 32]>,
    context: &str,
    plaintext: &[u8],
    random: &dyn Random,
) -> Result<Vec<u8>> {
    let salt = random.bytes16();
    let subkey = subkey(key, context, &salt)?;
    let capacity = plaintext
        .len()
        .saturating_add(SALT_BYTES)
        .saturating_add(TAG_BYTES);
    let mut out = Vec::with_capacity(capacity.saturating_add(1));
    let mut body = plaintext.to_vec();
    let tag = subkey
        .seal_in_place_separate_tag(nonce(), aad(context), &mut body)
        .map_err(|_| Error::Library("seal a field"))?;
    out.push(FORMAT);
    out.extend_from_slice(&salt);
    out.extend_from_slice(&body);
    out.extend_from_slice(tag.as_ref());
    Ok(out)
}

/// Opens what [`seal_field`] sealed.
///
/// # Errors
/// [`model::ErrorKind::Corrupt`] when the bytes, the key or the context are not the ones that were
/// sealed.
pub fn open_field(key: &Secret<[u8; 32]>, context: &str, sealed: &[u8]) -> Result<Secret<Vec<u8>>> {
    let refused = || Error::Refused("a field");
    let Some((&FORMAT, rest)) = sealed.split_first() else {
        return Err(refused());
    };
    let (salt, body) = rest.split_first_chunk::<SALT_BYTES>().ok_or_else(refused)?;
    let (body, tag) = body.split_last_chunk::<TAG_BYTES>().ok_or_else(refused)?;
    let mut out = vec![0; body.len()];
    subkey(key, context, salt)?
        .open_separate_gather(nonce(), aad(context), body, tag, &mut out)
        .map_err(|_| refused())?;
    Ok(Secret::new(out))
}

fn subkey(key: &Secret<[u8; 32]>, context: &str, salt: &[u8; SALT_BYTES]) -> Result<LessSafeKey> {
    let subkey = derive(key, PURPOSE, &[salt, context.as_bytes()])?;
    let key =
        UnboundKey::new(&AES_256_GCM, subkey.expose()).map_err(|_| Error::Library("take a key"))?;
    Ok(LessSafeKey::new(key))
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn aad(context: &str) -> Aad<Vec<u8>> {
    let mut bytes = vec![FORMAT];
    bytes.extend_from_slice(context.as_bytes());
    Aad::from(bytes)
}
