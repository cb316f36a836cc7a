//! Encryption in transit: the envelope `{"itp","itk","itv"}` and its answer `{"itp","itv"}`.
//!
//! AES-256-GCM with the tag at the end, everything in base64. The cipher itself is not here.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use model::Secret;

use super::Undecodable;
use crate::json::Value;

/// Standard alphabet; padding is optional, since some encoders leave it out.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A message that its sender has encrypted.
#[derive(Debug)]
pub struct Sealed {
    /// The sender's key.
    pub key: Secret<[u8; 32]>,
    /// The message's nonce.
    pub nonce: [u8; 12],
    /// The encrypted message, its tag at the end.
    pub payload: Vec<u8>,
}

impl Sealed {
    pub(crate) fn decode(
        payload: Option<Value<'_>>,
        key: Option<Value<'_>>,
        nonce: Option<Value<'_>>,
    ) -> Result<Self, Undecodable> {
        let key = bytes(key)?.try_into().map_err(|_| Undecodable)?;
        let nonce = bytes(nonce)?.try_into().map_err(|_| Undecodable)?;
        Ok(Self {
            key: Secret::new(key),
            nonce,
            payload: bytes(payload)?,
        })
    }
}

fn bytes(value: Option<Value<'_>>) -> Result<Vec<u8>, Undecodable> {
    let text = value.and_then(|it| it.string()).ok_or(Undecodable)?;
    LENIENT.decode(text.as_bytes()).map_err(|_| Undecodable)
}

/// The answer to a [`Sealed`] message: `payload` is encrypted, its tag at the end.
#[must_use]
pub fn sealed_answer(payload: &[u8], nonce: &[u8; 12]) -> String {
    format!(
        "{{\"itp\":\"{}\",\"itv\":\"{}\"}}",
        STANDARD.encode(payload),
        STANDARD.encode(nonce)
    )
}
