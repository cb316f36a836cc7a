//! Opting out: a device says that nothing of it may be kept any more, or that it may again.
//!
//! Its SDK says so by a property of people, which is kept like any other: so the journal holds who has
//! opted out, and everything else that knows of it is derived from that.

use crate::record::{Change, ChangeOp, Entry, Record};
use crate::{AccountId, PersonKey, Timestamp};
use std::collections::BTreeMap;

/// The property by which an SDK says it (protocol).
pub const PROPERTY: &str = "ct_optout";

/// What a device has said about opting out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptOut {
    /// Whose device.
    pub account: AccountId,
    /// The device's key.
    pub device: PersonKey,
    /// Whether it is out from then on; in again otherwise.
    pub is_out: bool,
    /// When it said so; when that was received, where its clock was ahead.
    pub at: Timestamp,
}

impl OptOut {
    /// What an entry says about it. Most say nothing, and what did not come from an SDK never does.
    #[must_use]
    pub fn of(entry: &Entry) -> Option<Self> {
        let Record::ProfileChange(change) = &entry.record else {
            return None;
        };
        if !change.source.is_sdk() {
            return None;
        }
        let is_out = change.changes.iter().rev().find_map(said)?;
        Some(Self {
            account: entry.account,
            device: change.person,
            is_out,
            at: change.ts.min(change.received_at),
        })
    }
}

/// What each device has said last, by its own time: of two of one time what was received last.
#[derive(Debug, Clone, Default)]
pub struct Latest(BTreeMap<(AccountId, PersonKey), OptOut>);

impl Latest {
    /// The devices, those first that said it first.
    #[must_use]
    pub fn into_said(self) -> Vec<OptOut> {
        let mut said: Vec<OptOut> = self.0.into_values().collect();
        said.sort_by_key(|it| it.at);
        said
    }

    /// Adds what was received before all that is here already.
    pub fn extend_with_earlier(&mut self, earlier: Self) {
        for (device, it) in earlier.0 {
            let known = self.0.entry(device).or_insert(it);
            if known.at < it.at {
                *known = it;
            }
        }
    }
}

impl Extend<OptOut> for Latest {
    /// Adds what was received after all that is here already, in that order.
    fn extend<I: IntoIterator<Item = OptOut>>(&mut self, said: I) {
        for it in said {
            let known = self.0.entry((it.account, it.device)).or_insert(it);
            if known.at <= it.at {
                *known = it;
            }
        }
    }
}

/// What one step of a change says: out, or in again.
#[must_use]
pub fn said(step: &Change) -> Option<bool> {
    if step.op != ChangeOp::Put || &*step.property != PROPERTY {
        return None;
    }
    match step.value.as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}
