//! `strongroom version`.

use anyhow::Result;
use serde_json::json;

use super::Format;
use super::output::{print, print_json};

/// Prints the version
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    format: Format,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        if self.format.json {
            return print_json(&json!({"name": "strongroom", "version": version}));
        }
        print(format!("strongroom {version}\n"))
    }
}
