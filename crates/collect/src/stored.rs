//! Whether an upload is stored already, when this node does not remember it.
//!
//! The records of an upload under an `Idempotency-Key` have ids that follow from the key, the body and a
//! day. What came before midnight has other ids than what comes after it, so it is looked for under
//! those of the day before. Nothing is taken while that cannot be read: it may be there.

use async_trait::async_trait;
use governance::{AccountRules, AsSent};
use model::record::{ChangeOp, Entry, Record};
use model::{RecordId, Timestamp};
use std::collections::HashMap;
use std::fmt;

use crate::idempotency::{Claim, REMEMBERED};
use crate::sdk::derive_for_upload;
use crate::{Refusal, State};

/// Records of an upload that are looked for: all of it was stored, or nothing.
const SOUGHT_MAX: usize = 64;

/// Why it cannot be said what is stored.
pub type Unreadable = Box<dyn std::error::Error + Send + Sync>;

/// What is stored, in the journal and in parts.
#[async_trait]
pub trait Stored: fmt::Debug + Send + Sync {
    /// When the first of these records of an account was received that were received after `after`;
    /// none when there is none.
    ///
    /// # Errors
    /// When that cannot be read now.
    async fn received_after(
        &self,
        rules: &AccountRules,
        entries: &[Entry],
        after: Timestamp,
    ) -> Result<Option<Timestamp>, Unreadable>;
}

/// Gives the records of an upload the ids that follow from it: those that they have, where it was stored
/// less than a day before `now`.
///
/// # Errors
/// [`Refusal::Unavailable`] when it cannot be said whether it was.
pub(crate) async fn identify(
    state: &State,
    rules: &AccountRules,
    claim: &mut Claim<'_>,
    sent: &HashMap<RecordId, AsSent>,
    entries: &mut [Entry],
    now: Timestamp,
) -> Result<(), Refusal> {
    let secret = &rules.person_key_secret;
    if let Some(yesterday) = claim.day_before() {
        let of_its_own = entries.iter().filter(|it| says_something(&it.record));
        let mut sought: Vec<Entry> = of_its_own.take(SOUGHT_MAX).cloned().collect();
        derive_for_upload(secret, &claim.salt_at(yesterday), sent, &mut sought);
        let stored = state.stored();
        let found = stored.received_after(rules, &sought, now.minus(REMEMBERED));
        let found = found.await.map_err(|error| {
            tracing::warn!(
                account.id = %rules.id,
                error = &*error as &dyn std::error::Error,
                "failed to look for an upload that may have been stored before"
            );
            Refusal::Unavailable
        })?;
        claim.settle(found.map(|received_at| received_at.min(yesterday)));
    }
    derive_for_upload(secret, &claim.salt(), sent, entries);
    Ok(())
}

/// Whether a record says more than a name: names are told again by a node that has started anew, and
/// telling one twice changes nothing.
fn says_something(record: &Record) -> bool {
    match record {
        Record::Event(_) | Record::Quarantined(_) => true,
        Record::ProfileChange(it) => it.changes.iter().any(|it| it.op != ChangeOp::Identify),
        Record::Link(_) | Record::Request(_) => false,
    }
}
