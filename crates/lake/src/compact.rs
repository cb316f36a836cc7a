//! Keeps the parts of a table few: merges those of about the same size.
//!
//! Parts of one day are merged with each other. Mixed parts are merged too, and when together they
//! hold enough rows they are cut at day boundaries: a day that is worth it gets its own part, and
//! the others form parts of a few consecutive days. So as an account grows, its parts become
//! narrower in time, while a small account never has many. It must never merge more than fits in
//! memory.

use bytes::Bytes;
use futures::future::try_join_all;
use model::catalog::{LeftOut, PartMeta, Publication};
use model::record::Table;
use model::{AccountId, Day, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::keep::Keep;
use crate::merge::{self, Filter, Input, Routes};
use crate::part::Place;
use crate::{Error, Lake, Result, Settings};

/// Rows of the smallest tier of parts.
const TIER_ROWS: u64 = 1_024;
/// Columns of all outputs of a merge together: each has its buffers.
const OPEN_COLUMNS_MAX: usize = 4_096;

/// What one step of compaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// Parts replaced; 0 when there was nothing to do.
    pub merged: usize,
    /// Parts that took their place.
    pub parts: usize,
    /// Rows written.
    pub rows: u64,
    /// Rows left out because they name a hidden person.
    pub hidden: u64,
    /// Rows left out because they were there twice.
    pub duplicates: u64,
    /// Profile changes left out because later ones made them say nothing.
    pub superseded: u64,
}

impl Lake {
    /// One step: merges one group of parts of `table`, if any is worth it. Call it again as long
    /// as something was merged.
    ///
    /// # Errors
    /// `Conflict` when a part or the ledger has moved: nothing was changed. `Unavailable` from the
    /// store or the catalog. `Corrupt` when a part cannot be read.
    pub async fn compact(
        &self,
        account: AccountId,
        table: Table,
        keep: Arc<dyn Keep>,
    ) -> Result<CompactReport> {
        let view = self.catalog.view(Some(account), &[table]).await;
        let view = view.map_err(Error::catalog("read the list of parts"))?;
        let now = self.clock.now();
        let Some(chosen) = choose(&view.parts, now, &self.settings) else {
            return Ok(CompactReport::default());
        };
        let ledger = keep.ledger();
        self.settle(ledger).await?;
        let inputs = try_join_all(chosen.iter().map(async |meta| {
            let bytes: Bytes = self.fetch(meta).await?;
            Ok::<_, Error>(Input {
                meta: Arc::clone(meta),
                bytes,
            })
        }))
        .await?;
        let level = chosen
            .iter()
            .map(|it| it.level)
            .max()
            .unwrap_or(0)
            .saturating_add(1);
        let settings = self.settings.clone();
        let (parts, (tally, cut)) = self
            .store_parts(move |sink| {
                let place = Place {
                    account,
                    table,
                    day: None,
                    level,
                    created_at: now,
                };
                let routes = routes(&inputs, &settings)?;
                let filter = Filter {
                    account,
                    keep,
                    from: None,
                    superseded_before: Some(now.minus(settings.superseded_age_min)),
                };
                let cut = routes.outputs.len() > 1;
                // What is merged fits in one part, or nearly so; a split would be merged again.
                let settings = Settings {
                    part_bytes_max: settings.part_bytes_max.saturating_mul(2),
                    part_raw_bytes_max: settings.part_raw_bytes_max.saturating_mul(2),
                    ..settings
                };
                let tally = merge::merge(place, &inputs, &routes, &filter, &settings, sink)?;
                Ok((tally, cut))
            })
            .await?;
        if !cut && parts.len() >= chosen.len() {
            // Rows so large that merging makes no fewer parts: leave them as they are.
            self.discard(&parts).await;
            return Ok(CompactReport::default());
        }
        let report = CompactReport {
            merged: chosen.len(),
            parts: parts.len(),
            rows: tally.kept,
            hidden: tally.hidden,
            duplicates: tally.duplicates,
            superseded: tally.superseded,
        };
        let remove = chosen.iter().map(|it| it.id).collect();
        let left_out = (tally.hidden > 0).then_some(LeftOut {
            account,
            table,
            rows: tally.left_out,
            parts: chosen,
        });
        self.publish(Publication {
            remove,
            add: parts,
            ledger,
            left_out: left_out.into_iter().collect(),
            ..Publication::default()
        })
        .await?;
        Ok(report)
    }
}

/// Whether days with many rows get parts of their own. Profile changes are read by person whatever
/// their time, and the older ones end when they meet the newer ones.
pub(crate) const fn has_days(table: Table) -> bool {
    match table {
        Table::Events | Table::Links | Table::Requests | Table::Quarantine => true,
        Table::ProfileChanges => false,
    }
}

