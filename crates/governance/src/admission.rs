//! From decoded records to the entries that the journal takes.
//!
//! Each record goes through stages, each a type that only the one before can make: [`Keyed`] (whose
//! is it), [`Timed`] (when), [`Wanted`] (does the account want it), [`Visible`] (was the person
//! deleted). Only a visible record becomes entries. What is refused on the way becomes a quarantine
//! entry, unless it is a deleted person's: of those nothing is kept.

mod links;
mod stages;
#[cfg(test)]
mod tests;

use model::opt_out::{self, OptOut};
use model::record::{Change, ChangeOp, Entry, Event, ProfileChange, Quarantined, Record, Source};
use model::submission::{Batch, Content, RejectReason, Rejection, Subject, Submission};
use model::{IdentityKind, PersonKey, RawJson, RecordId, Timestamp};
use std::borrow::Cow;
use std::collections::HashMap;

use crate::announced::KeySet;
use crate::{AccountRules, Announced, Announcements, LeftOutProperty};
use links::{Links, NewLink};
use stages::{Kept, Keyed, Name, Visible};

/// How and when an upload came.
#[derive(Clone, Copy)]
pub struct Arrival<'a> {
    /// By which dialect.
    pub source: Source,
    /// When it was received.
    pub received_at: Timestamp,
    /// The record ids of this upload, by ordinal: one fresh batch of [`model::RecordIds`].
    pub ids: &'a dyn Fn(u32) -> RecordId,
}

impl std::fmt::Debug for Arrival<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arrival")
            .field("source", &self.source)
            .field("received_at", &self.received_at)
            .finish_non_exhaustive()
    }
}

/// What an upload comes to: the only way for records to the journal.
#[derive(Debug, Default)]
pub struct Admitted {
    entries: Vec<Entry>,
    rejections: Vec<Rejection>,
    announcements: Announcements,
    reached: Vec<Reach>,
    left_out: Vec<LeftOutProperty>,
    as_sent: HashMap<RecordId, AsSent>,
    processed: u32,
    suppressed: u32,
    opting_out: u32,
}

/// A record gave another name to a deleted person: the deletion must be extended to that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The key that is suppressed.
    pub hidden: PersonKey,
    /// The key that turns out to be the same person.
    pub other: PersonKey,
    /// What kind of thing `other` names: a device is reached from `ts` on, an identity for good.
    pub kind: IdentityKind,
    /// Since when.
    pub ts: Timestamp,
}

/// What a record said where the account's rules keep something else: an id that follows from content
/// follows from this, whatever the rules are when it is sent again.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct AsSent {
    /// The time of a change of a person that was too far ahead; an event carries it itself.
    pub ts: Option<Timestamp>,
    /// The properties of an event of which some are left out.
    pub properties: Option<RawJson>,
    /// All steps of a change of a person of which some are left out.
    pub changes: Option<Vec<Change>>,
    /// A refused record of which only the reason is kept.
    pub record: Option<RawJson>,
}

impl Admitted {
    /// What the journal is to take, the quarantined among it.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Takes the entries out, for the journal.
    #[must_use]
    pub fn take_entries(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    /// Every refused record of the upload, by position: those of the decoder and those of the
    /// account's rules.
    #[must_use]
    pub fn rejections(&self) -> &[Rejection] {
        &self.rejections
    }

    /// Records that were not refused, those of deleted people included: to the sender they look
    /// like any other.
    #[must_use]
    pub const fn processed(&self) -> u32 {
        self.processed
    }

    /// Records that were not kept because their person was deleted.
    #[must_use]
    pub const fn suppressed(&self) -> u32 {
        self.suppressed
    }

    /// Records among the entries by which a device opts out, each once by however many names it is kept.
    #[must_use]
    pub const fn opting_out(&self) -> u32 {
        self.opting_out
    }

    /// Names that turned out to belong to deleted people.
    #[must_use]
    pub fn reached(&self) -> &[Reach] {
        &self.reached
    }

    /// Properties that the account's dictionary has taken out of records that are kept, once for each
    /// time.
    #[must_use]
    pub fn left_out(&self) -> &[LeftOutProperty] {
        &self.left_out
    }

    /// Records that say something else than was sent, and what that was.
    #[must_use]
    pub const fn as_sent(&self) -> &HashMap<RecordId, AsSent> {
        &self.as_sent
    }

    /// What to pass to [`Announced::remember`] once the entries are durable.
    pub fn take_announcements(&mut self) -> Announcements {
        std::mem::take(&mut self.announcements)
    }
}

/// Applies the account's rules to one upload.
///
/// Ids are given in the order of the entries; at most 2²⁴ entries come of one upload, which the
/// limit on records ensures.
#[must_use]
pub fn admit(
    rules: &AccountRules,
    mut batch: Batch<'_>,
    arrival: &Arrival<'_>,
    announced: &Announced,
) -> Admitted {
    let mut admission = Admission {
        rules,
        arrival,
        announced,
        announcing: KeySet::default(),
        links: Links::default(),
        out: Admitted {
            entries: Vec::with_capacity(batch.records.len().saturating_add(16)),
            ..Admitted::default()
        },
    };
    let decoder_rejected = !batch.rejections.is_empty();
    for rejection in batch.rejections {
        admission.reject(rejection);
    }
    for keyed in &mut keyed(rules, &mut batch.records, announced) {
        admission.consider(keyed);
    }
    for link in std::mem::take(&mut admission.links).of_devices() {
        admission.link(link);
    }
    if decoder_rejected {
        admission.out.rejections.sort_by_key(|it| it.position);
    }
    admission.out
}

/// All records with their keys. The table of who is announced is larger than the processor's caches:
/// it is asked for all of an upload at once, when one answer is waited for while others are fetched.
fn keyed<'s, 'a>(
    rules: &AccountRules,
    records: &'s mut [Submission<'a>],
    announced: &Announced,
) -> Vec<Keyed<'s, 'a>> {
    let mut keyed: Vec<Keyed<'s, 'a>> = records
        .iter_mut()
        .map(|submission| Keyed::of(rules, submission))
        .collect();
    let announced = announced.read();
    for record in &mut keyed {
        record.look_up(&announced);
    }
    keyed
}

