//! Personal data in the control database: sealed fields and keyed hashes, under keys derived from
//! the root key.

use model::{Random, Secret};
use std::sync::Arc;

use crate::{Error, Result, SharedKeyring};

/// Seals and hashes fields.
#[derive(Debug)]
pub(crate) struct Sealer {
    fields: Secret<[u8; 32]>,
    hashes: Secret<[u8; 32]>,
    random: Arc<dyn Random>,
}

impl Sealer {
    pub(crate) fn new(keyring: &SharedKeyring, random: Arc<dyn Random>) -> Self {
        Self {
            fields: keyring.secret("control fields v1"),
            hashes: keyring.secret("control hashes v1"),
            random,
        }
    }

    /// Seals `text` for the place that `context` names.
    ///
    /// # Errors
    /// [`model::ErrorKind::Internal`] when the library refuses.
    pub(crate) fn seal(&self, context: &str, text: &str) -> Result<Vec<u8>> {
        Ok(seal::seal_field(
            &self.fields,
            context,
            text.as_bytes(),
            self.random.as_ref(),
        )?)
    }

    /// Opens what was sealed for that place.
    ///
    /// # Errors
    /// [`model::ErrorKind::Corrupt`] when it was not.
    pub(crate) fn open(&self, context: &str, sealed: &[u8]) -> Result<String> {
        let bytes = seal::open_field(&self.fields, context, sealed)?;
        String::from_utf8(bytes.expose().clone())
            .map_err(|_| Error::damaged(context, "a sealed field is not text"))
    }

    /// Seals a secret key for the place that `context` names.
    ///
    /// # Errors
    /// [`model::ErrorKind::Internal`] when the library refuses.
    pub(crate) fn seal_key(&self, context: &str, key: &Secret<[u8; 32]>) -> Result<Vec<u8>> {
        let random = self.random.as_ref();
        Ok(seal::seal_field(
            &self.fields,
            context,
            key.expose(),
            random,
        )?)
    }

    /// Opens a secret key that was sealed for that place.
    ///
    /// # Errors
    /// [`model::ErrorKind::Corrupt`] when it was not.
    pub(crate) fn open_key(&self, context: &str, sealed: &[u8]) -> Result<Secret<[u8; 32]>> {
        let bytes = seal::open_field(&self.fields, context, sealed)?;
        let key = bytes.expose().as_slice().try_into();
        key.map(Secret::new)
            .map_err(|_| Error::damaged(context, "a sealed key has another length"))
    }

    /// A fresh salt.
    pub(crate) fn salt(&self) -> [u8; 16] {
        self.random.bytes16()
    }

    /// The hash that finds `text` again without saying it.
    pub(crate) fn hash(&self, purpose: &str, text: &str) -> Vec<u8> {
        seal::hmac_sha256(&self.hashes, &[purpose.as_bytes(), &[0], text.as_bytes()]).to_vec()
    }
}
