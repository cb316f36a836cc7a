//! From an SDK's records to a durable commit.

use governance::{AccountRules, Admitted, Arrival};
use model::opt_out::{self, OptOut};
use model::record::{Entry, Quarantined, Record, Source};
use model::submission::Batch;
use model::{Secret, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;

use super::ids;
use crate::upload::{UNDECODABLE_BYTES_KEPT_MAX, commit, count};
use crate::{Facts, Head, Refusal, State, reply};

/// Why nothing is kept of a device that has opted out.
const OPTED_OUT: &str = "opted_out";

/// What came of a request of a known account, before it is durable.
pub(super) struct Intake {
    pub(super) rules: Arc<AccountRules>,
    admitted: Admitted,
    entries: Vec<Entry>,
    facts: Facts,
    from: (Source, Timestamp),
    pub(super) standing: Standing,
    /// Records of which nothing is kept, because their device is out.
    opted_out: u32,
    /// The key under which the sender wants its answer.
    pub(super) answer_key: Option<Secret<[u8; 32]>>,
    /// The sender asks for the account's variables.
    pub(super) wants_variables: bool,
}

/// Whether a device is out, by what is known of it and by what it sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is not.
    In,
    /// It opts out now: what it sent is kept, and its address is not.
    OptsOut,
    /// It was out before: of what can be read only that is kept which opts out once more.
    Out,
}

/// What a device has sent.
pub(super) struct Sent<'a> {
    /// What the device is called.
    pub(super) device: &'a str,
    /// Tells it from what says the same and is not the same. It must name the device.
    pub(super) salt: &'a [u8],
    /// It is out by a mark of its own, whatever is known of it here.
    pub(super) is_marked_out: bool,
    /// Writes what is refused in a form that can be read again.
    pub(super) keep: &'a dyn Fn(&str) -> String,
}

impl Intake {
    /// Nothing but the request's line.
    pub(super) fn of_nothing(rules: Arc<AccountRules>, from: (Source, Timestamp)) -> Self {
        let facts = Facts {
            account: Some(rules.id),
            ..Facts::default()
        };
        Self {
            rules,
            admitted: Admitted::default(),
            entries: Vec::new(),
            facts,
            from,
            standing: Standing::In,
            opted_out: 0,
            answer_key: None,
            wants_variables: false,
        }
    }

    /// Of a device that has opted out nothing is kept: so many records are counted.
    pub(super) fn of_opted_out(
        rules: Arc<AccountRules>,
        records: usize,
        from: (Source, Timestamp),
    ) -> Self {
        let mut intake = Self::of_nothing(rules, from);
        intake.facts.reason = OPTED_OUT;
        intake.standing = Standing::Out;
        intake.opted_out = u32::try_from(records).unwrap_or(u32::MAX);
        intake
    }

    /// What the account's rules make of the records, unless their device has opted out. What is refused is
    /// put into the quarantine. Its id follows from what was sent.
    pub(super) fn of_records(
        state: &State,
        rules: Arc<AccountRules>,
        batch: Batch<'_>,
        (source, received_at): (Source, Timestamp),
        sent: &Sent<'_>,
    ) -> Self {
        let fresh = state.record_ids().batch();
        let arrival = Arrival {
            source,
            received_at,
            ids: &fresh,
        };
        let records = batch.records.len();
        let mut admitted = governance::admit(&rules, batch, &arrival, state.announced());
        let mut entries = admitted.take_entries();
        let out_since = state.out_since(&rules, sent.device);
        let said = entries.iter().filter_map(OptOut::of);
        let (outs, ins): (Vec<OptOut>, Vec<OptOut>) = said.partition(|it| it.is_out);
        // Of one second an opting in counts when it comes last, as it does here.
        let opts_in = ins.iter().any(|it| out_since <= Some(it.at));
        let opts_out = outs.iter().any(|it| out_since < Some(it.at));
        let is_out = sent.is_marked_out || (out_since.is_some() && !opts_in);
        if is_out && !opts_out {
            return Self::of_opted_out(rules, records, (source, received_at));
        }
        let secret = &rules.person_key_secret;
        ids::derive(secret, sent.salt, admitted.as_sent(), &mut entries);
        entries.iter_mut().for_each(|entry| kept(entry, sent.keep));
        let mut intake = Self::of_nothing(rules, (source, received_at));
        intake.facts.accepted = admitted.processed();
        intake.facts.rejected = u32::try_from(admitted.rejections().len()).unwrap_or(u32::MAX);
        intake.admitted = admitted;
        intake.entries = entries;
        if is_out {
            intake.keep_only_what_opts_out(records);
        } else if !outs.is_empty() {
            intake.standing = Standing::OptsOut;
        }
        intake
    }

    /// Of a device that is out and opts out once more only that is kept of its records: an opting in of
    /// between the two, which comes late, is to find it.
    fn keep_only_what_opts_out(&mut self, records: usize) {
        self.entries.retain_mut(|entry| {
            let says_it = OptOut::of(entry).is_some_and(|it| it.is_out);
            if let Record::ProfileChange(it) = &mut entry.record {
                it.changes.retain(|step| opt_out::said(step).is_some());
            }
            says_it
        });
        let kept = std::mem::take(&mut self.admitted).opting_out();
        let others = u32::try_from(records).unwrap_or(u32::MAX);
        let others = others.saturating_sub(kept);
        self.facts.accepted = kept;
        self.facts.rejected = 0;
        if others > 0 {
            self.facts.reason = OPTED_OUT;
        }
        self.standing = Standing::Out;
        self.opted_out = others;
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
        Self {
            entries,
            ..Self::of_nothing(rules, (source, received_at))
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
        let entries = std::mem::take(&mut self.entries);
        let stored = if entries.iter().any(|it| OptOut::of(it).is_some()) {
            // What is durable of this is to be known, whether its sender waits for the answer or not.
            let (state, head) = (state.clone(), head.clone());
            let task = tokio::spawn(async move { store(&state, &head, &facts, entries).await });
            task.await.unwrap_or(Err(Refusal::Internal))
        } else {
            store(state, head, &facts, entries).await
        };
        if let Err(refusal) = stored {
            return Err((
                refusal,
                Facts {
                    accepted: 0,
                    rejected: 0,
                    ..facts
                },
            ));
        }
        state
            .announced()
            .remember(self.admitted.take_announcements());
        state.report_reached(self.rules.id, self.admitted.reached());
        state.report_left_out(self.rules.id, self.from, self.admitted.left_out());
        let suppressed = self.admitted.suppressed();
        count("accepted", facts.accepted.saturating_sub(suppressed));
        count("rejected", facts.rejected);
        count("suppressed", suppressed);
        count(OPTED_OUT, self.opted_out);
        Ok(facts)
    }
}

/// Makes entries durable that were not stored before, and known what they say about opting out.
///
/// # Errors
/// Why they could not be made durable: the outcome is unknown.
async fn store(
    state: &State,
    head: &Head,
    facts: &Facts,
    mut entries: Vec<Entry>,
) -> Result<(), Refusal> {
    let claim = state.seen().claim(&mut entries).await;
    let said: Vec<OptOut> = entries.iter().filter_map(OptOut::of).collect();
    commit(state, head, reply::SERVED, facts, entries).await?;
    claim.durable();
    state.remember_opt_outs(&said);
    Ok(())
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
