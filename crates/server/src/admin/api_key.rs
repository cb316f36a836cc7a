//! Keys for encrypted calls of the API, for the operator.

use anyhow::{Context as _, Result};
use control::{Actor, ApiEncryptionView, ApiKeyState};
use governance::{AnswerKey, ApiEncryptionPolicy};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use wire::rest::hpke;

use super::execute::account_id;
use crate::compose::Installation;
use crate::failure::{Failure, Kind};

/// What an operator can do with an account's keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ApiKeyRequest {
    /// Whose.
    pub(crate) account: String,
    /// What.
    pub(crate) act: ApiKeyAct,
}

/// What an operator can do with the keys of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ApiKeyAct {
    /// Makes the first one.
    Create,
    /// Shows them, and what is wanted.
    List,
    /// Makes one in place of the current one, which is accepted for some hours longer.
    Rotate {
        /// For how long, hours.
        overlap_hours: u32,
    },
    /// Retires one, at once.
    Retire {
        /// Which.
        key_id: u32,
    },
    /// Sets the key that answers are encrypted to.
    Answers(AnswersTo),
    /// Sets whether calls may or must be encrypted.
    Policy(Policy),
}

/// The key that answers are encrypted to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AnswersTo {
    /// The text of a keyset.
    Keyset(String),
    /// 64 hexadecimal digits.
    Hex(String),
    /// None.
    Nobody,
}

/// Whether calls may or must be encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Policy {
    /// Encrypted calls are refused
    Off,
    /// Calls may be encrypted
    Optional,
    /// Calls that are not encrypted are refused
    Required,
}

/// Carries a request out, and shows what holds now.
///
/// # Errors
/// What it failed with.
pub(super) async fn execute(
    installation: &Installation,
    actor: &Actor,
    request: ApiKeyRequest,
) -> Result<Value> {
    let control = installation.control();
    let id = account_id(&request.account)?;
    let shown = match request.act {
        ApiKeyAct::Create => control.create_api_key(actor, id).await,
        ApiKeyAct::List => control.api_encryption(actor, id).await,
        ApiKeyAct::Rotate { overlap_hours } => {
            let overlap = Duration::from_secs(u64::from(overlap_hours) * 3_600);
            control.rotate_api_key(actor, id, overlap).await
        }
        ApiKeyAct::Retire { key_id } => control.retire_api_key(actor, id, key_id).await,
        ApiKeyAct::Answers(to) => control.set_answer_key(actor, id, answer_key(&to)?).await,
        ApiKeyAct::Policy(policy) => {
            let policy = match policy {
                Policy::Off => ApiEncryptionPolicy::Off,
                Policy::Optional => ApiEncryptionPolicy::Optional,
                Policy::Required => ApiEncryptionPolicy::Required,
            };
            control.set_api_encryption(actor, id, policy).await
        }
    };
    let shown = shown.context("failed to arrange the encryption of calls")?;
    value(id.as_str(), &shown)
}

fn answer_key(to: &AnswersTo) -> Result<Option<AnswerKey>> {
    let invalid = |text: String| Failure::new(Kind::Invalid, text);
    match to {
        AnswersTo::Nobody => Ok(None),
        AnswersTo::Keyset(text) => {
            let key = hpke::read_keyset(text)
                .map_err(|why| invalid(format!("the keyset is not taken: {why}")))?;
            Ok(Some(AnswerKey {
                public_key: key.bytes,
                prefix: key.prefix,
            }))
        }
        AnswersTo::Hex(text) => {
            let bytes = hex::decode(text.trim())
                .ok()
                .and_then(|it| it.try_into().ok());
            let refuse = || invalid("a public key is 64 hexadecimal digits".to_owned());
            Ok(Some(AnswerKey {
                public_key: bytes.ok_or_else(refuse)?,
                prefix: None,
            }))
        }
    }
}

/// For people and programs; the current key as a keyset too.
fn value(account: &str, shown: &ApiEncryptionView) -> Result<Value> {
    let mut value = serde_json::to_value(shown).context("failed to show keys")?;
    let keys = shown.keys.iter().map(|key| {
        let keyset =
            (key.state == ApiKeyState::Current).then(|| hpke::keyset(key.key_id, &key.public_key));
        json!({
            "key_id": key.key_id,
            "public_key": hex::encode(key.public_key),
            "state": key.state,
            "created_at": key.created_at.to_string(),
            "accepted_until": key.accepted_until.map(|at| at.to_string()),
            "retired_at": key.retired_at.map(|at| at.to_string()),
            "keyset": keyset,
        })
    });
    if let Some(members) = value.as_object_mut() {
        members.insert("keys".to_owned(), keys.collect());
        members.insert("account_id".to_owned(), json!(account));
    }
    Ok(value)
}
