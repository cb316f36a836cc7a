//! Which rows may be in a part, and which were seen before.
//!
//! The rule itself is the caller's ([`Keep`]); this file says whom each record names. It must
//! never let a row through that names a hidden person in any of its key columns.

use model::record::Record;
use model::{AccountId, LedgerPosition, PersonKey, RecordId, Timestamp};
use std::collections::{BTreeMap, HashSet};
use std::fmt::Debug;

/// The people whose rows must not reach a part: one state of the deletion ledger.
pub trait Keep: Debug + Send + Sync {
    /// Whether a row of `account` that names `person` at `ts` is kept.
    fn keep(&self, account: AccountId, person: PersonKey, ts: Timestamp) -> bool;

    /// The ledger position of this state. A publication fails if it is not the newest.
    fn ledger(&self) -> LedgerPosition;
}

/// The people that a row names: none, one, or a link's two.
pub(crate) type Named = [Option<PersonKey>; 2];

/// Whether a row that names `named` is kept.
pub(crate) fn keeps(keep: &dyn Keep, account: AccountId, named: Named, ts: Timestamp) -> bool {
    named
        .into_iter()
        .flatten()
        .all(|person| keep.keep(account, person, ts))
}

/// Rows that are left out: how many, by the hidden people that they name.
pub(crate) type Hidden = BTreeMap<Named, u64>;

/// Counts a row that names `named` and is not kept.
pub(crate) fn count(
    hidden: &mut Hidden,
    keep: &dyn Keep,
    account: AccountId,
    named: Named,
    ts: Timestamp,
) {
    let is_hidden = |person: &PersonKey| !keep.keep(account, *person, ts);
    *hidden
        .entry(named.map(|it| it.filter(is_hidden)))
        .or_default() += 1;
}

/// Whom `record` names; the first is its person key. And its time.
pub(crate) const fn facts(record: &Record) -> (Named, Timestamp) {
    match record {
        Record::Event(it) => ([Some(it.person), None], it.ts),
        Record::ProfileChange(it) => ([Some(it.person), None], it.ts),
        Record::Link(it) => ([Some(it.from), Some(it.to)], it.ts),
        Record::Request(it) => ([None, None], it.at),
        Record::Quarantined(it) => ([it.person, None], it.received_at),
    }
}

/// Finds records that come twice in rows sorted by person and time.
///
/// A record may come again under another time (one ahead of the clock is kept as received), so all
/// ids of one person are remembered. Rows without a person never change, so equal ones are
/// neighbours.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    person: Option<PersonKey>,
    ids: HashSet<(RecordId, u32)>,
}

impl Seen {
    /// Whether the row is new; `ordinal` tells the rows of one record apart.
    pub(crate) fn is_new(&mut self, person: Option<PersonKey>, id: RecordId, ordinal: u32) -> bool {
        if person.is_none() || person != self.person {
            if person.is_none() && self.ids.contains(&(id, ordinal)) {
                return false;
            }
            self.person = person;
            self.ids.clear();
        }
        self.ids.insert((id, ordinal))
    }
}
