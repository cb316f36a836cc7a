//! Commits of the journal into parts.
//!
//! Rows of hidden people are left out, records that come twice are written once, days with many
//! rows get parts of their own, and one publication moves the watermarks along. It must never
//! publish rows without the watermark that covers them.

use model::catalog::{Consumed, Publication};
use model::record::{Entry, Record, Table};
use model::{AccountId, CommitId, Day, PersonKey, RecordId, Timestamp};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::keep::{self, Keep, Seen};
use crate::part::{Place, Writer};
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
    /// mostly used for (about 70 bytes a record come on top, and one part).
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
        let (parts, report) = self
            .store_parts(move |sink| write(&commits, &*keep, now, &settings, sink))
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
        })
        .await?;
        Ok(report)
    }
}

/// A record and what it is sorted by.
struct Row<'a> {
    person: Option<PersonKey>,
    ts: Timestamp,
    id: RecordId,
    record: &'a Record,
}

fn write(
    commits: &[(CommitId, Arc<Vec<Entry>>)],
    keep: &dyn Keep,
    now: Timestamp,
    settings: &Settings,
    sink: &Sink,
) -> Result<FlushReport> {
    let mut report = FlushReport::default();
    let mut groups: BTreeMap<(AccountId, Table), Vec<Row<'_>>> = BTreeMap::new();
    for entry in commits.iter().flat_map(|(_, entries)| entries.iter()) {
        let (named, ts) = keep::facts(&entry.record);
        if keep::keeps(keep, entry.account, named, ts) {
            let row = Row {
                person: named[0],
                ts,
                id: entry.record.id(),
                record: &entry.record,
            };
            groups
                .entry((entry.account, entry.record.table()))
                .or_default()
                .push(row);
        } else {
            report.suppressed += 1;
        }
    }
    while let Some(((account, table), mut rows)) = groups.pop_first() {
        // Stable, so that of two records with one id the first to arrive stays.
        rows.sort_by_key(|it| (it.person, it.ts, it.id));
        let mut seen = Seen::default();
        let before = rows.len();
        rows.retain(|row| seen.is_new(row.person, row.id, 0));
        report.duplicates += (before - rows.len()) as u64;
        for (day, records) in by_day(&rows, settings.day_rows_min) {
            let place = Place {
                account,
                table,
                day,
                level: 0,
                created_at: now,
            };
            write_records(place, &records, settings, sink)?;
        }
    }
    Ok(report)
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
    records: &[&Record],
    settings: &Settings,
    sink: &Sink,
) -> Result<()> {
    let plan = rows::plan_of(records.iter().copied());
    let schema = schema::part_schema(place.table, &plan.columns);
    let begin = || Writer::new(place, Arc::clone(&schema), settings);
    let mut writer = begin()?;
    rows::each_batch(place.table, &plan, records, |batch| {
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
