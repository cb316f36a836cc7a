//! Profile changes on their way through a merge: those that say nothing any more end here.
//!
//! The rule is `governance`'s ([`superseded`]); this file brings it the changes of one key at a time,
//! in the order of folding. It must never hold back a row for any other reason.

use arrow::array::AsArray;
use arrow::datatypes::TimestampMillisecondType;
use governance::{Step, superseded};
use model::record::ChangeOp;
use model::{PersonKey, Timestamp};
use std::collections::HashSet;

use crate::merge::{Output, RowKey, Tally, Window};
use crate::{Error, Result};

/// A row of the window, and the output that it goes to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) output: usize,
    pub(crate) batch: usize,
    pub(crate) row: usize,
}

impl Row {
    /// Goes to its output.
    pub(crate) fn leave(self, outputs: &mut [Output]) {
        if let Some(output) = outputs.get_mut(self.output) {
            output.pending.push((self.batch, self.row));
        }
    }
}

/// The profile changes of one key that have come and not yet left.
pub(crate) struct Changes {
    before: Timestamp,
    pub(crate) person: Option<PersonKey>,
    /// Of what kind the key is, by a change that has left.
    kind: Option<Box<str>>,
    pub(crate) rows: Vec<(RowKey, Row)>,
}

impl Changes {
    /// Changes of which those before a moment may go.
    pub(crate) const fn new(before: Timestamp) -> Self {
        Self {
            before,
            person: None,
            kind: None,
            rows: Vec::new(),
        }
    }

    /// The rows that come are another key's.
    pub(crate) fn begin(&mut self, person: Option<PersonKey>) {
        self.person = person;
        self.kind = None;
    }

    /// Lets the rows go, without those that say nothing any more. It may be called in the middle of
    /// a key: what is superseded by some of its changes is so by all.
    pub(crate) fn settle(
        &mut self,
        window: &Window,
        outputs: &mut [Output],
        tally: &mut Tally,
    ) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let mut steps: Vec<(RowKey, Timestamp, usize, Step<'_>)> = Vec::with_capacity(rows.len());
        for (number, (key, row)) in rows.iter().enumerate() {
            let (received_at, step) = step(window, *row)?;
            if step.op == ChangeOp::Identify && self.kind.is_none() {
                self.kind = Some(Box::from(step.property));
            }
            steps.push((*key, received_at, number, step));
        }
        // The order of folding.
        steps.sort_unstable_by_key(|(key, received_at, ..)| {
            (key.ts, *received_at, key.id, key.ordinal)
        });
        let known = self.kind.as_deref().map(|property| Step {
            op: ChangeOp::Identify,
            property,
        });
        // The first name of a key may have left before: it stands for it here, and stays there.
        let named = steps.iter().any(|(.., it)| it.op == ChangeOp::Identify);
        let known = known.filter(|_| !named);
        let ahead = usize::from(known.is_some());
        let all: Vec<Step<'_>> = known
            .into_iter()
            .chain(steps.iter().map(|(.., it)| *it))
            .collect();
        let dead: HashSet<usize> = superseded(&all)
            .into_iter()
            .filter_map(|place| steps.get(place.checked_sub(ahead)?))
            .filter(|(key, ..)| key.ts < self.before)
            .map(|(_, _, number, _)| *number)
            .collect();
        for (number, (_, row)) in rows.into_iter().enumerate() {
            if dead.contains(&number) {
                tally.kept -= 1;
                tally.superseded += 1;
            } else {
                row.leave(outputs);
            }
        }
        Ok(())
    }
}

/// What the change in a row does, and when it was received.
fn step(window: &Window, row: Row) -> Result<(Timestamp, Step<'_>)> {
    let failed = Error::Internal {
        what: "read a profile change",
    };
    let batch = window.batches.get(row.batch);
    let read = batch.and_then(|batch| {
        let text = |name| batch.column_by_name(name)?.as_string_opt::<i32>();
        let received_at = batch.column_by_name("received_at")?;
        let received_at = received_at.as_primitive_opt::<TimestampMillisecondType>()?;
        let step = Step {
            op: ChangeOp::from_name(text("op")?.value(row.row))?,
            property: text("property")?.value(row.row),
        };
        Some((Timestamp::from_ms(received_at.value(row.row)), step))
    });
    read.ok_or(failed)
}
