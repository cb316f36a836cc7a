//! Who did anything when: worked out once of each part (see [`crate::digest`]), so that counting people
//! over time looks at no rows. The names of events and whatever was said with them are not in it.

use arrow::array::RecordBatch;
use lake::schema::{PERSON_KEY, TS};
use model::{PersonKey, Timestamp};

use crate::digest::Digest;
use crate::{Result, reads};

/// Of accounts with more events in the time that is asked for, rows are looked at: what is kept of so
/// many is about what there is room for.
pub(crate) const ROWS_MAX: u64 = 6_000_000;

/// Keys, and when something was done under each.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    /// Rows that are not in the lists below yet.
    rows: Vec<(PersonKey, i64)>,
    /// The keys in order, each with the end of its times.
    keys: Vec<(PersonKey, usize)>,
    /// The earliest time, milliseconds.
    base: i64,
    /// For each key the times in order, each as what it is later than the one before, the first than
    /// `base`: seven bits a byte, the lowest first, the last byte below 128.
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
        let mut last = self.base;
        for (key, ts) in rows {
            match self.keys.last() {
                Some((known, _)) if *known == key => {}
                _ => {
                    self.keys.push((key, 0));
                    last = self.base;
                }
            }
            push(&mut self.times, ts.abs_diff(last));
            last = ts;
            if let Some((_, end)) = self.keys.last_mut() {
                *end = self.times.len();
            }
        }
        self.keys.shrink_to_fit();
        self.times.shrink_to_fit();
    }

    fn bytes(&self) -> usize {
        self.times.len() + self.keys.len() * size_of::<(PersonKey, usize)>()
    }
}

impl Presence {
    /// Calls `take` with the key and the time of each event from one moment up to, not including,
    /// another, by key and time.
    pub(crate) fn each(
        &self,
        from: Timestamp,
        to: Timestamp,
        mut take: impl FnMut(PersonKey, Timestamp),
    ) {
        let mut times = self.times.as_slice();
        let mut begin = 0;
        for (key, end) in &self.keys {
            let Some((mut own, rest)) = times.split_at_checked(end.saturating_sub(begin)) else {
                return;
            };
            (times, begin) = (rest, *end);
            let mut ts = self.base;
            while let Some(later) = pop(&mut own) {
                ts = ts.saturating_add_unsigned(later);
                let at = Timestamp::from_ms(ts);
                if at >= to {
                    break;
                }
                if at >= from {
                    take(*key, at);
                }
            }
        }
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
            presence.each(from, to, |key, ts| found.push((key, ts.ms())));
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
