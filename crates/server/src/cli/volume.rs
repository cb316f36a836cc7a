//! `strongroom volume status`.

use anyhow::Result;
use serde_json::Value;

use super::output::{note, print, print_json};
use super::table::{Table, bytes, cell};
use super::{Format, Installation, Paint, block_on};
use crate::admin::{Request, call};

/// What can be done with volumes.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Shows where the bytes are and whether each volume serves
    Status {
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
}

impl Command {
    pub(super) fn run(self) -> Result<()> {
        let Self::Status {
            installation,
            format,
        } = self;
        let loaded = installation.read()?;
        let status = block_on(call(&loaded, Request::VolumeStatus, |_| Ok(())))?;
        if format.json {
            return print_json(&status);
        }
        let mut table = Table::new(["VOLUME", "STATE", "OBJECTS", "SIZE", "PLACE"]);
        let number = |of: &Value, key: &str| of.get(key).and_then(Value::as_u64).unwrap_or(0);
        for volume in status
            .get("volumes")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            table.push([
                number(volume, "number").to_string(),
                state(volume),
                number(volume, "objects").to_string(),
                bytes(number(volume, "bytes")),
                cell(volume.get("place").unwrap_or(&Value::Null)),
            ]);
        }
        print(table.render(Paint::stdout()))?;
        let (data, parity) = (number(&status, "data"), number(&status, "parity"));
        note(&format!(
            "{} of {} volumes serve; {data} are needed, {parity} may be lost",
            number(&status, "healthy"),
            data + parity
        ));
        Ok(())
    }
}

/// A volume's state as words: its name, and the reason when it has one.
pub(super) fn state(volume: &Value) -> String {
    let state = cell(volume.get("state").unwrap_or(&Value::Null)).replace('_', " ");
    match volume.get("reason") {
        Some(reason) => format!("{state}: {}", cell(reason)),
        None => state,
    }
}
