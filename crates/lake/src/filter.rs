//! Takes rows out of parts: those of deleted people, and those past their retention.
//!
//! A part is replaced only when it holds such a row. What is replaced stays readable to those who
//! still hold its name until it is collected. It must never report a part as searched that it did
//! not search.

use model::catalog::{LeftOut, PartMeta, Publication};
use model::record::Table;
use model::{AccountId, ErrorKind, PersonKey, Timestamp};
use object_store::path::Path;
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::errors::ParquetError;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::keep::Keep;
use crate::merge::{self, Filter, Input, Routes, Tally};
use crate::part::{self, Place};
use crate::part_reader::PartReader;
use crate::schema::{PERSON_KEY, TO_KEY};
use crate::{Error, Lake, Result};

/// Parts replaced in one publication.
const REPLACED_MAX: usize = 32;

/// What a rewrite for a deletion did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RewriteReport {
    /// Live parts of the tables that were looked at: by their bounds, their filters, or in full.
    pub searched: usize,
    /// Parts that held such rows and were replaced: their data keys are to be destroyed.
    pub replaced: Vec<PartMeta>,
    /// Parts that took their place.
    pub added: Vec<PartMeta>,
    /// Rows taken out, by table.
    pub rows_removed: BTreeMap<Table, u64>,
    /// False when another act got in between: what is reported is published, call again for the
    /// rest.
    pub complete: bool,
}

/// What an expiry did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpireReport {
    /// Parts dropped whole.
    pub dropped: usize,
    /// Parts rewritten without their old rows.
    pub rewritten: usize,
    /// Rows taken out.
    pub rows_removed: u64,
    /// False when another act got in between, or something failed after rows were taken out: call
    /// again for the rest, or for the error.
    pub complete: bool,
}

/// One part's replacement, stored and not yet published.
struct Replacement {
    old: Arc<PartMeta>,
    new: Vec<PartMeta>,
    tally: Tally,
}

impl Replacement {
    /// The rows of hidden people in it, if there are any.
    fn left_out(&self) -> Option<LeftOut> {
        (self.tally.hidden > 0).then(|| LeftOut {
            account: self.old.account,
            table: self.old.table,
            rows: self.tally.left_out.clone(),
            parts: vec![Arc::clone(&self.old)],
        })
    }
}

impl Lake {
    /// Replaces the parts of `tables` that hold rows which name one of `persons` and which `keep`
    /// does not keep. In a replaced part all rows go that `keep` does not keep.
    ///
    /// # Errors
    /// `Conflict` when a part or the ledger has moved before anything was published. `Unavailable`
    /// from the store or the catalog; what was published before stays, and calling again does the
    /// rest. `Corrupt` or `NotFound` when a part cannot be read: what came before it is published, and
    /// when it is lost what comes after it too.
    pub async fn rewrite(
        &self,
        account: AccountId,
        tables: &[Table],
        persons: &[PersonKey],
        keep: Arc<dyn Keep>,
    ) -> Result<RewriteReport> {
        let view = self.catalog.view(Some(account), tables).await;
        let view = view.map_err(Error::catalog("read the list of parts"))?;
        let filter = Filter {
            account,
            keep,
            from: None,
            superseded_before: None,
        };
        let mut report = RewriteReport {
            complete: true,
            ..RewriteReport::default()
        };
        let mut waiting = Vec::new();
        let mut failure = None;
        for part in view.parts {
            report.searched += 1;
            match self.replace_holding(&part, persons, &filter).await {
                Ok(replacement) => waiting.extend(replacement),
                Err(error) => {
                    let is_lost = self.is_lost(&error);
                    failure.get_or_insert(error);
                    if !is_lost {
                        break;
                    }
                }
            }
            if waiting.len() >= REPLACED_MAX
                && !self
                    .finish_rewrite(&mut waiting, &filter, &mut report)
                    .await?
            {
                return Ok(report);
            }
        }
        let finished = self
            .finish_rewrite(&mut waiting, &filter, &mut report)
            .await;
        match failure {
            Some(error) => Err(error),
            None => finished.map(|_| report),
        }
    }

