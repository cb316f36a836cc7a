//! What every handler needs.

use governance::{AccountRules, Announced, Ceilings, LeftOutProperty, OptedOut, Reach, Rules};
use journal::Journal;
use model::learned::LeftOut;
use model::opt_out::OptOut;
use model::record::{Entry, Source};
use model::{AccountId, Clock, CredentialUse, IdentityKind, RecordIds, Timestamp};
use std::sync::{Arc, OnceLock};
use tokio::sync::{mpsc, watch};

use crate::idempotency::Answers;
use crate::left_out::LeftOutCounts;
use crate::sdk::{Heard, Seen};
use crate::uses::Uses;
use crate::{Budget, Drops, Stored};

/// What [`State`] is made of; `server` constructs it.
#[derive(Debug)]
pub struct Parts {
    /// The rules of every account, as they are now.
    pub rules: watch::Receiver<Arc<Rules>>,
    /// Where what is accepted goes.
    pub journal: Journal,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The ids of this writer.
    pub record_ids: Arc<RecordIds>,
    /// Where it is said that a deleted person was called by another name. Nobody waits for it.
    pub reached: mpsc::Sender<Reached>,
    /// What is stored, however long ago.
    pub stored: Arc<dyn Stored>,
}

/// A record called a deleted person of an account by another name: the deletion must follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The account.
    pub account: AccountId,
    /// Which name, and which other one.
    pub reach: Reach,
}

/// What every handler needs; a cheap handle.
#[derive(Debug, Clone)]
pub struct State(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: Parts,
    ceilings: Ceilings,
    announced: Announced,
    opted_out: OptedOut,
    api_bodies: Budget,
    collect_bodies: Budget,
    strangers: Budget,
    seen: Seen,
    heard: Heard,
    answers: Answers,
    drops: Drops,
    left_out: LeftOutCounts,
    uses: Uses,
    public_name: OnceLock<Box<str>>,
}

