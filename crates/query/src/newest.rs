//! The newest events of a part, by name: worked out once (see [`crate::digest`]), so that a page of
//! the newest is found without looking at a part's rows.
//!
//! What is kept of an event is its time, its id and its key, and nothing that was said with it.

use arrow::array::RecordBatch;
use lake::schema::{PERSON_KEY, RECORD_ID, TS};
use model::{PersonKey, RecordId, Timestamp};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use crate::digest::Digest;
use crate::{Result, reads};

/// Events of one name that are kept: more than a page has room for.
const KEPT: usize = 256;

/// The newest events of each name.
#[derive(Debug, Default)]
pub(crate) struct Newest {
    names: HashMap<Box<str>, OfName>,
}

/// What orders events: the newest is the greatest.
pub(crate) type Rank = (Timestamp, RecordId, PersonKey);

/// The newest events of one name, the oldest of them on top.
#[derive(Debug, Default)]
pub(crate) struct OfName {
    kept: BinaryHeap<Reverse<Rank>>,
    /// Whether there are older ones.
    is_cut: bool,
}

impl OfName {
    fn add(&mut self, ts: Timestamp, rest: impl FnOnce() -> (RecordId, PersonKey)) {
        if self.kept.len() < KEPT {
            let (record, key) = rest();
            self.kept.push(Reverse((ts, record, key)));
            return;
        }
        self.is_cut = true;
        if let Some(mut oldest) = self.kept.peek_mut()
            && oldest.0.0 <= ts
        {
            let (record, key) = rest();
            let rank = (ts, record, key);
            if oldest.0 < rank {
                *oldest = Reverse(rank);
            }
        }
    }

    /// Those that are kept, in no order.
    pub(crate) fn ranks(&self) -> impl Iterator<Item = Rank> {
        self.kept.iter().map(|Reverse(rank)| *rank)
    }

    /// The oldest one that is kept, when there are older ones: nothing is known of what is below it.
    pub(crate) fn floor(&self) -> Option<Rank> {
        let oldest = self.kept.peek().map(|Reverse(rank)| *rank);
        oldest.filter(|_| self.is_cut)
    }
}

impl Digest for Newest {
    const COLUMNS: &'static [&'static str] = &[PERSON_KEY, RECORD_ID, "name", TS];

    fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        let (names, times) = (reads::texts(rows, "name")?, reads::times(rows, TS)?);
        let (ids, keys) = (
            reads::keys(rows, RECORD_ID)?,
            reads::keys(rows, PERSON_KEY)?,
        );
        for row in 0..rows.num_rows() {
            let (name, ts) = (names.value(row), reads::time(times, row));
            let rest = || (reads::record(ids, row), reads::person(keys, row));
            match self.names.get_mut(name) {
                Some(of_name) => of_name.add(ts, rest),
                None => {
                    let mut of_name = OfName::default();
                    of_name.add(ts, rest);
                    self.names.insert(Box::from(name), of_name);
                }
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let names = self.names.iter();
        names
            .map(|(name, it)| name.len() + 128 + it.kept.capacity() * size_of::<Rank>())
            .sum()
    }
}

impl Newest {
    /// The newest of each name that is asked for, or of all; and of those only these, when given.
    pub(crate) fn of<'a>(
        &'a self,
        asked: Option<&'a str>,
        only: Option<&'a BTreeSet<String>>,
    ) -> impl Iterator<Item = (&'a str, &'a OfName)> {
        let names = self.names.iter().map(|(name, it)| (&**name, it));
        names.filter(move |(name, _)| {
            asked.is_none_or(|it| it == *name) && only.is_none_or(|it| it.contains(*name))
        })
    }
}
