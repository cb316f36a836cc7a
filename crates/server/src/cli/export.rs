//! `strongroom export`.

use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::output::{note, print, print_json};
use super::{Format, Installation, block_on};
use crate::admin::{ExportFormat, ExportWhat, Frame, Request, call};
use crate::failure::{Failure, Kind};

/// Writes events or people to a file
///
/// The file is readable by you alone (mode 0600) and not encrypted: where it goes is your decision,
/// and the export is in the audit.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// What to write
    what: ExportWhat,
    /// Whose data
    #[arg(long, value_name = "ACCOUNT")]
    account: String,
    /// The first day, in the account's time zone
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: Option<String>,
    /// The last day
    #[arg(long, value_name = "YYYY-MM-DD")]
    to: Option<String>,
    /// The file; `-` for standard output
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    file: PathBuf,
    /// How it is written; by the file's ending when not said (.jsonl, .json, .ndjson, .csv, .parquet)
    #[arg(long)]
    format: Option<ExportFormat>,
    #[command(flatten)]
    installation: Installation,
    #[command(flatten)]
    print: Format,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let format = match self.format {
            Some(format) => format,
            None => by_ending(&self.file)?,
        };
        let loaded = self.installation.read()?;
        let request = Request::Export {
            account: self.account,
            what: self.what,
            from: self.from,
            to: self.to,
            format,
        };
        let bar = ProgressBar::new_spinner();
        let style = "{spinner} {human_pos} rows {per_sec} {elapsed}";
        bar.set_style(
            ProgressStyle::with_template(style)
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        if self.file == Path::new("-") {
            let end = block_on(call(&loaded, request, |frame| {
                match frame {
                    Frame::Data(data) => print(data)?,
                    Frame::Progress(progress) => advance(&bar, progress),
                    _ => {}
                }
                Ok(())
            }));
            bar.finish_and_clear();
            return end.map(drop);
        }
        let mut target = Target::create(&self.file)?;
        let end = block_on(call(&loaded, request, |frame| {
            match frame {
                Frame::Data(data) => target.write(&data)?,
                Frame::Progress(progress) => advance(&bar, progress),
                _ => {}
            }
            Ok(())
        }));
        bar.finish_and_clear();
        let end = end?;
        target.finish()?;
        if self.print.json {
            return print_json(&end);
        }
        let rows = end
            .get("rows")
            .and_then(serde_json::Value::as_u64)
            .unwrap_or(0);
        note(&format!("{rows} rows in {}", self.file.display()));
        Ok(())
    }
}

fn advance(bar: &ProgressBar, progress: crate::admin::Progress) {
    if let Some(total) = progress.total {
        if bar.length() != Some(total) {
            let style = "{bar:40} {human_pos}/{human_len} rows {per_sec} {eta}";
            bar.set_style(
                ProgressStyle::with_template(style)
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
        }
        bar.set_length(total);
    }
    bar.set_position(progress.done);
}

fn by_ending(file: &Path) -> Result<ExportFormat> {
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("jsonl" | "json" | "ndjson") => Ok(ExportFormat::Jsonl),
        Some("csv") => Ok(ExportFormat::Csv),
        Some("parquet") => Ok(ExportFormat::Parquet),
        _ => bail!(Failure::new(
            Kind::Invalid,
            format!(
                "the ending of `{}` does not say how to write it: say --format",
                file.display()
            )
        )),
    }
}

/// The file being written: under another name until it is whole, mode 0600 from its first byte.
pub(super) struct Target {
    file: PathBuf,
    unfinished: PathBuf,
    writer: BufWriter<File>,
}

impl Target {
    pub(super) fn create(file: &Path) -> Result<Self> {
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".unfinished");
        let unfinished = file.with_file_name(name);
        drop(std::fs::remove_file(&unfinished));
        let open = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)
            .with_context(|| format!("failed to write `{}`", unfinished.display()))?;
        Ok(Self {
            file: file.to_path_buf(),
            unfinished,
            writer: BufWriter::new(open),
        })
    }

    pub(super) fn write(&mut self, data: &[u8]) -> Result<()> {
        let fail = || format!("failed to write `{}`", self.unfinished.display());
        self.writer.write_all(data).with_context(fail)
    }

    pub(super) fn finish(mut self) -> Result<()> {
        let fail = format!("failed to write `{}`", self.file.display());
        self.writer.flush().with_context(|| fail.clone())?;
        self.writer
            .get_ref()
            .sync_all()
            .with_context(|| fail.clone())?;
        std::fs::rename(&self.unfinished, &self.file).context(fail)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Whole, it has its own name by now; otherwise half a file of personal data must not stay.
        drop(std::fs::remove_file(&self.unfinished));
    }
}