    /// Takes out the rows of `table` from before `before`: parts that lie wholly before it are
    /// dropped, parts that begin before it are rewritten. Give the start of a day, so that a part
    /// is rewritten once a day at most. What need not be read goes first.
    ///
    /// # Errors
    /// As [`Lake::rewrite`], and nothing was taken out then. After rows were, they are reported;
    /// calling again meets the error.
    pub async fn expire(
        &self,
        account: AccountId,
        table: Table,
        before: Timestamp,
        keep: Arc<dyn Keep>,
    ) -> Result<ExpireReport> {
        let view = self.catalog.view(Some(account), &[table]).await;
        let view = view.map_err(Error::catalog("read the list of parts"))?;
        let filter = Filter {
            account,
            keep,
            from: Some(before),
            superseded_before: None,
        };
        let mut report = ExpireReport {
            complete: true,
            ..ExpireReport::default()
        };
        let old = view.parts.into_iter().filter(|it| it.ts_min < before);
        let mut old: Vec<_> = old.collect();
        old.sort_by_key(|it| it.ts_max >= before);
        let mut published = false;
        let mut waiting = Vec::new();
        for part in old {
            if part.ts_max < before {
                let tally = Tally {
                    expired: part.rows,
                    ..Tally::default()
                };
                waiting.push(Replacement {
                    old: part,
                    new: Vec::new(),
                    tally,
                });
            } else {
                match self.replace(&part, &filter).await {
                    Ok(replacement) => waiting.extend(replacement),
                    Err(error) if !published && waiting.is_empty() => return Err(error),
                    Err(_) => {
                        report.complete = false;
                        break;
                    }
                }
            }
            if waiting.len() >= REPLACED_MAX {
                let done = std::mem::take(&mut waiting);
                if !self
                    .finish_expire(done, &filter, published, &mut report)
                    .await?
                {
                    return Ok(report);
                }
                published = true;
            }
        }
        self.finish_expire(waiting, &filter, published, &mut report)
            .await?;
        Ok(report)
    }

    /// As [`Lake::replace`], of a part that may hold a row that names one of `persons`.
    async fn replace_holding(
        &self,
        part: &Arc<PartMeta>,
        persons: &[PersonKey],
        filter: &Filter,
    ) -> Result<Option<Replacement>> {
        if self.may_hold(part, persons).await? {
            self.replace(part, filter).await
        } else {
            Ok(None)
        }
    }

