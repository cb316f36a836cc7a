//! Commits of the journal into parts.
//!
//! Rows of hidden people are left out, records that come twice are written once, days with many
//! rows get parts of their own, and one publication moves the watermarks along. It must never
//! publish rows without the watermark that covers them.

use model::catalog::{Consumed, LeftOut, Publication};
use model::opt_out::{Latest, OptOut};
use model::record::{Entry, Record, Table};
use model::{AccountId, CommitId, Day, PersonKey, RecordId, Timestamp, WriterId};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::compact::has_days;
use crate::keep::{self, Hidden, Keep};
use crate::learn::{Learner, Lessons};
use crate::part::{Ids, Place, Writer};
use crate::plan::Plan;
use crate::record_index::{COUNTED_MAX, Probe, may_come_twice};
use crate::rows;
use crate::schema;
use crate::uploads::Sink;
use crate::{Error, Lake, Result, Settings};

/// What a flush did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlushReport {
    /// Parts published.
    pub parts: usize,
    /// Their size before sealing and parity.
    pub size_bytes: u64,
    /// Rows in them.
    pub rows: u64,
    /// Records left out because they name a hidden person.
    pub suppressed: u64,
    /// Records left out because they were there twice.
    pub duplicates: u64,
}

impl Lake {
    /// Writes the records of `commits` into parts and publishes them in one transaction, which
    /// also moves the watermarks as `consumed` says. `commits` are all that lie in `consumed` and
    /// still hold anything; the caller bounds how many it hands over, and they are what memory is
    /// mostly used for (about 150 bytes a record come on top, and one part).
    ///
    /// A record that is in a part already is not written again: of two with one id the first stays.
    /// That holds as long as one flush of an account runs at a time, and of parts that can be read.
    ///
    /// # Errors
    /// `Conflict` when a watermark or the ledger has moved: nothing was changed, take fresh state
    /// and try again. `Unavailable` when the store failed (nothing was changed) or when the
    /// catalog's outcome is unknown. `Internal` when a commit lies outside of `consumed`.
    pub async fn flush(
        &self,
        commits: Vec<(CommitId, Arc<Vec<Entry>>)>,
        consumed: Vec<Consumed>,
        keep: Arc<dyn Keep>,
    ) -> Result<FlushReport> {
        let covered = |id: CommitId| {
            let holds =
                |it: &Consumed| it.writer == id.writer && it.from < id.number && id.number <= it.to;
            consumed.iter().any(holds)
        };
        if !commits.iter().all(|(id, _)| covered(*id)) {
            return Err(Error::Internal {
                what: "flush a commit outside of what is consumed",
            });
        }
        let ledger = keep.ledger();
        let now = self.clock.now();
        let settings = self.settings.clone();
        let entries = commits.iter().flat_map(|(commit, entries)| {
            let writer = commit.writer;
            entries.iter().map(move |entry| (writer, entry))
        });
        let stored = self.stored(probes(entries)).await?;
        // Of hidden people too: it holds nothing of theirs, and a device that is out stays out.
        let entries = commits.iter().flat_map(|(_, entries)| entries.iter());
        let mut opt_outs = Latest::default();
        opt_outs.extend(entries.filter_map(OptOut::of));
        self.settle(ledger).await?;
        let (parts, (report, lessons, left_out)) = self
            .store_parts(move |sink| write(&commits, &stored, &*keep, now, &settings, sink))
            .await?;
        let report = FlushReport {
            parts: parts.len(),
            size_bytes: parts.iter().map(|it| it.size_bytes).sum(),
            rows: parts.iter().map(|it| it.rows).sum(),
            ..report
        };
        self.publish(Publication {
            remove: Vec::new(),
            add: parts,
            consumed,
            ledger,
            learned: lessons.learned,
            refused: lessons.refused,
            opt_outs: opt_outs.into_said(),
            left_out,
        })
        .await?;
        Ok(report)
    }
}

/// The records of each account and table that are in parts already.
pub(crate) type Stored = HashMap<(AccountId, Table), HashSet<RecordId>>;

/// What is looked for in parts, by account and table.
pub(crate) type Probes = BTreeMap<(AccountId, Table), Vec<Probe>>;

/// What to look for of entries that stand in commits of these writers.
pub(crate) fn probes<'a>(entries: impl IntoIterator<Item = (WriterId, &'a Entry)>) -> Probes {
    let mut probes = Probes::new();
    for (writer, entry) in entries {
        let table = entry.record.table();
        if may_come_twice(table) {
            let probes = probes.entry((entry.account, table)).or_default();
            probes.push(Probe::of(&entry.record, writer));
        }
    }
    probes
}

