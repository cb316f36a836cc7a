//! Counts over time from the tables, in bins: no row of anybody is looked at.

use model::Timestamp;
use query::{EventsQuery, Measure, ReadPolicy};

use super::period::{BIN_MS, Period};
use crate::operate::{Row, moment, number, rows_under};
use crate::{Result, State};

/// Rows of one bin and one group.
#[derive(Debug, Clone)]
pub(crate) struct Bin {
    /// When it begins.
    pub(crate) at: Timestamp,
    /// The row: the sums, and the columns of the group.
    pub(crate) row: Row,
}

/// Counts rows of `table` in a period, by bins and by the columns `groups`. `sums` are the
/// expressions that are counted, each with a name; `condition` narrows the rows.
pub(crate) async fn bins(
    state: &State,
    policy: &ReadPolicy,
    table: &str,
    period: &Period,
    condition: &str,
    groups: &[&str],
    sums: &str,
) -> Result<Vec<Bin>> {
    let bin = format!("CAST(ts AS BIGINT) / {BIN_MS}");
    let mut columns = vec![bin];
    columns.extend(groups.iter().map(|it| (*it).to_owned()));
    let by = columns.join(", ");
    let sql = format!(
        "SELECT {by_named}, {sums} FROM {table} WHERE ts >= {from} AND ts < {to} AND {condition} \
         GROUP BY {by}",
        by_named = by.replacen(&format!("/ {BIN_MS}"), &format!("/ {BIN_MS} AS bin"), 1),
        from = moment(period.from),
        to = moment(period.to),
    );
    let rows = rows_under(state, policy, &sql).await?;
    let bins = rows.into_iter().map(|row| {
        let bin = i64::try_from(number(&row, "bin")).unwrap_or(0);
        Bin {
            at: Timestamp::from_ms(bin.saturating_mul(BIN_MS)),
            row,
        }
    });
    Ok(bins.collect())
}

/// How many of the events that match `query` there were in each slot of a period.
pub(crate) async fn events_over_time(
    state: &State,
    policy: &ReadPolicy,
    query: &EventsQuery,
    period: &Period,
) -> Result<Vec<f64>> {
    let starts = [period.starts.clone()];
    let found = state
        .engine()
        .trends(policy, query, &Measure::Events, &starts);
    Ok(found.await?.into_iter().next().unwrap_or_default())
}

/// One of the sums over all bins.
pub(crate) fn total(bins: &[Bin], name: &str) -> u64 {
    bins.iter().map(|it| number(&it.row, name)).sum()
}

/// One of the sums by the period's slots.
pub(crate) fn series(bins: &[Bin], period: &Period, name: &str) -> Vec<f64> {
    period.fold(bins.iter().map(|it| (it.at, number(&it.row, name))))
}
