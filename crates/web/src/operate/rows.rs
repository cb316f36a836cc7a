//! Rows of the tables by statements of ours: what these are made of, and what comes back.

use control::{Actor, authz};
use futures::StreamExt as _;
use model::{AccountId, Timestamp};
use query::ReadPolicy;
use serde_json::{Map, Value};
use std::sync::Arc;

use super::{Error, Result};
use crate::State;

/// One row: a member for each column, by name. Times are RFC 3339, keys hexadecimal.
pub type Row = Map<String, Value>;

/// The rows of a statement of ours, without the deleted people of the account and those whose
/// processing is restricted.
pub(crate) async fn rows_of(state: &State, account: AccountId, sql: &str) -> Result<Vec<Row>> {
    rows_under(state, &policy(state, account), sql).await
}

/// As [`rows_of`], of the people whom `actor` sees there.
pub(crate) async fn rows_seen_by(
    state: &State,
    actor: &Actor,
    account: AccountId,
    sql: &str,
) -> Result<Vec<Row>> {
    let policy = policy(state, account).under(authz::filters(actor, account));
    rows_under(state, &policy, sql).await
}

fn policy(state: &State, account: AccountId) -> ReadPolicy {
    let rules = Arc::clone(&state.control().rules().borrow());
    let (suppressed, restricted) = match rules.account(account) {
        Some(it) => (Arc::clone(&it.suppressed), Arc::clone(&it.restricted)),
        None => (Arc::default(), Arc::default()),
    };
    ReadPolicy::new(account, suppressed).without(restricted)
}

/// The rows of a statement of ours that a reader may see.
pub(crate) async fn rows_under(state: &State, policy: &ReadPolicy, sql: &str) -> Result<Vec<Row>> {
    let mut rows = state.engine().sql(policy, sql).await?;
    let mut found = Vec::new();
    let mut text = String::new();
    while let Some(batch) = rows.batches.next().await {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            text.clear();
            query::json::object(&rows.schema, &batch, row, &mut text)?;
            found.push(serde_json::from_str(&text).map_err(|_| Error::Row("a row"))?);
        }
    }
    Ok(found)
}

/// Text as a literal.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A time as a literal.
pub(crate) fn moment(time: Timestamp) -> String {
    format!("to_timestamp_millis({})", time.ms())
}

/// A member that must be text.
pub(crate) fn text<'r>(row: &'r Row, name: &str) -> &'r str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A member that must be a number.
pub(crate) fn number(row: &Row, name: &str) -> u64 {
    row.get(name).and_then(Value::as_u64).unwrap_or(0)
}

/// A member that must be a time.
pub(crate) fn time(row: &Row, name: &str) -> Result<Timestamp> {
    let parsed = text(row, name).parse::<jiff::Timestamp>();
    let parsed = parsed.map_err(|_| Error::Row("a time"))?;
    Ok(Timestamp::from_ms(parsed.as_millisecond()))
}
