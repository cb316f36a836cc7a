//! Who did anything when, or whose profile changed: worked out once of each part (see
//! [`crate::digest`]), so that counting people over time looks at no rows. The names of events and
//! whatever was said with them are not in it.

use arrow::array::RecordBatch;
use lake::schema::{PERSON_KEY, TS};
use model::catalog::PartMeta;
use model::{PersonKey, Timestamp};
use std::sync::Arc;

use crate::digest::Digest;
use crate::snapshot::TableRows;
use crate::{Engine, ReadPolicy, Result, reads};

/// Of accounts with more in the time that is asked for, rows are looked at: what is kept of so
/// many is about what there is room for.
const ROWS_MAX: u64 = 6_000_000;

/// Keys, and when something was done under each.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    /// Rows that are not in the lists below yet.
    rows: Vec<(PersonKey, i64)>,
    /// The keys in order.
    keys: Vec<PersonKey>,
    /// The earliest time, milliseconds.
    base: i64,
    /// For each key how many times there are, and the times in order, each as what it is later than the
    /// one before, the first than `base`: seven bits a byte, the lowest first, the last byte below 128.
    times: Vec<u8>,
}

impl Digest for Presence {
    const COLUMNS: &'static [&'static str] = &[PERSON_KEY, TS];

    fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        let (keys, times) = (reads::keys(rows, PERSON_KEY)?, reads::times(rows, TS)?);
        let rows = (0..rows.num_rows()).map(|row| (reads::person(keys, row), times.value(row)));
        self.rows.extend(rows);
        Ok(())
    }

    fn finish(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_unstable();
        self.base = rows.iter().map(|(_, ts)| *ts).min().unwrap_or_default();
        for of_key in rows.chunk_by(|(one, _), (two, _)| one == two) {
            self.keys.extend(of_key.first().map(|(key, _)| *key));
            push(&mut self.times, of_key.len() as u64);
            let mut last = self.base;
            for (_, ts) in of_key {
                push(&mut self.times, ts.abs_diff(last));
                last = *ts;
            }
        }
        self.keys.shrink_to_fit();
        self.times.shrink_to_fit();
    }

    fn bytes(&self) -> usize {
        self.times.len() + self.keys.len() * size_of::<PersonKey>()
    }
}

impl Presence {
    /// Calls `take` with each key of which something was done from one moment up to, not including,
    /// another, and the times at which it was, in order.
    pub(crate) fn each(
        &self,
        from: Timestamp,
        to: Timestamp,
        mut take: impl FnMut(PersonKey, &[Timestamp]),
    ) {
        let mut rest = self.times.as_slice();
        let mut times = Vec::new();
        for key in &self.keys {
            times.clear();
            let mut ts = self.base;
            for _ in 0..pop(&mut rest).unwrap_or(0) {
                ts = ts.saturating_add_unsigned(pop(&mut rest).unwrap_or(0));
                let at = Timestamp::from_ms(ts);
                if from <= at && at < to {
                    times.push(at);
                }
            }
            if !times.is_empty() {
                take(*key, &times);
            }
        }
    }
}

impl Engine {
    /// Calls `take` with keys under which `rows` has something from one moment up to, not including,
    /// another, and the times of it, in order; once or several times for a key. Gives the rows that are
    /// still to be looked at: those of parts of which this reader is given no digest, and the journal's.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub(crate) async fn present(
        &self,
        rows: &Arc<TableRows>,
        policy: &ReadPolicy,
        (from, to): (Timestamp, Timestamp),
        mut take: impl FnMut(PersonKey, &[Timestamp]),
    ) -> Result<Arc<TableRows>> {
        let Some(left_out) = policy.left_out()? else {
            return Ok(Arc::clone(rows));
        };
        let is_asked = |it: &&Arc<PartMeta>| it.ts_max >= from && it.ts_min < to;
        let parts: Vec<_> = rows.parts.iter().filter(is_asked).cloned().collect();
        let number: u64 = parts.iter().map(|it| it.rows).sum();
        if number > ROWS_MAX {
            return Ok(Arc::clone(rows));
        }
        let memory = &self.inner.presence;
        for part in self.digests(memory, rows, &parts, &left_out).await? {
            part.each(from, to, &mut take);
        }
        Ok(Arc::new(rows.tail_alone()))
    }
}

fn push(bytes: &mut Vec<u8>, mut number: u64) {
    while let Ok(low) = u8::try_from(number & 0x7f)
        && number > 0x7f
    {
        bytes.push(low | 0x80);
        number >>= 7;
    }
    bytes.extend(u8::try_from(number));
}

fn pop(bytes: &mut &[u8]) -> Option<u64> {
    let (mut number, mut shift) = (0_u64, 0_u32);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if *byte < 0x80 {
            return Some(number);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_as_they_were() {
        let key = |n: u8| PersonKey([n; 16]);
        let rows = [
            (key(2), 5),
            (key(1), i64::from(i32::MAX)),
            (key(2), 5),
            (key(1), -128),
            (key(1), -1),
            (key(3), 16_383),
            (key(2), i64::MAX),
            (key(3), 16_384),
        ];
        let mut presence = Presence {
            rows: rows.to_vec(),
            ..Presence::default()
        };
        presence.finish();
        let each = |from: i64, to: i64| {
            let mut found = Vec::new();
            let (from, to) = (Timestamp::from_ms(from), Timestamp::from_ms(to));
            presence.each(from, to, |key, times| {
                found.extend(times.iter().map(|ts| (key, ts.ms())));
            });
            found
        };
        let mut expect = rows.to_vec();
        expect.sort_unstable();
        expect.retain(|(_, ts)| *ts < i64::MAX);
        assert_eq!(each(i64::MIN, i64::MAX), expect);
        expect.retain(|(_, ts)| (-1..16_384).contains(ts));
        assert_eq!(each(-1, 16_384), expect);
        assert_eq!(each(6, 7), []);
    }
}