/// The parts to merge next, if any group is worth it.
pub(crate) fn choose(
    parts: &[Arc<PartMeta>],
    now: Timestamp,
    settings: &Settings,
) -> Option<Vec<Arc<PartMeta>>> {
    let mut parts: Vec<&Arc<PartMeta>> = parts.iter().collect();
    parts.sort_by_key(|it| (it.ts_min, it.created_at, it.id));
    let mut whole: Vec<&Arc<PartMeta>> = Vec::new();
    let mut days: BTreeMap<Day, Vec<&Arc<PartMeta>>> = BTreeMap::new();
    let mut small: BTreeMap<u32, Vec<&Arc<PartMeta>>> = BTreeMap::new();
    let mut wide: BTreeMap<u32, Vec<&Arc<PartMeta>>> = BTreeMap::new();
    for part in parts {
        match part.day {
            _ if !has_days(part.table) => whole.push(part),
            Some(day) => days.entry(day).or_default().push(part),
            None if part.rows < settings.day_rows_min => {
                small.entry(tier(part)).or_default().push(part);
            }
            None => wide.entry(tier(part)).or_default().push(part),
        }
    }
    let of_small = small
        .values()
        .find_map(|it| fitting(it, settings.merge_parts_min, settings));
    let of_wide = || wide.values().find_map(|it| overlapping(it, settings));
    let of_days = || days.values().find_map(|it| of_day(it, now, settings));
    let of_whole = || of_day(&whole, now, settings);
    of_small.or_else(of_days).or_else(of_wide).or_else(of_whole)
}

/// Parts of one tier have about the same number of rows, within a factor of 4.
fn tier(part: &PartMeta) -> u32 {
    (part.rows / TIER_ROWS).max(1).ilog2() / 2
}

/// As many of `parts` as may be merged at a time, the smallest first; none if fewer than `min`.
fn fitting(
    parts: &[&Arc<PartMeta>],
    min: usize,
    settings: &Settings,
) -> Option<Vec<Arc<PartMeta>>> {
    if parts.len() < min {
        return None;
    }
    let mut parts = parts.to_vec();
    parts.sort_by_key(|it| it.size_bytes);
    let mut sum = 0_u64;
    let chosen: Vec<_> = parts
        .into_iter()
        .take(settings.merge_parts_max)
        .take_while(|it| {
            sum = sum.saturating_add(it.size_bytes);
            sum <= settings.part_bytes_max as u64
        })
        .cloned()
        .collect();
    (chosen.len() >= min.max(2)).then_some(chosen)
}

/// Parts of one day, or of a table without days: of one tier, or all that fit when nothing has come for a while.
fn of_day(
    parts: &[&Arc<PartMeta>],
    now: Timestamp,
    settings: &Settings,
) -> Option<Vec<Arc<PartMeta>>> {
    let quiet = parts
        .iter()
        .all(|it| now.since(it.created_at) >= settings.quiet);
    if quiet {
        return fitting(parts, 2, settings);
    }
    let mut tiers: BTreeMap<u32, Vec<&Arc<PartMeta>>> = BTreeMap::new();
    for part in parts {
        tiers.entry(tier(part)).or_default().push(part);
    }
    tiers
        .values()
        .find_map(|it| fitting(it, settings.merge_parts_min, settings))
}

/// Large mixed parts of one tier that hold the same day: enough of them to be worth it.
fn overlapping(parts: &[&Arc<PartMeta>], settings: &Settings) -> Option<Vec<Arc<PartMeta>>> {
    parts.iter().find_map(|first| {
        let day = first.ts_min.day();
        let holding: Vec<_> = parts
            .iter()
            .filter(|it| it.ts_min.day() <= day && day <= it.ts_max.day())
            .copied()
            .collect();
        fitting(&holding, settings.merge_parts_min, settings)
    })
}

/// Which parts the rows of `inputs` go to.
pub(crate) fn routes(inputs: &[Input], settings: &Settings) -> Result<Routes> {
    if inputs.iter().any(|it| !has_days(it.meta.table)) {
        return Ok(Routes {
            outputs: vec![None],
            by_day: BTreeMap::new(),
        });
    }
    let day = inputs.first().and_then(|it| it.meta.day);
    if day.is_some() && inputs.iter().all(|it| it.meta.day == day) {
        return Ok(Routes {
            outputs: vec![day],
            by_day: BTreeMap::new(),
        });
    }
    let columns = inputs
        .iter()
        .map(|it| it.meta.columns.len())
        .max()
        .unwrap_or(0)
        + 16;
    Ok(cut(
        &merge::count_days(inputs)?,
        OPEN_COLUMNS_MAX / columns,
        settings,
    ))
}

/// Cuts days into outputs of at least `day_rows_min` rows, at most about `outputs_max` of them.
pub(crate) fn cut(days: &BTreeMap<Day, u64>, outputs_max: usize, settings: &Settings) -> Routes {
    let total: u64 = days.values().sum();
    let rows_min = settings
        .day_rows_min
        .max(total / outputs_max.clamp(1, 64) as u64);
    let mut routes = Routes::default();
    for (day, rows) in days {
        if *rows >= rows_min {
            routes.by_day.insert(*day, routes.outputs.len());
            routes.outputs.push(Some(*day));
        }
    }
    let few: Vec<(Day, u64)> = days
        .iter()
        .filter(|(_, rows)| **rows < rows_min)
        .map(|(day, rows)| (*day, *rows))
        .collect();
    let mut left: u64 = few.iter().map(|(_, rows)| rows).sum();
    let mut sum = 0;
    for (place, (day, rows)) in few.iter().enumerate() {
        // What is left must be worth a part of its own; if not, it joins the last one.
        let begin = place == 0 || (sum >= rows_min && left >= rows_min);
        if begin {
            routes.outputs.push(None);
            sum = 0;
        }
        routes.by_day.insert(*day, routes.outputs.len() - 1);
        sum += rows;
        left -= rows;
    }
    if routes.outputs.is_empty() {
        routes.outputs.push(None);
    }
    routes
}
