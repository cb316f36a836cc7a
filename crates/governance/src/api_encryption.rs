//! Encryption of API calls, as an account wants it: the keys that calls may be encrypted to, and the
//! key that answers are.

use model::{Secret, Timestamp};

/// What an account wants of encryption on the API.
#[derive(Debug, Clone, Default)]
pub struct ApiEncryption {
    /// Whether calls may or must be encrypted.
    pub policy: ApiEncryptionPolicy,
    /// The keys that are not retired, newest first.
    pub keys: Vec<ApiKey>,
    /// The key that answers are encrypted to, where the caller asks for that.
    pub answer_key: Option<AnswerKey>,
}

/// Whether calls may or must be encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ApiEncryptionPolicy {
    /// They must not.
    Off,
    /// They may.
    #[default]
    Optional,
    /// They must.
    Required,
}

/// A key that calls may be encrypted to.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// The number that it is known by.
    pub id: u32,
    /// What opens the calls.
    pub private_key: Secret<[u8; 32]>,
    /// Until when calls to it are taken, once there is a newer one.
    pub accepted_until: Option<Timestamp>,
}

/// The caller's key, which answers are encrypted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerKey {
    /// The X25519 public key.
    pub public_key: [u8; 32],
    /// The number that stands before each answer, where the caller's library wants one.
    pub prefix: Option<u32>,
}

impl ApiEncryption {
    /// The keys that calls may be encrypted to at a time, newest first; none while it is off.
    pub fn keys_at(&self, now: Timestamp) -> impl Iterator<Item = &ApiKey> {
        let is_on = self.policy != ApiEncryptionPolicy::Off;
        let accepted = move |key: &&ApiKey| key.accepted_until.is_none_or(|end| now < end);
        self.keys.iter().filter(move |_| is_on).filter(accepted)
    }
}

#[cfg(test)]
mod tests {
    use super::{ApiEncryption, ApiEncryptionPolicy, ApiKey};
    use model::{Secret, Timestamp};

    #[test]
    fn an_older_key_is_taken_until_its_time_is_over() {
        let key = |id, accepted_until| ApiKey {
            id,
            private_key: Secret::new([0; 32]),
            accepted_until,
        };
        let mut encryption = ApiEncryption {
            keys: vec![key(2, None), key(1, Some(Timestamp::from_ms(1_000)))],
            ..ApiEncryption::default()
        };
        let at = |encryption: &ApiEncryption, ms| {
            let keys = encryption.keys_at(Timestamp::from_ms(ms));
            keys.map(|key| key.id).collect::<Vec<_>>()
        };
        assert_eq!(at(&encryption, 999), [2, 1]);
        assert_eq!(at(&encryption, 1_000), [2]);
        encryption.policy = ApiEncryptionPolicy::Off;
        assert!(at(&encryption, 999).is_empty());
    }
}