    /// Whether `part` may hold a row that names one of `persons`: by its bounds and its filters.
    async fn may_hold(&self, part: &PartMeta, persons: &[PersonKey]) -> Result<bool> {
        let columns: &[&str] = match part.table {
            Table::Events | Table::ProfileChanges | Table::Quarantine => &[PERSON_KEY],
            Table::Links => &[PERSON_KEY, TO_KEY],
            Table::Requests => return Ok(false),
        };
        let within = |it: &PersonKey| part.person_min <= *it && *it <= part.person_max;
        // The bounds are those of the person key; a link has another key besides.
        if part.table != Table::Links && !persons.iter().any(within) {
            return Ok(false);
        }
        let reader = PartReader {
            store: Arc::clone(&self.store),
            path: Path::from(part.path.as_str()),
            size_bytes: part.size_bytes,
        };
        let failed = |error| read_failed(part, error);
        let mut reader = ParquetRecordBatchStreamBuilder::new(reader)
            .await
            .map_err(failed)?;
        part::check_version(&part.path, reader.metadata())?;
        for name in columns {
            let Ok(column) = reader.schema().index_of(name) else {
                return Err(part::bad_part(
                    &part.path,
                    &format!("it lacks the column {name}"),
                ));
            };
            for group in 0..reader.metadata().num_row_groups() {
                let bloom = reader
                    .get_row_group_column_bloom_filter(group, column)
                    .await;
                let Some(bloom) = bloom.map_err(failed)? else {
                    return Ok(true);
                };
                if persons.iter().any(|it| bloom.check(&it.0[..])) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Writes what takes the place of `part`; none when the filter takes nothing out of it.
    async fn replace(&self, part: &Arc<PartMeta>, filter: &Filter) -> Result<Option<Replacement>> {
        self.settle(filter.keep.ledger()).await?;
        let bytes = self.fetch(part).await?;
        let input = Input {
            meta: Arc::clone(part),
            bytes,
        };
        let (filter, settings) = (filter.clone(), self.settings.clone());
        let place = Place {
            account: part.account,
            table: part.table,
            day: part.day,
            level: part.level,
            created_at: self.clock.now(),
        };
        let (new, tally) = self
            .store_parts(move |sink| {
                let removed = merge::count_removed(place.table, &input, &filter)?;
                if removed.hidden == 0 && removed.expired == 0 {
                    return Ok(None);
                }
                let routes = Routes {
                    outputs: vec![place.day],
                    by_day: BTreeMap::new(),
                };
                merge::merge(place, &[input], &routes, &filter, &settings, sink).map(Some)
            })
            .await?;
        Ok(tally.map(|tally| Replacement {
            old: Arc::clone(part),
            new,
            tally,
        }))
    }

    /// Publishes what waits; false when that conflicted after earlier publications.
    async fn finish_rewrite(
        &self,
        waiting: &mut Vec<Replacement>,
        filter: &Filter,
        report: &mut RewriteReport,
    ) -> Result<bool> {
        let done = std::mem::take(waiting);
        let published_before = !report.replaced.is_empty();
        if !self
            .publish_replacements(&done, filter, published_before)
            .await?
        {
            report.complete = false;
            return Ok(false);
        }
        for Replacement { old, new, tally } in done {
            *report.rows_removed.entry(old.table).or_default() += tally.hidden;
            report.replaced.push(PartMeta::clone(&old));
            report.added.extend(new);
        }
        Ok(true)
    }

    async fn finish_expire(
        &self,
        done: Vec<Replacement>,
        filter: &Filter,
        published_before: bool,
        report: &mut ExpireReport,
    ) -> Result<bool> {
        let published = self
            .publish_replacements(&done, filter, published_before)
            .await;
        match published {
            Ok(true) => {}
            Err(error) if !published_before => return Err(error),
            Ok(false) | Err(_) => {
                report.complete = false;
                return Ok(false);
            }
        }
        for Replacement { new, tally, .. } in done {
            if new.is_empty() {
                report.dropped += 1;
            } else {
                report.rewritten += 1;
            }
            report.rows_removed += tally.expired;
        }
        Ok(true)
    }

    async fn publish_replacements(
        &self,
        done: &[Replacement],
        filter: &Filter,
        published_before: bool,
    ) -> Result<bool> {
        if done.is_empty() {
            return Ok(true);
        }
        let published = self
            .publish(Publication {
                remove: done.iter().map(|it| it.old.id).collect(),
                add: done.iter().flat_map(|it| it.new.iter().cloned()).collect(),
                ledger: filter.keep.ledger(),
                left_out: done.iter().filter_map(Replacement::left_out).collect(),
                ..Publication::default()
            })
            .await;
        match published {
            Ok(()) => Ok(true),
            Err(error) if published_before && error.kind() == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }
}

pub(crate) fn read_failed(part: &PartMeta, error: ParquetError) -> Error {
    let path = part.path.clone();
    match error {
        ParquetError::External(source) => match source.downcast::<object_store::Error>() {
            Ok(source) => Error::Store {
                what: "read part",
                path,
                source: *source,
            },
            Err(other) => part::bad_part(&path, &other),
        },
        other => part::bad_part(&path, &other),
    }
}
