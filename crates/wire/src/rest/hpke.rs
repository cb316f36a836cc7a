//! Encrypted calls: which requests are, and the forms of messages and of public keys.
//!
//! A message is raw bytes, `one-time key (32) ‖ ciphertext`, or the same behind the five bytes that
//! the Tink library puts there: 1, then the key's number, big-endian. Public keys are exchanged as
//! Tink's keysets in JSON. The cipher itself is not here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The type of an encrypted body, and what a caller accepts who wants an encrypted answer.
pub const MEDIA_TYPE: &str = "application/octet-stream+hpke";

const PREFIX_VERSION: u8 = 1;
const TYPE_URL: &str = "type.googleapis.com/google.crypto.tink.HpkePublicKey";
/// The protocol-buffer fields before the public key: the parameters (KEM X25519, KDF HKDF-SHA256,
/// AEAD AES-256-GCM), then the key's tag and length.
const KEY_HEAD: [u8; 10] = [0x12, 0x06, 0x08, 1, 0x10, 1, 0x18, 2, 0x1a, 32];
/// Bytes of a keyset that is read.
const KEYSET_BYTES_MAX: usize = 64 * 1024;

/// Whether a `Content-Type` says that the body is encrypted.
#[must_use]
pub fn is_encrypted(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case(MEDIA_TYPE)
}

/// Whether an `Accept` asks for an encrypted answer: it names the type, which `*/*` does not.
#[must_use]
pub fn wants_encrypted(accept: &str) -> bool {
    accept.split(',').any(is_encrypted)
}

/// What a message may be, by its form: after the number of a key, and as it is. Both are to be tried,
/// since a one-time key may begin with anything.
pub fn readings(message: &[u8]) -> impl Iterator<Item = (Option<u32>, &[u8])> {
    let prefixed = message.split_first_chunk::<5>();
    let prefixed = prefixed.and_then(|(head, rest)| {
        let [version, a, b, c, d] = *head;
        let number = u32::from_be_bytes([a, b, c, d]);
        (version == PREFIX_VERSION).then_some((Some(number), rest))
    });
    prefixed.into_iter().chain([(None, message)])
}

/// The bytes before a message for a key whose library wants its number there.
#[must_use]
pub fn prefix(number: u32) -> [u8; 5] {
    let [a, b, c, d] = number.to_be_bytes();
    [PREFIX_VERSION, a, b, c, d]
}

/// A public key as Tink's keyset in JSON, under its number, for messages that begin with it.
#[must_use]
pub fn keyset(number: u32, public_key: &[u8; 32]) -> serde_json::Value {
    let mut value = KEY_HEAD.to_vec();
    value.extend_from_slice(public_key);
    serde_json::json!({
        "primaryKeyId": number,
        "key": [{
            "keyData": {
                "typeUrl": TYPE_URL,
                "value": STANDARD.encode(value),
                "keyMaterialType": "ASYMMETRIC_PUBLIC",
            },
            "status": "ENABLED",
            "keyId": number,
            "outputPrefixType": "TINK",
        }],
    })
}

/// A public key that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey {
    /// The X25519 key.
    pub bytes: [u8; 32],
    /// The number that messages for it begin with.
    pub prefix: Option<u32>,
}

/// Why a keyset was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysetError {
    /// It is no keyset in JSON.
    #[error("it is no keyset in JSON")]
    Form,
    /// It has no primary key that is enabled.
    #[error("it has no primary key that is enabled")]
    NoPrimary,
    /// The primary key is no public key of the one kind that is taken.
    #[error("its primary key is no public key for X25519, HKDF-SHA256 and AES-256-GCM")]
    OtherKind,
}

