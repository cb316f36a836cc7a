//! `strongroom query`.

use anyhow::{Context as _, Result};

use super::output::{note, print};
use super::table::{Row, Table};
use super::{Format, Installation, Paint, block_on};
use crate::admin::{Frame, Request, call};

/// Reads an account's tables by SQL
///
/// Tables: `events`, `people`, `profile_changes`, `links`, `requests`, `quarantine`. A column named
/// "p:PROPERTY" of an event or a person is the property of that name. Every read is in the audit.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// One SELECT statement
    #[arg(value_name = "SQL")]
    sql: String,
    /// Whose data
    #[arg(long, value_name = "ACCOUNT")]
    account: String,
    #[command(flatten)]
    installation: Installation,
    #[command(flatten)]
    format: Format,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let loaded = self.installation.read()?;
        let request = Request::Query {
            account: self.account,
            sql: self.sql,
        };
        if self.format.json {
            block_on(call(&loaded, request, |frame| match frame {
                Frame::Data(data) => print(data),
                _ => Ok(()),
            }))?;
            return print("\n");
        }
        let mut data = Vec::new();
        let end = block_on(call(&loaded, request, |frame| {
            if let Frame::Data(bytes) = frame {
                data.extend_from_slice(&bytes);
            }
            Ok(())
        }))?;
        let rows: Vec<Row> =
            serde_json::from_slice(&data).context("failed to understand the rows")?;
        let columns: Vec<String> = end
            .get("columns")
            .and_then(|columns| serde_json::from_value(columns.clone()).ok())
            .unwrap_or_default();
        let mut table = Table::new(columns.clone());
        for row in &rows {
            table.push(columns.iter().map(|column| row.cell(column)));
        }
        print(table.render(Paint::stdout()))?;
        note(&format!(
            "{} {}",
            rows.len(),
            if rows.len() == 1 { "row" } else { "rows" }
        ));
        Ok(())
    }
}
