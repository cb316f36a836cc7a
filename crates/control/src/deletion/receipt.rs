//! The receipt of a deletion: what was searched, found and replaced, signed when it is done.
//!
//! It is a signed note of two lines: what it is, and its content as JSON. It holds counts, digests and
//! ids, never a person key. Drawn in `docs/formats/deletion-receipt.md`.

use model::RawJson;
use model::record::Table;
use seal::merkle::Frontier;
use seal::{SigningKey, VerifyingKey, split_note};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::Deletion;
use super::work::Work;
use crate::audit::hash_text;
use crate::{Error, Result};

/// The version of the format.
const VERSION: u32 = 1;

/// What the turn that completes a deletion has searched and done: what the job alone knows. What was
/// found and replaced is counted with each publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastTurn {
    /// The tables whose live parts were searched, all of them.
    pub tables: Vec<String>,
    /// How many parts those were.
    pub parts: u64,
    /// What of the journal was searched, in words.
    pub journal: String,
    /// What was not searched, and why, in words.
    pub not_searched: Vec<String>,
    /// Objects that were removed from the volumes, of every account: those that are no live part's.
    pub objects_removed: u64,
    /// Data keys that were destroyed, likewise.
    pub keys_destroyed: u64,
    /// The epoch since then: no key destroyed before opens in it.
    pub epoch: u32,
}

/// A part that held rows of the deleted and was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Replaced {
    /// Its id, 32 hexadecimal digits.
    pub(super) part: String,
    /// All of its rows.
    pub(super) rows: u64,
    /// The digest of its path, in hexadecimal digits.
    pub(super) path_sha256: String,
}

/// The head of the account's audit log when the deletion was done: its last entry says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct AuditPosition {
    size: u64,
    root: String,
}

/// The content; the members stand in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Receipt {
    version: u32,
    /// Who signs, in the receipt's own words.
    key: String,
    deletion: String,
    account: String,
    /// How often it was found to reach further, plus one.
    revision: u32,
    /// How many keys it hides.
    keys: u64,
    requested_at: String,
    completed_at: String,
    /// Rows taken out of parts, by table.
    found: BTreeMap<String, u64>,
    /// Records of the journal that reached no part, by table.
    found_in_journal: BTreeMap<String, u64>,
    replaced: Vec<Replaced>,
    last_turn: LastTurn,
    audit: AuditPosition,
}

/// The receipt of `deletion`, which is done now, signed.
///
/// # Errors
/// [`model::ErrorKind::Internal`] when it cannot be written as JSON, which is a bug.
pub(super) fn sign(
    key: &SigningKey,
    deletion: &Deletion,
    work: Work,
    last_turn: LastTurn,
    head: &Frontier,
) -> Result<String> {
    let named = |counts: BTreeMap<Table, u64>| -> BTreeMap<String, u64> {
        let counts = counts.into_iter();
        counts
            .map(|(table, rows)| (table.as_str().to_owned(), rows))
            .collect()
    };
    let receipt = Receipt {
        version: VERSION,
        key: key.verifying().to_string(),
        deletion: deletion.id.to_string(),
        account: deletion.account.to_string(),
        revision: deletion.revision,
        keys: u64::try_from(deletion.keys.len()).unwrap_or(u64::MAX),
        requested_at: deletion.requested_at.to_string(),
        completed_at: deletion.completed_at.unwrap_or_default().to_string(),
        found: named(work.of_parts),
        found_in_journal: named(work.of_journal),
        replaced: work.replaced,
        last_turn,
        audit: AuditPosition {
            size: head.size(),
            root: hash_text(&head.root()),
        },
    };
    let text = serde_json::to_string(&receipt)
        .map_err(|_| Error::Internal("failed to write the receipt of a deletion".to_owned()))?;
    Ok(key.sign_note(&format!("{}\n{text}\n", origin(key.verifying()))))
}

/// What a receipt is among everything that the key signs.
fn origin(key: &VerifyingKey) -> String {
    format!("{}/deletion-receipt", key.name())
}

/// The content of a receipt, as JSON. What its signature is worth is another question.
pub(super) fn content(note: &str) -> Option<&str> {
    let (text, _) = split_note(note)?;
    let (_, content) = text.strip_suffix('\n')?.split_once('\n')?;
    (!content.contains('\n')).then_some(content)
}

/// What was found of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifiedReceipt {
    /// What it says; none when that cannot be read.
    pub receipt: Option<RawJson>,
    /// Whether the key that it names was compared with one that the caller brought.
    pub signer_checked: bool,
    /// Everything that is wrong, in words.
    pub findings: Vec<String>,
}

impl VerifiedReceipt {
    /// Whether everything holds.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Checks a receipt, offline; against `key` when the caller has it from elsewhere, else against the one
/// that the receipt names, which finds every change but not a receipt that somebody else has made.
#[must_use]
pub fn verify_receipt(note: &str, key: Option<&str>) -> VerifiedReceipt {
    let mut found = VerifiedReceipt {
        receipt: None,
        signer_checked: key.is_some(),
        findings: Vec::new(),
    };
    let given = key.map(|text| VerifyingKey::parse(text.trim()));
    if given == Some(None) {
        let words = "the key given is not a key: it must read name+id+key";
        found.findings.push(words.to_owned());
    }
    let Some((content, receipt)) = read(note) else {
        let words = "it is not the receipt of a deletion as it was written";
        found.findings.push(words.to_owned());
        return found;
    };
    found.receipt = RawJson::parse(content).ok();
    let named = VerifyingKey::parse(&receipt.key);
    let words = match (&given, &named) {
        (Some(Some(given)), Some(named)) if given != named => {
            Some("it is signed by another key than the one given")
        }
        (_, None) => Some("the key that it names is not a key"),
        (_, Some(_)) => None,
    };
    found.findings.extend(words.map(str::to_owned));
    let signed = given.unwrap_or(named).is_some_and(|key| {
        let expected = format!("{}\n{content}\n", origin(&key));
        key.open_note(note) == Some(expected.as_str())
    });
    if !signed {
        let words = "what it says is not what was signed";
        found.findings.push(words.to_owned());
    }
    found
}

/// The content of a receipt that is exactly as it was written.
fn read(note: &str) -> Option<(&str, Receipt)> {
    let content = content(note)?;
    let receipt: Receipt = serde_json::from_str(content).ok()?;
    let again = serde_json::to_string(&receipt).ok()?;
    (again == content && receipt.version == VERSION).then_some((content, receipt))
}
