//! `strongroom init`.

use anyhow::Result;
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::output::{note, print, print_json};
use super::{Format, Paint, block_on};
use crate::config::Listen;
use crate::init::{Options, Volumes, create};

/// Makes a new installation: configuration, keys, certificates, volumes, control database
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The folder to fill; made when it is not there, refused when it is not empty
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// How many volumes to make below DIR/volumes
    #[arg(long, value_name = "N", default_value_t = 6, conflicts_with = "volume")]
    volumes: usize,
    /// A folder for a volume, best on a disk of its own; once for each volume
    #[arg(long, value_name = "PATH")]
    volume: Vec<PathBuf>,
    /// How many volumes must serve for everything to be readable (4 of 6 when not said)
    #[arg(long, value_name = "K")]
    data: Option<usize>,
    /// How many volumes may be lost (2 of 6 when not said)
    #[arg(long, value_name = "M")]
    parity: Option<usize>,
    /// Where SDKs connect
    #[arg(long, value_name = "ADDR", default_value_t = Listen::default().collect)]
    collect: SocketAddr,
    /// Where servers connect (REST)
    #[arg(long, value_name = "ADDR", default_value_t = Listen::default().api)]
    api: SocketAddr,
    /// Where browsers of the company's own people connect
    #[arg(long, value_name = "ADDR", default_value_t = Listen::default().console)]
    console: SocketAddr,
    /// Where health and metrics are read, plainly: a loopback address
    #[arg(long, value_name = "ADDR", default_value_t = Listen::default().ops)]
    ops: SocketAddr,
    /// A name or address for the certificate, besides localhost and the loopback addresses
    #[arg(long, value_name = "HOST")]
    name: Vec<String>,
    #[command(flatten)]
    format: Format,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let volumes = match self.volume.is_empty() {
            true => Volumes::Number(self.volumes),
            false => Volumes::Folders(self.volume),
        };
        let listen = Listen {
            collect: self.collect,
            api: self.api,
            console: self.console,
            ops: self.ops,
            ..Listen::default()
        };
        let options = Options {
            folder: self.folder,
            volumes,
            data: self.data,
            parity: self.parity,
            listen,
            names: self.name,
        };
        let made = block_on(Box::pin(create(options)))?;
        let keyring = made.keyring.display();
        note(&format!(
            "Keep a copy of {keyring} in a safe place: losing every copy of it loses everything."
        ));
        if self.format.json {
            return print_json(&json!({
                "config": made.config,
                "ca": made.ca,
                "volumes": made.volumes,
                "setup_url": made.setup_url,
            }));
        }
        let paint = Paint::stdout();
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            text.push_str(&format!("{}  {value}\n", paint.dim(&format!("{name:<11}"))));
        };
        line("config", made.config.display().to_string());
        line("keyring", keyring.to_string());
        line("ca", made.ca.display().to_string());
        line(
            "volumes",
            format!("{} ({} + {})", made.volumes.len(), made.data, made.parity),
        );
        line("set up", format!("{} (once, within 72 h)", made.setup_url));
        line(
            "next",
            format!("strongroom serve --config {}", made.config.display()),
        );
        print(text)
    }
}
