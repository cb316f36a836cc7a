//! The newest events first: of everybody, or the timeline of one person.
//!
//! Days are read from the last one back, and reading stops when the page is full. A position is
//! content, as that of [`crate::Position`]: a time, a record id and a cut-off of the time of receipt.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, SortExpr};
use futures::StreamExt;
use governance::Stretch;
use lake::schema::{PERSON_KEY, RECORD_ID, TS};
use model::record::Table;
use model::{PersonKey, RecordId, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::events::{self, EventRow, EventsQuery};
use crate::people::{PeopleReader, PersonView, ProfileParts, TABLES};
use crate::reads::{self, Read};
use crate::scan::Order;
use crate::snapshot::TableRows;
use crate::tables::{self, column};
use crate::{Engine, ReadPolicy, Result};

/// Where a page begins: below this record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    /// The time of the last record of the page before.
    pub ts: Timestamp,
    /// Its id.
    pub record: RecordId,
    /// Only what was received until then counts.
    pub cut_off: Timestamp,
}

/// Some events, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatestPage {
    /// The events.
    pub records: Vec<EventRow>,
    /// Where the next page begins; none after the last.
    pub next: Option<Before>,
}

/// One page's question.
#[derive(Debug)]
struct Asked<'a> {
    rows: &'a Arc<TableRows>,
    policy: &'a ReadPolicy,
    query: &'a EventsQuery,
    /// Only events of these keys, each in its stretch of time.
    keys: Option<Vec<(PersonKey, Stretch)>>,
    before: Option<Before>,
    cut_off: Timestamp,
    limit: usize,
}

impl Engine {
    /// The newest events that match `query`, at most `limit`, below a position; those of one person
    /// only, when one is named.
    ///
    /// # Errors
    /// `Denied` for a filter on a masked property; `Unavailable`, `Corrupt`.
    pub async fn latest_events(
        &self,
        policy: &ReadPolicy,
        query: &EventsQuery,
        person: Option<PersonKey>,
        before: Option<Before>,
        limit: usize,
    ) -> Result<LatestPage> {
        events::check_filters(policy, query)?;
        let cut_off = before.map_or_else(|| self.inner.clock.now(), |it| it.cut_off);
        self.with_snapshot(policy, &TABLES, move |snapshot| async move {
            let mut people = PeopleReader::new(self, &snapshot, policy).await?;
            let asked = Asked {
                rows: snapshot.table(Table::Events)?,
                policy,
                query,
                keys: person.map(|it| people.links.keys(it)),
                before,
                cut_off,
                limit,
            };
            let (mut records, more) = self.newest(&asked).await?;
            let names: Vec<PersonKey> = records
                .iter()
                .map(|row| people.links.person(row.key, row.ts))
                .collect();
            let distinct: BTreeSet<PersonKey> = names.iter().copied().collect();
            let distinct: Vec<PersonKey> = distinct.into_iter().collect();
            let parts = ProfileParts {
                profile: true,
                events: false,
            };
            let views = people.read(&distinct, parts).await?;
            let views: HashMap<PersonKey, Arc<PersonView>> = views
                .into_iter()
                .map(|(key, view)| (key, Arc::new(view)))
                .collect();
            for (row, name) in records.iter_mut().zip(names) {
                if let Some(view) = views.get(&name) {
                    row.person = Arc::clone(view);
                }
            }
            let next = records.last().filter(|_| more).map(|last| Before {
                ts: last.ts,
                record: last.record,
                cut_off,
            });
            Ok(LatestPage { records, next })
        })
        .await
    }

    /// The rows of a page, and whether there are more.
    async fn newest(&self, asked: &Asked<'_>) -> Result<(Vec<EventRow>, bool)> {
        let mut found = Vec::new();
        let days = events::windows(asked.rows, asked.query, None);
        for window in days.into_iter().rev() {
            let mut filter = asked.filter().and(window.filter(None));
            // One more than the page has room for tells whether there are more.
            let room = asked.limit.saturating_sub(found.len()).saturating_add(1);
            let limit = asked.is_plain().then_some(room);
            if let Some(limit) = limit {
                let Some(oldest) = self.oldest(asked, filter.clone(), limit).await? else {
                    continue;
                };
                filter = filter.and(column(TS).gt_eq(tables::time(oldest)));
            }
            let read = Read {
                filter: Some(filter),
                columns: Vec::new(),
                sort: newest_first(),
                limit,
            };
            let rows = self
                .read(asked.rows, asked.policy, Order::Any, read)
                .await?;
            let mut batches = rows.batches;
            while let Some(batch) = batches.next().await {
                let batch = batch?;
                let properties = events::property_reader(&batch)?;
                for row in 0..batch.num_rows() {
                    let filters = &asked.query.filters;
                    if !filters.iter().all(|it| it.matches(&properties, row)) {
                        continue;
                    }
                    let event = events::event_row(&batch, row, &properties, asked.policy)?;
                    if !asked.is_of(event.key, event.ts) {
                        continue;
                    }
                    if found.len() == asked.limit {
                        return Ok((found, true));
                    }
                    found.push(event);
                }
            }
        }
        Ok((found, false))
    }

    /// The time of the last row that a page has room for, by the times alone: so that no other
    /// column of the rows before it is read.
    async fn oldest(
        &self,
        asked: &Asked<'_>,
        filter: Expr,
        limit: usize,
    ) -> Result<Option<Timestamp>> {
        let read = Read {
            filter: Some(filter),
            columns: [TS, RECORD_ID].map(String::from).to_vec(),
            sort: newest_first(),
            limit: Some(limit),
        };
        let rows = self
            .read(asked.rows, asked.policy, Order::Any, read)
            .await?;
        let mut batches = rows.batches;
        let mut oldest = None;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let times = reads::times(&batch, TS)?;
            if let Some(last) = batch.num_rows().checked_sub(1) {
                oldest = Some(reads::time(times, last));
            }
        }
        Ok(oldest)
    }
}

impl Asked<'_> {
    fn filter(&self) -> Expr {
        let mut filter = events::matching(self.query, self.cut_off);
        if let Some(before) = self.before {
            filter = filter.and(before.below());
        }
        if let Some(keys) = &self.keys {
            let keys: Vec<PersonKey> = keys.iter().map(|(key, _)| *key).collect();
            filter = filter.and(reads::of_persons(PERSON_KEY, &keys));
        }
        filter
    }

    /// Whether every row that the filter lets through is on the page.
    const fn is_plain(&self) -> bool {
        self.query.filters.is_empty() && self.keys.is_none()
    }

    fn is_of(&self, key: PersonKey, ts: Timestamp) -> bool {
        self.keys.as_ref().is_none_or(|keys| {
            let mut own = keys.iter().filter(|(known, _)| *known == key);
            own.any(|(_, stretch)| stretch.contains(ts))
        })
    }
}

impl Before {
    fn below(self) -> Expr {
        let id = ScalarValue::FixedSizeBinary(16, Some(self.record.0.to_vec()));
        let same_time = column(TS)
            .eq(tables::time(self.ts))
            .and(column(RECORD_ID).lt(Expr::Literal(id, None)));
        column(TS).lt(tables::time(self.ts)).or(same_time)
    }
}

fn newest_first() -> Vec<SortExpr> {
    let by = |name| column(name).sort(false, true);
    vec![by(TS), by(RECORD_ID)]
}