struct Admission<'a> {
    rules: &'a AccountRules,
    arrival: &'a Arrival<'a>,
    announced: &'a Announced,
    announcing: KeySet,
    links: Links,
    out: Admitted,
}

impl Admission<'_> {
    fn consider(&mut self, keyed: &mut Keyed<'_, '_>) {
        let decided = keyed
            .time(self.rules, self.arrival.received_at)
            .and_then(|timed| timed.want(self.rules))
            .map(|wanted| wanted.screen(self.rules));
        match decided {
            Ok(Ok(visible)) => {
                self.out.processed = self.out.processed.saturating_add(1);
                self.keep(visible);
            }
            Ok(Err(reached)) => {
                self.out.processed = self.out.processed.saturating_add(1);
                self.out.suppressed = self.out.suppressed.saturating_add(1);
                // A clock that is ahead does not let go of what comes until then.
                let received_at = self.arrival.received_at;
                let reached = reached.into_iter().map(|it| Reach {
                    ts: it.ts.min(received_at),
                    ..it
                });
                self.out.reached.extend(reached);
            }
            Err(rejection) => self.reject(rejection),
        }
    }

    /// Turns a record that may be kept into entries: who it is, what belongs together, what it says.
    fn keep(&mut self, visible: Visible<'_, '_>) {
        let Kept {
            submission,
            person,
            names,
            ts,
            ts_sent,
            left_out,
        } = visible.into_kept();
        let as_sent = left_out.map(|it| {
            self.out.left_out.extend(it.properties);
            it.as_sent
        });
        for name in names.iter().filter(|it| !it.is_beside()) {
            self.announce(name, submission, ts);
        }
        let is_hidden = |link: &NewLink| {
            let suppressed = &self.rules.suppressed;
            suppressed.hides(link.from, ts) || suppressed.hides(link.to, ts)
        };
        let mut links = links::of(names, person, self.placed(ts));
        links.retain(|it| !is_hidden(it));
        for link in links {
            // A device beside an identity has its name in that one's time.
            let mut beside = names.iter().filter(|it| it.is_beside());
            if let Some(device) = beside.find(|it| it.key == link.from) {
                self.announce(device, submission, link.ts);
            }
            let announcing = &mut self.out.announcements.0;
            if let Some(link) = self.links.take(link, self.announced, announcing) {
                self.link(link);
            }
        }
        let nothing = Content::Profile {
            changes: Vec::new(),
            alias: None,
        };
        match std::mem::replace(&mut submission.content, nothing) {
            Content::Event {
                name,
                properties,
                session,
                context,
            } => {
                let name: Box<str> = name.into();
                let id = self.next_id();
                if let Some(as_sent) = as_sent {
                    self.note(id, as_sent);
                }
                self.push(Record::Event(Event {
                    id,
                    person,
                    name,
                    ts,
                    received_at: self.arrival.received_at,
                    ts_sent,
                    source: self.arrival.source,
                    session,
                    properties,
                    context,
                }));
            }
            Content::Profile { changes, .. } if changes.is_empty() => {}
            Content::Profile { changes, .. } => {
                let as_sent = AsSent {
                    ts: ts_sent,
                    ..as_sent.unwrap_or_default()
                };
                let of_device = self.opt_out_of_device(names, ts, &changes);
                self.change(person, ts, changes, as_sent);
                let said = self.out.entries.last().and_then(OptOut::of);
                let opts_out = said.is_some_and(|it| it.is_out);
                self.out.opting_out = self.out.opting_out.saturating_add(u32::from(opts_out));
                if let Some((device, step)) = of_device {
                    let as_sent = AsSent {
                        ts: ts_sent,
                        ..AsSent::default()
                    };
                    self.change(device, ts, vec![step], as_sent);
                }
            }
        }
    }

    /// Writes down a change of a person.
    fn change(&mut self, person: PersonKey, ts: Timestamp, changes: Vec<Change>, as_sent: AsSent) {
        let id = self.next_id();
        self.note(id, as_sent);
        self.push(Record::ProfileChange(ProfileChange {
            id,
            person,
            ts: self.placed(ts),
            received_at: self.arrival.received_at,
            source: self.arrival.source,
            changes,
        }));
    }

    /// A device opts out, and in again, whomever its SDK names before it: what it says of that stands under
    /// its own key too, where it is looked for.
    fn opt_out_of_device(
        &self,
        names: &[Name],
        ts: Timestamp,
        changes: &[Change],
    ) -> Option<(PersonKey, Change)> {
        if !self.arrival.source.is_sdk() {
            return None;
        }
        let device = names.iter().skip(1).find(|it| it.is_beside())?.key;
        let is_hidden = self.rules.suppressed.hides(device, ts);
        let mut steps = changes.iter().rev().filter(|_| !is_hidden);
        let step = steps.find(|it| opt_out::said(it).is_some())?;
        Some((device, step.clone()))
    }

    /// When a change is placed among others. The API tells time in seconds: what names the second in
    /// which it was received comes after what was received before it, told its time or not. (An SDK's
    /// time is part of a record's id, and stays.)
    fn placed(&self, ts: Timestamp) -> Timestamp {
        let received_at = self.arrival.received_at;
        let is_now = ts == Timestamp::from_seconds(received_at.seconds());
        if is_now && self.arrival.source == Source::Rest {
            received_at
        } else {
            ts
        }
    }

    /// Writes down what a person key stands for, unless this process did so before.
    fn announce(&mut self, name: &Name, submission: &Submission<'_>, ts: Timestamp) {
        if name.known || !self.announcing.insert(name.once) {
            return;
        }
        let text = name.text(submission);
        let text = match name.kind {
            IdentityKind::ObjectId => self.rules.device_name(text),
            IdentityKind::Identity | IdentityKind::Fbid | IdentityKind::Gpid => Cow::Borrowed(text),
        };
        let Ok(value) = RawJson::of(&*text) else {
            return;
        };
        self.out.announcements.0.push(name.once);
        // Where a device has its name beside an identity, it needs no other.
        if name.is_beside() && self.announcing.insert(name.key.0) {
            self.out.announcements.0.push(name.key.0);
        }
        let change = Change {
            property: Box::from(name.kind.as_str()),
            op: ChangeOp::Identify,
            value,
        };
        let record = ProfileChange {
            id: self.next_id(),
            person: name.key,
            ts,
            received_at: self.arrival.received_at,
            source: self.arrival.source,
            changes: vec![change],
        };
        self.push(Record::ProfileChange(record));
    }

    fn note(&mut self, id: RecordId, as_sent: AsSent) {
        if as_sent != AsSent::default() {
            self.out.as_sent.insert(id, as_sent);
        }
    }

    fn link(&mut self, link: NewLink) {
        let id = self.next_id();
        let received_at = self.arrival.received_at;
        self.push(Record::Link(link.into_record(id, received_at)));
    }

    /// Keeps a refused record for review, and its refusal for the answer.
    fn reject(&mut self, rejection: Rejection) {
        let (person, hidden) = match &rejection.subject {
            Subject::Nobody | Subject::Ambiguous => (None, false),
            Subject::Person(kind, name) => {
                let key = self.rules.person_key(*kind, name);
                (Some(key), self.rules.suppressed.hides_whole(key))
            }
        };
        if !hidden {
            let id = self.next_id();
            let body = match rejection.subject {
                Subject::Ambiguous => {
                    let record = Some(rejection.record.clone());
                    let as_sent = AsSent {
                        record,
                        ..AsSent::default()
                    };
                    self.note(id, as_sent);
                    Vec::new()
                }
                Subject::Nobody | Subject::Person(..) => {
                    rejection.record.as_str().as_bytes().to_vec()
                }
            };
            let quarantined = Quarantined {
                id,
                received_at: self.arrival.received_at,
                source: self.arrival.source,
                person,
                code: rejection.reason.code(),
                error: Box::from(rejection.reason.as_str()),
                body,
            };
            self.push(Record::Quarantined(Box::new(quarantined)));
        }
        self.out.rejections.push(rejection);
    }

    fn next_id(&self) -> RecordId {
        (self.arrival.ids)(u32::try_from(self.out.entries.len()).unwrap_or(u32::MAX))
    }

    fn push(&mut self, record: Record) {
        self.out.entries.push(Entry {
            account: self.rules.id,
            record,
        });
    }
}

/// A rejection of a record that had been decoded.
fn rejection(submission: &Submission<'_>, reason: RejectReason) -> Rejection {
    let alias = match &submission.content {
        Content::Profile { alias, .. } => alias.as_deref(),
        Content::Event { .. } => None,
    };
    let subject = Subject::of(&submission.names, alias);
    Rejection {
        position: submission.position,
        reason,
        record: RawJson::from_checked(submission.text),
        subject,
    }
}
