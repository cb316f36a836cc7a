//! Encryption of API calls to a public key: HPKE in base mode, with X25519, HKDF-SHA256 and
//! AES-256-GCM.
//!
//! A message is the sender's one-time public key, 32 bytes, then the ciphertext with its tag, 16
//! bytes. Nothing that is stored is sealed so: it is what the protocol asks for between a company's
//! programs and this server. Context and additional data are empty: a message belongs to an account
//! because the key does. The one-time key of an answer is drawn by the library, whose interface takes
//! no source of randomness.

use aws_lc_rs::agreement::{self, X25519};
use model::Secret;
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as SUITE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke as _, HpkePrivateKey, HpkePublicKey};

use crate::object::TAG_BYTES;
use crate::{Error, Result};

/// Bytes of a public key, and of a message's one-time key.
pub const KEY_BYTES: usize = 32;
/// Bytes that a message is longer than what it says.
pub const OVERHEAD_BYTES: usize = KEY_BYTES + TAG_BYTES;

/// The public key of a private one. Any 32 bytes are a private key.
///
/// # Errors
/// [`model::ErrorKind::Internal`] when the library refuses.
pub fn public_key(private_key: &Secret<[u8; 32]>) -> Result<[u8; KEY_BYTES]> {
    let refused = || Error::Library("show a public key");
    let private = agreement::PrivateKey::from_private_key(&X25519, private_key.expose())
        .map_err(|_| refused())?;
    let public = private.compute_public_key().map_err(|_| refused())?;
    public.as_ref().try_into().map_err(|_| refused())
}

/// Encrypts a message to whoever has the private key of `public_key`.
///
/// # Errors
/// [`model::ErrorKind::Internal`] when the library refuses: also for the few public keys that agree
/// on nothing.
///
/// # Source
/// RFC 9180, section 6.1.
pub fn seal(public_key: &[u8; KEY_BYTES], plaintext: &[u8]) -> Result<Vec<u8>> {
    let public = HpkePublicKey(public_key.to_vec());
    let (one_time, ciphertext) = SUITE
        .seal(&[], &[], plaintext, &public)
        .map_err(|_| Error::Library("encrypt to a public key"))?;
    let mut out = one_time.0;
    out.extend_from_slice(&ciphertext);
    Ok(out)
}

/// Decrypts a message.
///
/// # Errors
/// [`model::ErrorKind::Corrupt`] when it was not encrypted to this key, or is not whole.
///
/// # Source
/// RFC 9180, section 6.1.
pub fn open(private_key: &Secret<[u8; 32]>, message: &[u8]) -> Result<Vec<u8>> {
    open_within(private_key, &[], &[], message)
}

fn open_within(
    private_key: &Secret<[u8; 32]>,
    context: &[u8],
    additional: &[u8],
    message: &[u8],
) -> Result<Vec<u8>> {
    let refused = || Error::Refused("a message to a public key");
    if message.len() < OVERHEAD_BYTES {
        return Err(refused());
    }
    let (one_time, ciphertext) = message.split_at_checked(KEY_BYTES).ok_or_else(refused)?;
    let private = HpkePrivateKey::from(private_key.expose().to_vec());
    let one_time = EncapsulatedSecret(one_time.to_vec());
    SUITE
        .open(&one_time, context, additional, ciphertext, &private)
        .map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::{KEY_BYTES, OVERHEAD_BYTES, open, open_within, public_key, seal};
    use model::{ErrorKind, Secret};
    use proptest::prelude::*;

    fn bytes32(hex: &str) -> [u8; 32] {
        hex::decode(hex).unwrap().try_into().unwrap()
    }

    /// Of the published test vectors: mode 0, KEM 32, KDF 1, AEAD 2; the first encryption.
    #[test]
    fn the_published_test_vector_opens() {
        let private = Secret::new(bytes32(
            "497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d",
        ));
        let public = "430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c";
        assert_eq!(public_key(&private).unwrap(), bytes32(public));
        let message = hex::decode(
            "6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256\
             e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a925cdad859d5b7a",
        )
        .unwrap();
        let opened = open_within(&private, b"Ode on a Grecian Urn", b"Count-0", &message);
        assert_eq!(opened.unwrap(), b"Beauty is truth, truth beauty");
        let elsewhere = open(&private, &message).unwrap_err();
        assert_eq!(elsewhere.kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn a_message_opens_under_its_own_key_alone() {
        let (own, other) = (Secret::new([7; 32]), Secret::new([8; 32]));
        let message = seal(&public_key(&own).unwrap(), b"{}").unwrap();
        assert_eq!(message.len(), 2 + OVERHEAD_BYTES);
        assert_eq!(open(&own, &message).unwrap(), b"{}");
        assert_eq!(
            open(&other, &message).unwrap_err().kind(),
            ErrorKind::Corrupt
        );
        let again = seal(&public_key(&own).unwrap(), b"{}").unwrap();
        assert_ne!(message, again, "a one-time key is used once");
    }

    #[test]
    fn keys_that_agree_on_nothing_are_refused() {
        let own = Secret::new([7; 32]);
        let mut message = seal(&public_key(&own).unwrap(), b"{}").unwrap();
        message[..KEY_BYTES].fill(0);
        assert_eq!(open(&own, &message).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(
            seal(&[0; 32], b"{}").unwrap_err().kind(),
            ErrorKind::Internal
        );
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_and_nothing_else_does(
            plaintext in proptest::collection::vec(any::<u8>(), 0..300),
            at in any::<prop::sample::Index>(),
            bit in 0_u8..8,
            cut in any::<prop::sample::Index>(),
        ) {
            let own = Secret::new([9; 32]);
            let message = seal(&public_key(&own).unwrap(), &plaintext).unwrap();
            prop_assert_eq!(open(&own, &message).unwrap(), plaintext);
            prop_assert!(open(&own, &message[..cut.index(message.len())]).is_err());
            let place = at.index(message.len());
            let mut bad = message;
            bad[place] ^= 1 << bit;
            prop_assert!(open(&own, &bad).is_err());
        }
    }
}
