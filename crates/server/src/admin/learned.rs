//! Names that records use, and what was wrong with records: what was counted, and what the journal
//! holds beyond that.

use anyhow::{Context as _, Result};
use control::Actor;
use lake::Lessons;
use model::catalog::Catalog as _;
use model::{AccountId, WriterId};
use serde_json::Value;
use std::collections::HashSet;
use tokio::sync::mpsc;

use super::Frame;
use super::execute::account_id;
use super::rows::send_array;
use crate::compose::Installation;

/// How often it is begun anew when a flush comes between.
const ATTEMPTS_MAX: u32 = 10;

/// Every name that an account's records use.
pub(super) async fn names(
    installation: &Installation,
    actor: &Actor,
    account: &str,
    out: mpsc::Sender<Frame>,
) -> Result<Value> {
    let id = account_id(account)?;
    let control = installation.control();
    let mut attempts = 0;
    let names = loop {
        let (before, fresh) = fresh(installation, id).await?;
        let names = control.names_in_use(actor, id, &fresh.learned).await;
        let names = names.context("failed to list the names in use")?;
        attempts += 1;
        if before == watermarks(installation).await? || attempts >= ATTEMPTS_MAX {
            break names;
        }
    };
    let rows = names.iter().map(|it| {
        let mut row = serde_json::to_value(it).context("failed to show a name")?;
        times(&mut row, [it.first_seen, it.last_seen]);
        Ok(row)
    });
    let rows = rows.collect::<Result<Vec<_>>>()?;
    send_array(&out, &rows).await?;
    Ok(Value::Null)
}

/// What was wrong with an account's records.
pub(super) async fn errors(
    installation: &Installation,
    actor: &Actor,
    account: &str,
    out: mpsc::Sender<Frame>,
) -> Result<Value> {
    let id = account_id(account)?;
    let control = installation.control();
    write_left_out(installation).await?;
    let mut attempts = 0;
    let errors = loop {
        let (before, fresh) = fresh(installation, id).await?;
        let fresh = (&fresh.learned[..], &fresh.refused[..]);
        let errors = control.schema_errors(actor, id, fresh).await;
        let errors = errors.context("failed to list what was wrong")?;
        attempts += 1;
        if before == watermarks(installation).await? || attempts >= ATTEMPTS_MAX {
            break errors;
        }
    };
    let rows = errors.iter().map(|it| {
        let mut row = serde_json::to_value(it).context("failed to show an error")?;
        times(&mut row, [it.first_seen, it.last_seen]);
        Ok(row)
    });
    let rows = rows.collect::<Result<Vec<_>>>()?;
    send_array(&out, &rows).await?;
    Ok(Value::Null)
}

/// Writes down what was left out of events and counted in memory alone. What cannot be written is kept
/// for the next time.
pub(crate) async fn write_left_out(installation: &Installation) -> Result<()> {
    let mut left_out = installation.collect().take_left_out();
    if left_out.is_empty() {
        return Ok(());
    }
    let counted = installation.control().count_left_out(&mut left_out).await;
    installation.collect().put_back_left_out(left_out);
    counted.context("failed to count properties that were left out")
}

/// What the journal holds of an account beyond the watermarks, each record once, and these.
async fn fresh(
    installation: &Installation,
    id: AccountId,
) -> Result<(Vec<(WriterId, u64)>, Lessons)> {
    let watermarks = watermarks(installation).await?;
    let journal = installation.journal();
    let _held = journal.hold();
    let (mut lessons, mut seen) = (Lessons::default(), HashSet::new());
    for commit in journal.live() {
        let of_writer = watermarks.iter().find(|(of, _)| *of == commit.id.writer);
        if of_writer.is_some_and(|(_, number)| commit.id.number <= *number) {
            continue;
        }
        let entries = journal.read(commit.id).await;
        let entries = entries.context("failed to read the journal")?;
        let learned = installation
            .lake()
            .learn(id, commit.id, &entries, &mut seen);
        let learned = Box::pin(learned).await;
        lessons.add(learned.context("failed to look up which records are in parts")?);
    }
    Ok((watermarks, lessons))
}

async fn watermarks(installation: &Installation) -> Result<Vec<(WriterId, u64)>> {
    let view = installation.control().view(None, &[]).await;
    let mut watermarks = view.context("failed to read the watermarks")?.watermarks;
    watermarks.sort_unstable();
    Ok(watermarks)
}

fn times(row: &mut Value, [first, last]: [model::Timestamp; 2]) {
    if let Some(members) = row.as_object_mut() {
        members.insert("first_seen".to_owned(), Value::String(first.to_string()));
        members.insert("last_seen".to_owned(), Value::String(last.to_string()));
    }
}
