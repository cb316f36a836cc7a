//! When records were received, by their ids: whether an upload was stored lately.
//!
//! A copy that came later is no row of its own, so the time is that of the first. Nothing is read of a
//! record but that time, and no part that was published before.

use datafusion::logical_expr::Expr;
use futures::StreamExt;
use lake::schema::{PERSON_KEY, RECORD_ID, TS};
use model::record::{Record, Table};
use model::{PersonKey, RecordId, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::reads::{self, Read};
use crate::scan::Order;
use crate::tables::{self, column};
use crate::{Engine, ReadPolicy, Result};

/// The clock may have gone back by so much between a record's receipt and its part.
const CLOCK_GOES_BACK: Duration = Duration::from_hours(24);

/// A record that may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sought {
    /// Where it would be.
    pub table: Table,
    /// Its id.
    pub record: RecordId,
    /// Whom it is about.
    pub person: Option<PersonKey>,
}

impl Sought {
    /// This record.
    #[must_use]
    pub const fn of(record: &Record) -> Self {
        let person = match record {
            Record::Event(it) => Some(it.person),
            Record::ProfileChange(it) => Some(it.person),
            Record::Link(it) => Some(it.from),
            Record::Request(_) => None,
            Record::Quarantined(it) => it.person,
        };
        Self {
            table: record.table(),
            record: record.id(),
            person,
        }
    }
}

impl Engine {
    /// When the first of these records was received that were received after `after`; none when there
    /// is none.
    ///
    /// # Errors
    /// `Unavailable`, when it takes more memory or time than there is too; `Corrupt`.
    pub async fn received_after(
        &self,
        policy: &ReadPolicy,
        records: &[Sought],
        after: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let tables: BTreeSet<Table> = records.iter().map(|it| it.table).collect();
        let tables: Vec<Table> = tables.into_iter().collect();
        if tables.is_empty() {
            return Ok(None);
        }
        let asked = tables.as_slice();
        // A record is in no part that was published before it was received.
        let oldest = after.minus(CLOCK_GOES_BACK);
        self.with_snapshot(policy, asked, move |snapshot| async move {
            let mut first: Option<Timestamp> = None;
            for table in asked {
                let rows = snapshot.table(*table)?;
                let young = rows.parts.iter().filter(|it| it.created_at >= oldest);
                let young = rows.parts_alone(young.map(Arc::clone).collect());
                let received = received_column(*table);
                for some in [rows.tail_alone(), young] {
                    if some.is_empty() {
                        continue;
                    }
                    let read = Read {
                        filter: Some(matching(records, *table, after)),
                        columns: vec![String::from(received)],
                        ..Read::default()
                    };
                    let some = Arc::new(some);
                    let mut batches = self.read(&some, policy, Order::Any, read).await?.batches;
                    while let Some(batch) = batches.next().await {
                        let batch = batch?;
                        let times = reads::times(&batch, received)?;
                        let times = (0..batch.num_rows()).map(|row| reads::time(times, row));
                        first = first.into_iter().chain(times).min();
                    }
                }
            }
            Ok(first)
        })
        .await
    }
}

/// Which column of a table says when a row was received.
const fn received_column(table: Table) -> &'static str {
    match table {
        Table::Events | Table::ProfileChanges | Table::Links => "received_at",
        Table::Requests | Table::Quarantine => TS,
    }
}

/// The rows of the records that would be in `table`.
fn matching(records: &[Sought], table: Table, after: Timestamp) -> Expr {
    let of_table = || records.iter().filter(|it| it.table == table);
    let ids = of_table().map(|it| tables::record(it.record)).collect();
    let filter = column(received_column(table))
        .gt(tables::time(after))
        .and(column(RECORD_ID).in_list(ids, false));
    let persons: Option<Vec<PersonKey>> = of_table().map(|it| it.person).collect();
    match persons {
        Some(persons) => filter.and(reads::of_persons(PERSON_KEY, &persons)),
        // Some are about nobody who could be named.
        None => filter,
    }
}
