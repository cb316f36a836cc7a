//! The stages of one record. Their fields are private to this file, so each can be made in one place
//! only: a record that skips a stage does not compile.

use arrayvec::ArrayVec;
use model::submission::{Content, RejectReason, Rejection, Submission};
use model::{IdentityKind, PersonKey, Timestamp, limit};

use super::{AsSent, Reach, rejection};
use crate::announced::{Table, pair};
use crate::dictionary::Verdict;
use crate::{AccountRules, LeftOutProperty};

/// One name of a record, with the key that stands for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    pub(super) kind: IdentityKind,
    pub(super) key: PersonKey,
    /// It is `profileData.identity`.
    pub(super) alias: bool,
    /// What is announced of it: its key, and of a device beside an identity, whose time its name is
    /// written in, the pair of both.
    pub(super) once: [u8; 16],
    /// This process has announced it.
    pub(super) known: bool,
}

impl Name {
    fn new(kind: IdentityKind, key: PersonKey, alias: bool) -> Self {
        Self {
            kind,
            key,
            alias,
            once: key.0,
            known: false,
        }
    }

    /// Whether it is a device beside the identity that it belongs to.
    pub(super) fn is_beside(&self) -> bool {
        self.once != self.key.0
    }

    /// The name in plain text, from the record that it was taken from.
    pub(super) fn text<'s>(&self, submission: &'s Submission<'_>) -> &'s str {
        if self.alias {
            return match &submission.content {
                Content::Profile {
                    alias: Some(alias), ..
                } => alias,
                Content::Profile { .. } | Content::Event { .. } => "",
            };
        }
        submission
            .names
            .iter()
            .find(|(kind, _)| *kind == self.kind)
            .map_or("", |(_, text)| text)
    }
}

/// Names of one record: the four kinds and an alias at most.
pub(super) type Names = ArrayVec<Name, 5>;

/// A record whose names have become keys.
pub(super) struct Keyed<'s, 'a> {
    submission: &'s mut Submission<'a>,
    person: PersonKey,
    names: Names,
}

/// A record whose time is settled. It is large where it lies, so from here on it is borrowed.
pub(super) struct Timed<'s, 'a> {
    submission: &'s mut Submission<'a>,
    person: PersonKey,
    names: &'s [Name],
    ts: Timestamp,
    ts_sent: Option<Timestamp>,
}

/// A record that the account's dictionary wants, and properties of it that it does not.
pub(super) struct Wanted<'s, 'a>(Timed<'s, 'a>, Option<Box<LeftOut>>);

/// What the account's dictionary has taken out of a record.
#[derive(Debug)]
pub(super) struct LeftOut {
    pub(super) properties: Vec<LeftOutProperty>,
    /// What was there before.
    pub(super) as_sent: AsSent,
}

/// A record that may be kept.
pub(super) struct Visible<'s, 'a>(Kept<'s, 'a>);

/// What is kept of a record.
pub(super) struct Kept<'s, 'a> {
    pub(super) submission: &'s mut Submission<'a>,
    pub(super) person: PersonKey,
    pub(super) names: &'s [Name],
    pub(super) ts: Timestamp,
    pub(super) ts_sent: Option<Timestamp>,
    /// Of most records nothing is.
    pub(super) left_out: Option<Box<LeftOut>>,
}

impl<'s, 'a> Visible<'s, 'a> {
    /// The record, to be written down.
    pub(super) fn into_kept(self) -> Kept<'s, 'a> {
        self.0
    }
}

impl<'s, 'a> Keyed<'s, 'a> {
    /// Computes the keys of every name.
    pub(super) fn of(rules: &AccountRules, submission: &'s mut Submission<'a>) -> Self {
        let mut names: Names = submission
            .names
            .iter()
            .map(|(kind, name)| Name::new(kind, rules.person_key(kind, name), false))
            .collect();
        if let Content::Profile {
            alias: Some(alias), ..
        } = &submission.content
        {
            let kind = IdentityKind::Identity;
            let key = rules.person_key(kind, alias);
            if names.iter().all(|it| it.key != key) {
                names.push(Name::new(kind, key, true));
            }
        }
        // The decoder refuses a record without a name; were one to come, it would be nobody's.
        let person = names.first().map_or(PersonKey([0; 16]), |it| it.key);
        let identity = names.iter().find(|it| it.kind != IdentityKind::ObjectId);
        if let Some(owner) = identity.map(|it| it.key) {
            let is_device = |it: &&mut Name| it.kind == IdentityKind::ObjectId;
            for device in names.iter_mut().filter(is_device) {
                device.once = pair(device.key, owner);
            }
        }
        Self {
            submission,
            person,
            names,
        }
    }

