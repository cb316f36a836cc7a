//! From an SDK's records to a durable commit.

use governance::{AccountRules, Admitted, Arrival};
use model::record::{Entry, Quarantined, Record, Source};
use model::submission::Batch;
use model::{Secret, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;

use super::ids;
use crate::upload::{UNDECODABLE_BYTES_KEPT_MAX, commit, count};
use crate::{Facts, Head, Refusal, State, reply};

/// What came of a request of a known account, before it is durable.
pub(super) struct Intake {
    pub(super) rules: Arc<AccountRules>,
    admitted: Admitted,
    entries: Vec<Entry>,
    facts: Facts,
    from: (Source, Timestamp),
    /// The key under which the sender wants its answer.
    pub(super) answer_key: Option<Secret<[u8; 32]>>,
    /// The sender asks for the account's variables.
    pub(super) wants_variables: bool,
}

impl Intake {
    /// What the account's rules make of the records. What is refused is put into the quarantine as
    /// `keep` writes it: in a form that can be read again. Its id follows from what was sent and from
    /// `salt`, which must name the device.
    pub(super) fn of_records(
        state: &State,
        rules: Arc<AccountRules>,
        batch: Batch<'_>,
        (source, received_at): (Source, Timestamp),
        salt: &[u8],
        keep: &dyn Fn(&str) -> String,
    ) -> Self {
        let fresh = state.record_ids().batch();
        let arrival = Arrival {
            source,
            received_at,
            ids: &fresh,
        };
        let mut admitted = governance::admit(&rules, batch, &arrival, state.announced());
        let mut entries = admitted.take_entries();
        let secret = &rules.person_key_secret;
        ids::derive(secret, salt, admitted.as_sent(), &mut entries);
        entries.iter_mut().for_each(|entry| kept(entry, keep));
        let facts = Facts {
            account: Some(rules.id),
            accepted: admitted.processed(),
            rejected: u32::try_from(admitted.rejections().len()).unwrap_or(u32::MAX),
            ..Facts::default()
        };
        Self {
            rules,
            admitted,
            entries,
            facts,
            from: (source, received_at),
            answer_key: None,
            wants_variables: false,
        }
    }

    /// A message that cannot be read: kept for review.
    pub(super) fn of_undecodable(
        state: &State,
        rules: Arc<AccountRules>,
        bytes: &[u8],
        from: (Source, Timestamp),
    ) -> Self {
        let mut intake = Self::of_kept(state, rules, bytes, "the message cannot be read", from);
        intake.facts.reason = Refusal::Undecodable.reason();
        intake.facts.rejected = 1;
        intake
    }

    /// Bytes that somebody has to look at.
    pub(super) fn of_kept(
        state: &State,
        rules: Arc<AccountRules>,
        bytes: &[u8],
        why: &str,
        (source, received_at): (Source, Timestamp),
    ) -> Self {
        let kept = bytes.get(..UNDECODABLE_BYTES_KEPT_MAX).unwrap_or(bytes);
        let quarantined = Quarantined {
            id: state.record_ids().batch()(0),
            received_at,
            source,
            person: None,
            code: 0,
            error: Box::from(why),
            body: kept.to_vec(),
        };
        let record = Record::Quarantined(Box::new(quarantined));
        let mut entries = vec![Entry {
            account: rules.id,
            record,
        }];
        ids::derive(&rules.person_key_secret, b"", &HashMap::new(), &mut entries);
        let facts = Facts {
            account: Some(rules.id),
            ..Facts::default()
        };
        Self {
            rules,
            admitted: Admitted::default(),
            entries,
            facts,
            from: (source, received_at),
            answer_key: None,
            wants_variables: false,
        }
    }

    /// Makes everything durable, the request's line with it. What is left to do is to answer.
    ///
    /// # Errors
    /// Why it could not be made durable: the outcome is unknown.
    pub(super) async fn commit(
        &mut self,
        state: &State,
        head: &Head,
        size_bytes: u64,
    ) -> Result<Facts, (Refusal, Facts)> {
        self.facts.size_bytes = size_bytes;
        let facts = self.facts;
        let mut entries = std::mem::take(&mut self.entries);
        let claim = state.seen().claim(&mut entries).await;
        if let Err(refusal) = commit(state, head, reply::SERVED, &facts, entries).await {
            return Err((
                refusal,
                Facts {
                    accepted: 0,
                    rejected: 0,
                    ..facts
                },
            ));
        }
        claim.durable();
        state
            .announced()
            .remember(self.admitted.take_announcements());
        state.report_reached(self.rules.id, self.admitted.reached());
        state.report_left_out(self.rules.id, self.from, self.admitted.left_out());
        let suppressed = self.admitted.suppressed();
        count("accepted", facts.accepted.saturating_sub(suppressed));
        count("rejected", facts.rejected);
        count("suppressed", suppressed);
        Ok(facts)
    }
}

/// Gives a refused record the form in which it can be read again.
fn kept(entry: &mut Entry, keep: &dyn Fn(&str) -> String) {
    if let Record::Quarantined(it) = &mut entry.record
        && let Ok(text) = std::str::from_utf8(&it.body)
        && !text.is_empty()
    {
        it.body = keep(text).into_bytes();
    }
}

/// Encrypts an answer for a sender that wants it so.
///
/// # Errors
/// [`Refusal::Internal`]; the records are durable already.
pub(super) fn sealed(state: &State, intake: &Intake, answer: String) -> Result<String, Refusal> {
    let Some(key) = &intake.answer_key else {
        return Ok(answer);
    };
    let nonce = ids::nonce(
        &intake.rules.person_key_secret,
        state.record_ids().batch()(0),
    );
    let payload = seal::transit::seal(key, nonce, answer.as_bytes());
    let payload = payload.map_err(|_| Refusal::Internal)?;
    Ok(wire::sdk::sealed_answer(&payload, &nonce))
}
