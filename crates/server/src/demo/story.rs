//! What the demo tells, for a person to enjoy: colours only where a terminal shows them.

use anyhow::Result;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::client::Sent;
use super::shop::Shop;
use super::{Account, Links, text};
use crate::cli::{Paint, human_bytes, print};
use crate::init::Made;

const BAR_CHARS: u64 = 36;

/// Prints the story, chapter by chapter.
#[derive(Debug)]
pub(super) struct Story {
    paint: Paint,
}

impl Story {
    pub(super) fn begin() -> Result<Self> {
        let paint = Paint::stdout();
        print(format!(
            "\n{}\n{}\n",
            paint.bold("Strongroom"),
            paint.dim("customer data, collected over TLS, sealed, spread over volumes, and yours")
        ))?;
        Ok(Self { paint })
    }

    pub(super) fn installed(
        &self,
        made: &Made,
        addresses: &[(&'static str, SocketAddr)],
    ) -> Result<()> {
        let mut body = format!(
            "A new installation in {}\n{} volumes: any {} of them hold everything, {} may be lost.\n",
            made.config
                .parent()
                .unwrap_or_else(|| Path::new("/"))
                .display(),
            made.volumes.len(),
            made.data,
            made.parity
        );
        for (plane, address) in addresses {
            let scheme = if *plane == "ops" { "http" } else { "https" };
            body.push_str(&format!("  {plane:<8} {scheme}://{address}\n"));
        }
        self.chapter("The server is up", &body)
    }

    pub(super) fn sent(&self, shop: &Shop, sent: &Sent, took: Duration) -> Result<()> {
        let body = format!(
            "{} people, {} events and their profiles, in {} uploads, {:.1} s\n\
             {} {} records accepted, each durable before it was answered\n\
             {} {} records rejected with a code and kept in quarantine\n\
             {} {} requests refused with an answer\n\
             {} {} requests dropped in silence: scanners got not one byte\n",
            Shop::people(),
            shop.events(),
            sent.uploads,
            took.as_secs_f64(),
            self.paint.good("✓"),
            sent.accepted,
            self.paint.bad("✗"),
            sent.rejected,
            self.paint.bad("✗"),
            sent.refused,
            self.paint.bad("✗"),
            sent.silent,
        );
        self.chapter(
            "A shop's fortnight, sent over TLS by the public protocol",
            &body,
        )
    }

    pub(super) fn requests(&self, requests: &[Value], rejected: &[Value]) -> Result<()> {
        let mut body = String::new();
        for row in requests {
            let reason = text(row, "reason");
            let reason = if reason.is_empty() {
                "served".to_owned()
            } else {
                reason
            };
            body.push_str(&format!(
                "  {:<9} {:>5}  {}\n",
                text(row, "outcome"),
                number(row, "times"),
                self.paint.dim(&reason.replace('_', " "))
            ));
        }
        body.push_str(&self.paint.dim("In quarantine, until somebody looks:\n"));
        for row in rejected {
            let error = text(row, "error");
            let error = error
                .split("Skipped record")
                .next()
                .unwrap_or_default()
                .trim();
            body.push_str(&format!(
                "  {:<9} {:>5}  {error}\n",
                number(row, "code"),
                number(row, "times")
            ));
        }
        self.chapter(
            "Every request is on record, and so is every drop, with its reason",
            &body,
        )
    }

    pub(super) fn days(&self, by_day: &[Value], by_name: &[Value]) -> Result<()> {
        let most = by_day
            .iter()
            .map(|row| number(row, "events"))
            .max()
            .unwrap_or(1)
            .max(1);
        let mut body = String::new();
        for row in by_day {
            let events = number(row, "events");
            let day: String = text(row, "day").chars().take(10).collect();
            body.push_str(&format!(
                "  {day}  {} {events}\n",
                self.paint.accent(&bar(events, most))
            ));
        }
        body.push('\n');
        for row in by_name {
            body.push_str(&format!(
                "  {:<16} {:>6} events by {:>4} people\n",
                text(row, "name"),
                number(row, "times"),
                number(row, "people")
            ));
        }
        self.chapter("What happened, by SQL over what is stored", &body)
    }

    pub(super) fn person(&self, person: &Value) -> Result<()> {
        let mut body = format!("  {}\n", self.paint.bold(&text(person, "identity")));
        for (name, value) in person
            .get("profile")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            body.push_str(&format!("  {:<12} {}\n", name, crate::cli::cell(value)));
        }
        body.push('\n');
        for (name, of) in person
            .get("events")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let day = |key: &str| text(of, key).chars().take(10).collect::<String>();
            body.push_str(&format!(
                "  {:<16} {:>4} times, {} to {}\n",
                name,
                number(of, "count"),
                day("first_seen"),
                day("last_seen")
            ));
        }
        self.chapter("One person's history", &body)
    }