    /// Notes which of the names this process has announced.
    pub(super) fn look_up(&mut self, announced: &Table) {
        for name in &mut self.names {
            name.known = announced.contains(&name.once);
        }
    }

    /// Settles the time: none is now, too far ahead is now with the original beside it, older than
    /// the account keeps events is refused.
    pub(super) fn time<'k>(
        &'k mut self,
        rules: &AccountRules,
        received_at: Timestamp,
    ) -> Result<Timed<'k, 'a>, Rejection> {
        let sent = self.submission.ts.unwrap_or(received_at);
        let is_event = matches!(self.submission.content, Content::Event { .. });
        if is_event && sent < rules.kept_since(received_at) {
            return Err(rejection(self.submission, RejectReason::TimeTooOld));
        }
        let ahead = sent.ms().saturating_sub(received_at.ms()) > limit::EVENT_AHEAD_MS_MAX;
        let (ts, ts_sent) = if ahead {
            (received_at, Some(sent))
        } else {
            (sent, None)
        };
        Ok(Timed {
            submission: &mut *self.submission,
            person: self.person,
            names: &self.names,
            ts,
            ts_sent,
        })
    }
}

impl<'s, 'a> Timed<'s, 'a> {
    /// Asks the account's dictionary.
    pub(super) fn want(self, rules: &AccountRules) -> Result<Wanted<'s, 'a>, Rejection> {
        let submission = &mut *self.submission;
        let (name, properties) = match &mut submission.content {
            Content::Event {
                name, properties, ..
            } => (name, properties),
            Content::Profile { changes, .. } => {
                let unwanted = rules.dictionary.judge_profile(changes);
                let left_out = unwanted.map(|(changes, properties)| {
                    let as_sent = AsSent {
                        changes: Some(changes),
                        ..AsSent::default()
                    };
                    Box::new(LeftOut {
                        properties,
                        as_sent,
                    })
                });
                return Ok(Wanted(self, left_out));
            }
        };
        let verdict = if rules.discarded_events.contains(name.as_ref()) {
            Verdict::Refuse(RejectReason::EventDiscarded)
        } else {
            rules.dictionary.judge(name, properties)
        };
        let left_out = match verdict {
            Verdict::Keep => None,
            Verdict::KeepOnly(known, others) => {
                let as_sent = AsSent {
                    properties: Some(std::mem::replace(properties, known)),
                    ..AsSent::default()
                };
                Some(Box::new(LeftOut {
                    properties: others,
                    as_sent,
                }))
            }
            Verdict::Refuse(reason) => return Err(rejection(submission, reason)),
        };
        Ok(Wanted(self, left_out))
    }
}

impl<'s, 'a> Wanted<'s, 'a> {
    /// Asks the ledger of deletions. A record is a deleted person's when any of its identities is
    /// hidden for good, or the key that it is kept under is hidden at its time. A device alone does
    /// not make it so when an identity stands beside it: devices change hands.
    ///
    /// # Errors
    /// The names that the record adds to the deletion: nothing else of it is kept.
    pub(super) fn screen(self, rules: &AccountRules) -> Result<Visible<'s, 'a>, Vec<Reach>> {
        let Self(timed, left_out) = self;
        let Timed {
            submission,
            person,
            names,
            ts,
            ts_sent,
        } = timed;
        let suppressed = &rules.suppressed;
        let hidden = names
            .iter()
            .find(|it| it.kind != IdentityKind::ObjectId && suppressed.hides_whole(it.key))
            .map(|it| it.key)
            .or_else(|| suppressed.hides(person, ts).then_some(person));
        let Some(hidden) = hidden else {
            return Ok(Visible(Kept {
                submission,
                person,
                names,
                ts,
                ts_sent,
                left_out,
            }));
        };
        let reached = names
            .iter()
            .filter(|it| it.key != hidden && !suppressed.hides(it.key, ts))
            .map(|it| Reach {
                hidden,
                other: it.key,
                kind: it.kind,
                ts,
            })
            .collect();
        Err(reached)
    }
}