/// Reads the primary key of a keyset of public keys.
///
/// # Errors
/// Why it was not taken.
pub fn read_keyset(text: &str) -> Result<PublicKey, KeysetError> {
    if text.len() > KEYSET_BYTES_MAX {
        return Err(KeysetError::Form);
    }
    let keyset: Keyset = serde_json::from_str(text).map_err(|_| KeysetError::Form)?;
    let mut keys = keyset.key.iter();
    let primary = keys.find(|key| key.key_id == keyset.primary_key_id && key.status == "ENABLED");
    let primary = primary.ok_or(KeysetError::NoPrimary)?;
    let data = &primary.key_data;
    let value = STANDARD.decode(&data.value).unwrap_or_default();
    let bytes = value.strip_prefix(&KEY_HEAD);
    let bytes = bytes.and_then(|it| it.try_into().ok());
    let prefix = match primary.output_prefix_type.as_str() {
        "TINK" => Some(primary.key_id),
        "RAW" => None,
        _ => return Err(KeysetError::OtherKind),
    };
    match bytes {
        Some(bytes) if data.type_url == TYPE_URL => Ok(PublicKey { bytes, prefix }),
        Some(_) | None => Err(KeysetError::OtherKind),
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Keyset {
    primary_key_id: u32,
    key: Vec<Key>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    key_data: KeyData,
    status: String,
    key_id: u32,
    output_prefix_type: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyData {
    type_url: String,
    value: String,
}

#[cfg(test)]
mod tests {
    use super::{
        KeysetError, PublicKey, is_encrypted, keyset, prefix, read_keyset, readings,
        wants_encrypted,
    };
    use proptest::prelude::*;

    #[test]
    fn headers_name_the_type_in_any_case_and_company() {
        for (text, expect) in [
            ("application/octet-stream+hpke", true),
            ("Application/Octet-Stream+HPKE; v=1", true),
            ("application/octet-stream", false),
            ("application/json", false),
            ("", false),
        ] {
            assert_eq!(is_encrypted(text), expect, "{text}");
            assert_eq!(wants_encrypted(text), expect, "{text}");
        }
        assert!(wants_encrypted(
            "application/json, application/octet-stream+hpke;q=0.9"
        ));
        assert!(!wants_encrypted("*/*"));
    }

    #[test]
    fn a_message_is_read_in_both_forms() {
        let check = |bytes: &[u8], expect: &[(Option<u32>, usize)]| {
            let found = readings(bytes).map(|(number, rest)| (number, rest.len()));
            assert_eq!(found.collect::<Vec<_>>(), expect, "{bytes:?}");
        };
        check(&[], &[(None, 0)]);
        check(&[1, 0, 0, 1], &[(None, 4)]);
        check(&[1, 0, 0, 1, 2, 9], &[(Some(258), 1), (None, 6)]);
        check(&[0, 0, 0, 1, 2, 9], &[(None, 6)]);
        assert_eq!(prefix(258), [1, 0, 0, 1, 2]);
    }

    #[test]
    fn other_keysets_are_refused() {
        let good = keyset(7, &[5; 32]).to_string();
        let other = |from: &str, to: &str| read_keyset(&good.replacen(from, to, 1)).unwrap_err();
        assert_eq!(read_keyset("[]"), Err(KeysetError::Form));
        assert_eq!(read_keyset(&"x".repeat(70_000)), Err(KeysetError::Form));
        assert_eq!(other("ENABLED", "DISABLED"), KeysetError::NoPrimary);
        assert_eq!(
            other("\"primaryKeyId\":7", "\"primaryKeyId\":8"),
            KeysetError::NoPrimary
        );
        assert_eq!(other("TINK", "LEGACY"), KeysetError::OtherKind);
        assert_eq!(
            other("HpkePublicKey", "HpkePrivateKey"),
            KeysetError::OtherKind
        );
        // The AEAD is another one.
        assert_eq!(
            other("EgYIARABGAIa", "EgYIARABGAEa"),
            KeysetError::OtherKind
        );
    }

    proptest! {
        #[test]
        fn a_keyset_of_any_key_is_read_as_it_was_written_whatever_stands_beside_it(
            number: u32, bytes: [u8; 32], place in 0_usize..4, others: [(u32, [u8; 32], bool); 3],
        ) {
            let mut set = keyset(number, &bytes);
            let own = set["key"][0].clone();
            let mut keys: Vec<_> = others
                .iter()
                .filter(|(other, ..)| *other != number)
                .map(|(other, bytes, is_enabled)| {
                    let mut key = keyset(*other, bytes)["key"][0].clone();
                    let status = if *is_enabled { "ENABLED" } else { "DISABLED" };
                    key["status"] = status.into();
                    key
                })
                .collect();
            keys.insert(place.min(keys.len()), own);
            set["key"] = keys.into();
            let expect = PublicKey { bytes, prefix: Some(number) };
            prop_assert_eq!(read_keyset(&set.to_string()), Ok(expect));
            let raw = set.to_string().replace("\"TINK\"", "\"RAW\"");
            prop_assert_eq!(read_keyset(&raw), Ok(PublicKey { prefix: None, ..expect }));
        }

        #[test]
        fn a_keyset_with_another_letter_in_its_key_is_never_the_same_key(
            number: u32, bytes: [u8; 32], at in 0_usize..56, letter in "[A-Za-z0-9+/]",
        ) {
            let mut set = keyset(number, &bytes);
            let mut value = set["key"][0]["keyData"]["value"].as_str().unwrap().to_owned();
            prop_assume!(value[at..=at] != *letter);
            value.replace_range(at..=at, &letter);
            set["key"][0]["keyData"]["value"] = value.into();
            match read_keyset(&set.to_string()) {
                Ok(read) => prop_assert_ne!(read.bytes, bytes),
                Err(error) => prop_assert_eq!(error, KeysetError::OtherKind),
            }
        }

        #[test]
        fn a_message_is_read_behind_its_number_and_as_it_is(number: u32, message: Vec<u8>) {
            let numbered = [&prefix(number)[..], &message].concat();
            let both: Vec<_> = readings(&numbered).collect();
            prop_assert_eq!(both, [(Some(number), &message[..]), (None, &numbered[..])]);
            // Whatever it begins with, it is read as it is, last; and behind a number only where one stands.
            let all: Vec<_> = readings(&message).collect();
            prop_assert_eq!(all.last().copied(), Some((None, &message[..])));
            let is_numbered = message.len() >= 5 && message[0] == 1;
            prop_assert_eq!(all.len(), if is_numbered { 2 } else { 1 });
        }
    }
}