impl State {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let drops = Drops::new(
            parts.journal.clone(),
            Arc::clone(&parts.clock),
            Arc::clone(&parts.record_ids),
        );
        let answers = Answers::new(parts.clock.now());
        Self(Arc::new(Inner {
            parts,
            drops,
            ceilings: Ceilings::default(),
            announced: Announced::default(),
            opted_out: OptedOut::default(),
            api_bodies: Budget::of_plane(),
            collect_bodies: Budget::of_plane(),
            strangers: Budget::of_strangers(),
            seen: Seen::default(),
            heard: Heard::default(),
            answers,
            left_out: LeftOutCounts::default(),
            uses: Uses::default(),
            public_name: OnceLock::new(),
        }))
    }

    /// The rules of every account at this moment: one snapshot for one request.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.0.parts.rules.borrow())
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.0.parts.journal
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.0.parts.clock
    }

    /// The ids of this writer.
    #[must_use]
    pub fn record_ids(&self) -> &RecordIds {
        &self.0.parts.record_ids
    }

    /// The calls in progress.
    #[must_use]
    pub fn ceilings(&self) -> &Ceilings {
        &self.0.ceilings
    }

    /// Where drops go.
    #[must_use]
    pub fn drops(&self) -> &Drops {
        &self.0.drops
    }

    /// Whose identity is in the journal already.
    #[must_use]
    pub fn announced(&self) -> &Announced {
        &self.0.announced
    }

    /// Whether a device has opted out.
    pub(crate) fn is_out(&self, rules: &AccountRules, device: &str) -> bool {
        self.out_since(rules, device).is_some()
    }

    /// Since when a device has opted out, if it has.
    pub(crate) fn out_since(&self, rules: &AccountRules, device: &str) -> Option<Timestamp> {
        let key = || rules.person_key(IdentityKind::ObjectId, device);
        self.0.opted_out.since(rules.id, key)
    }

    /// Whether a device has opted in, and not out since.
    pub(crate) fn is_back(&self, rules: &AccountRules, device: &str) -> bool {
        let key = rules.person_key(IdentityKind::ObjectId, device);
        self.0.opted_out.is_back(rules.id, key)
    }

    /// Whether nothing may be kept of what is sent again of a device: it has opted out, and does not opt in
    /// later by it: of one second, what is replayed came before.
    pub(crate) fn refuses(&self, rules: &AccountRules, device: &str, sent: &[Entry]) -> bool {
        self.out_since(rules, device).is_some_and(|since| {
            let mut said = sent.iter().filter_map(OptOut::of);
            !said.any(|it| !it.is_out && since < it.at)
        })
    }

    /// Remembers what devices have said about opting out, in the order in which it was received. It must
    /// be durable.
    pub fn remember_opt_outs(&self, said: &[OptOut]) {
        let without_room = self.0.opted_out.remember(said);
        if without_room > 0 {
            metrics::counter!("strongroom_opt_outs_lost_total").increment(without_room);
        }
    }

    /// What uploads under a key were answered.
    pub(crate) fn answers(&self) -> &Answers {
        &self.0.answers
    }

    /// What is stored.
    pub(crate) fn stored(&self) -> &dyn Stored {
        &*self.0.parts.stored
    }

    /// When browsers were heard of last.
    pub(crate) fn heard(&self) -> &Heard {
        &self.0.heard
    }

    /// What SDKs have sent lately.
    pub(crate) fn seen(&self) -> &Seen {
        &self.0.seen
    }

    /// Remembers what SDKs sent before this start, so that what they send again is not stored twice;
    /// whether there is room for more. Entries must be durable.
    #[must_use]
    pub fn recall(&self, entries: &[Entry]) -> bool {
        self.0.seen.recall(entries)
    }

    /// Passes on that deleted people were called by other names. What finds no room is counted and
    /// comes again with the next record of that name.
    pub(crate) fn report_reached(&self, account: AccountId, reached: &[Reach]) {
        for reach in reached.iter().copied() {
            if self
                .0
                .parts
                .reached
                .try_send(Reached { account, reach })
                .is_err()
            {
                metrics::counter!("strongroom_reached_lost_total").increment(1);
            }
        }
    }

    /// Counts properties that the dictionary has taken out of events that are durable.
    pub(crate) fn report_left_out(
        &self,
        account: AccountId,
        (source, at): (Source, Timestamp),
        left_out: &[LeftOutProperty],
    ) {
        if !left_out.is_empty() {
            self.0.left_out.count(account, (source, at), left_out);
        }
    }

    /// What was left out since it was last asked, taken away: the caller sees to it that it is
    /// written down, or puts it back. A process that ends before loses it.
    #[must_use]
    pub fn take_left_out(&self) -> Vec<LeftOut> {
        self.0.left_out.take()
    }

    /// Puts back what could not be written down.
    pub fn put_back_left_out(&self, left_out: Vec<LeftOut>) {
        self.0.left_out.put_back(left_out);
    }

    /// When credentials were accepted last.
    pub(crate) fn uses(&self) -> &Uses {
        &self.0.uses
    }

    /// When credentials were accepted last, since this was last asked, taken away: the caller sees to
    /// it that it is written down, or puts it back.
    #[must_use]
    pub fn take_uses(&self) -> Vec<CredentialUse> {
        self.0.uses.take()
    }

    /// Puts back what could not be written down.
    pub fn put_back_uses(&self, uses: Vec<CredentialUse>) {
        self.0.uses.put_back(uses);
    }

    /// Says by which name, with its port, apps reach the collect plane: once, before requests come.
    pub fn set_public_name(&self, name: &str) {
        self.0.public_name.get_or_init(|| Box::from(name));
    }

    /// The name by which apps reach the collect plane; none before it was said.
    pub(crate) fn public_name(&self) -> Option<&str> {
        self.0.public_name.get().map(|name| &**name)
    }

    /// The memory that bodies of known senders take on the api plane.
    #[must_use]
    pub fn api_bodies(&self) -> &Budget {
        &self.0.api_bodies
    }

    /// The memory that bodies of known senders take on the collect plane.
    #[must_use]
    pub fn collect_bodies(&self) -> &Budget {
        &self.0.collect_bodies
    }

    /// The memory that bodies take whose senders are not known.
    pub(crate) fn strangers(&self) -> &Budget {
        &self.0.strangers
    }
}