impl Lake {
    pub(crate) async fn stored(&self, probes: Probes) -> Result<Stored> {
        let mut stored = Stored::new();
        for ((account, table), probes) in probes {
            let view = self.catalog.view(Some(account), &[table]).await;
            let view = view.map_err(Error::catalog("read the list of parts"))?;
            let found = self
                .records
                .stored_in_readable(&view.parts, &probes, |error| self.is_lost(error))
                .await?;
            if !found.is_empty() {
                stored.insert((account, table), found);
            }
        }
        Ok(stored)
    }
}

/// A record and what it is sorted by.
struct Row<'a> {
    person: Option<PersonKey>,
    ts: Timestamp,
    id: RecordId,
    record: &'a Record,
}

pub(crate) fn write(
    commits: &[(CommitId, Arc<Vec<Entry>>)],
    stored: &Stored,
    keep: &dyn Keep,
    now: Timestamp,
    settings: &Settings,
    sink: &Sink,
) -> Result<(FlushReport, Lessons, Vec<LeftOut>)> {
    let mut report = FlushReport::default();
    let mut left_out: BTreeMap<(AccountId, Table), Hidden> = BTreeMap::new();
    let mut learner = Learner::default();
    let mut groups: BTreeMap<(AccountId, Table), Vec<Row<'_>>> = BTreeMap::new();
    for entry in commits.iter().flat_map(|(_, entries)| entries.iter()) {
        let (named, ts) = keep::facts(&entry.record);
        let place = (entry.account, entry.record.table());
        if keep::keeps(keep, entry.account, named, ts) {
            let row = Row {
                person: named[0],
                ts,
                id: entry.record.id(),
                record: &entry.record,
            };
            groups.entry(place).or_default().push(row);
        } else {
            report.suppressed += 1;
            let hidden = left_out.entry(place).or_default();
            keep::count(hidden, keep, entry.account, named, ts);
        }
    }
    while let Some(((account, table), mut rows)) = groups.pop_first() {
        // In the order of arrival: of two records with one id the first stays.
        let before = rows.len();
        let stored = stored.get(&(account, table));
        let mut seen = HashSet::with_capacity(before);
        rows.retain(|row| {
            stored.is_none_or(|it| !it.contains(&row.id)) && seen.insert((row.person, row.id))
        });
        drop(seen);
        report.duplicates += (before - rows.len()) as u64;
        let ids = ids_of(&rows);
        rows.sort_unstable_by_key(|it| (it.person, it.ts, it.id));
        let day_rows_min = if has_days(table) {
            settings.day_rows_min
        } else {
            u64::MAX
        };
        for (day, records) in by_day(&rows, day_rows_min) {
            let place = Place {
                account,
                table,
                day,
                level: 0,
                created_at: now,
            };
            let plan = learner.learn(account, &records);
            write_records(place, ids, &plan, &records, settings, sink)?;
        }
    }
    let left_out = left_out
        .into_iter()
        .map(|((account, table), rows)| LeftOut {
            account,
            table,
            rows,
            parts: Vec::new(),
        });
    Ok((report, learner.into_lessons(), left_out.collect()))
}

/// Counted ids share their first halves.
fn ids_of(rows: &[Row<'_>]) -> Ids {
    let mut halves: HashSet<u64> = HashSet::new();
    for row in rows {
        let [a, b, c, d, e, f, g, h, ..] = row.id.0;
        halves.insert(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
        if halves.len() > COUNTED_MAX {
            return Ids::Scattered;
        }
    }
    Ids::Counted
}

/// The days with at least `day_rows_min` rows, each with its rows, and the rest under none.
fn by_day<'a>(rows: &[Row<'a>], day_rows_min: u64) -> BTreeMap<Option<Day>, Vec<&'a Record>> {
    let mut counts: BTreeMap<Day, u64> = BTreeMap::new();
    for row in rows {
        *counts.entry(row.ts.day()).or_default() += 1;
    }
    let mut parts: BTreeMap<Option<Day>, Vec<&Record>> = BTreeMap::new();
    for row in rows {
        let day = row.ts.day();
        let own = counts.get(&day).is_some_and(|count| *count >= day_rows_min);
        parts
            .entry(own.then_some(day))
            .or_default()
            .push(row.record);
    }
    parts
}

/// Writes sorted records into as many parts as they need.
fn write_records(
    place: Place,
    ids: Ids,
    plan: &Plan,
    records: &[&Record],
    settings: &Settings,
    sink: &Sink,
) -> Result<()> {
    let schema = schema::part_schema(place.table, &plan.columns);
    let begin = || Writer::new(place, Arc::clone(&schema), ids, settings);
    let mut writer = begin()?;
    rows::each_batch(place.table, plan, records, |batch| {
        writer.write(&batch)?;
        if writer.is_full(settings) {
            sink.finish(std::mem::replace(&mut writer, begin()?))?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if writer.is_empty() {
        Ok(())
    } else {
        sink.finish(writer)
    }
}