    pub(super) fn volumes(&self, status: &Value, flushed: &Value) -> Result<()> {
        let volumes = status.get("volumes").and_then(Value::as_array);
        let bytes = |row: &Value| number(row, "bytes");
        let most = volumes
            .into_iter()
            .flatten()
            .map(bytes)
            .max()
            .unwrap_or(1)
            .max(1);
        let mut body = format!(
            "{} rows now lie in {} Parquet parts, sealed with AES-256-GCM, a key for each.\n",
            number(flushed, "rows"),
            number(flushed, "parts")
        );
        for row in volumes.into_iter().flatten() {
            let held = bytes(row);
            body.push_str(&format!(
                "  vol-{}  {} {}\n",
                number(row, "number"),
                self.paint.accent(&bar(held, most)),
                human_bytes(held)
            ));
        }
        self.chapter("Where the bytes are", &body)
    }

    pub(super) fn volume_lost(&self, volume: &Path, events: u64) -> Result<()> {
        let name = volume
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let body = format!(
            "{} removed while the server runs: {} all {events} events still read.\n\
             Put back, compared and repaired by itself.\n",
            self.paint.bold(&name),
            self.paint.good("✓")
        );
        self.chapter("A volume is removed", &body)
    }

    pub(super) fn deleted(
        &self,
        identity: &str,
        events: u64,
        left: u64,
        job: &Value,
    ) -> Result<()> {
        let body = format!(
            "{} asked to be forgotten: hidden at once, {events} events and the profile.\n\
             {left} events of everybody else are still there.\n\
             Then {} objects were rewritten and {} keys destroyed: no old copy of a volume opens them.\n\
             {} looked up again: nobody.\n",
            self.paint.bold(identity),
            number(job, "objects"),
            number(job, "keys_destroyed"),
            self.paint.good("✓")
        );
        self.chapter("One person is deleted, and gone", &body)
    }

    pub(super) fn stays_up(&self, made: &Made, account: &Account, links: &Links) -> Result<()> {
        let body = format!(
            "  account   {}\n  passcode  {}\n  ca        {}\n  config    {}\n\n\
             Open the console (your browser does not know this installation's ca yet, and asks):\n\
             \x20 shop          {}\n\
             \x20 installation  {}\n\
             Each link works once, within 72 hours; have an authenticator app at hand.\n\n\
             Try, in another terminal:\n\
             \x20 strongroom query --config {} --account {} \\\n\
             \x20   'SELECT name, count(*) FROM events GROUP BY name'\n\n\
             Ctrl-C ends the demo.\n",
            account.id,
            account.passcode,
            made.ca.display(),
            made.config.display(),
            links.admin,
            links.operator,
            made.config.display(),
            account.id
        );
        self.chapter("The server stays up", &body)
    }

    pub(super) fn ended(&self, took: Duration) -> Result<()> {
        print(format!(
            "\n{} everything that was told was read back from the product, in {:.1} s.\n",
            self.paint.good("Done:"),
            took.as_secs_f64()
        ))
    }

    fn chapter(&self, title: &str, body: &str) -> Result<()> {
        print(format!("\n{}\n{body}", self.paint.bold(title)))
    }
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or(0)
}

/// A bar as long as `part` is of `whole`; anything at all is at least a sliver.
fn bar(part: u64, whole: u64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (part.saturating_mul(BAR_CHARS * 8) / whole.max(1)).max(u64::from(part > 0));
    let full = usize::try_from(eighths / 8).unwrap_or(0);
    let rest = usize::try_from(eighths % 8).unwrap_or(0);
    let mut text = "█".repeat(full);
    text.push_str(EIGHTHS.get(rest).copied().unwrap_or(""));
    text
}
