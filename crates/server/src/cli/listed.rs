//! A list that a command asked for: JSON as it comes, or a table.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::output::{note, print};
use super::table::Table;
use super::{Paint, block_on};
use crate::admin::{Frame, Request, call};
use crate::config::Loaded;

/// Asks, and prints the array that comes as JSON, or as a table of `columns` (a head, and the member
/// that stands under it). What was said at the end is returned.
pub(super) fn print_list(
    loaded: &Loaded,
    request: Request,
    is_json: bool,
    columns: &[(&str, &str)],
) -> Result<Value> {
    if is_json {
        let end = block_on(call(loaded, request, |frame| match frame {
            Frame::Data(data) => print(data),
            _ => Ok(()),
        }))?;
        print("\n")?;
        return Ok(end);
    }
    let mut data = Vec::new();
    let end = block_on(call(loaded, request, |frame| {
        if let Frame::Data(bytes) = frame {
            data.extend_from_slice(&bytes);
        }
        Ok(())
    }))?;
    let rows: Value = serde_json::from_slice(&data).context("failed to understand the list")?;
    print_rows(&rows, columns, "There is none.")?;
    Ok(end)
}

/// Prints the objects of a list, one a row, under `columns` (a head, and the member that stands under
/// it). Where there are none, `none` is said instead.
pub(super) fn print_rows(list: &Value, columns: &[(&str, &str)], none: &str) -> Result<()> {
    if list.as_array().is_none_or(Vec::is_empty) {
        note(none);
        return Ok(());
    }
    print(Table::of(list, columns).render(Paint::stdout()))
}
