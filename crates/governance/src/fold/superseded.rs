//! Which changes no longer say anything: what compaction may leave out.
//!
//! A property's value depends on nothing that came before its last plain value, `$set` or
//! `$delete`. That stays true whatever arrives later and wherever it belongs in time: before that
//! change it is without effect as well, after it it builds on it. So folding what is left gives the
//! profile that folding everything gave. `$add`, `$remove`, `$incr` and `$decr` since then all stay:
//! two of them cannot become one, because a change that arrives late may belong between them.

use model::record::ChangeOp;
use std::collections::{BTreeSet, HashSet};

/// One change, as far as it decides what others say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<'a> {
    /// What is done.
    pub op: ChangeOp,
    /// To which property; for [`ChangeOp::Identify`] the identity's kind.
    pub property: &'a str,
}

/// The places of the changes that say nothing any more, among `steps`: changes of *one key* in the
/// order of folding. None when the key is not known to be an identity's: what was changed under a
/// device's key may belong to several people, and a link that arrives later may come between.
#[must_use]
pub fn superseded(steps: &[Step<'_>]) -> BTreeSet<usize> {
    let names = |it: &&Step<'_>| it.op == ChangeOp::Identify;
    let mut kinds = steps.iter().filter(names).map(|it| it.property).peekable();
    let known = kinds.peek().is_some();
    if !known || !kinds.all(|it| matches!(it, "identity" | "FBID" | "GPID")) {
        return BTreeSet::new();
    }
    let mut dead = BTreeSet::new();
    let mut overwritten: HashSet<&str> = HashSet::new();
    for (place, step) in steps.iter().enumerate().rev() {
        let overwrites = match step.op {
            ChangeOp::Put | ChangeOp::Set | ChangeOp::Delete => true,
            ChangeOp::Add | ChangeOp::Remove | ChangeOp::Incr | ChangeOp::Decr => false,
            ChangeOp::Identify | ChangeOp::Token | ChangeOp::Device => continue,
        };
        if overwritten.contains(step.property) {
            dead.insert(place);
        } else if overwrites {
            overwritten.insert(step.property);
        }
    }
    // The first name of a key is the one that counts.
    let again = steps.iter().enumerate().filter(|(_, it)| names(it));
    dead.extend(again.skip(1).map(|(place, _)| place));
    dead
}
