//! The load of the page benchmark. `furnish` gives an account what its pages are about beside events:
//! profiles, rare events with properties of their own, records that are refused and requests that are
//! dropped. `measure` signs the first Admin up by the printed link, by a password and an authenticator
//! app, opens every page that the console leads to, again and again, and prints one JSON object of how
//! long each took.
//!
//! One connection, one request at a time, the next when the one before has come whole: what is
//! measured is what one person waits for.

#![expect(clippy::print_stdout, reason = "its output is its result")]

#[path = "../tests/it/visitor.rs"]
mod visitor;

use anyhow::ensure;
use clap::{Parser, Subcommand};
use model::{Clock, SystemClock};
use serde_json::{Value, json};
use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::Duration;
use visitor::{Shown, Visitor};

/// Records of one upload.
const BATCH: usize = 500;
/// People with a profile.
const PROFILES: u64 = 20_000;
/// Events that happen seldom, each with a property of its own.
const RARE_EVENTS: u64 = 300;
/// Requests that nobody is allowed to make.
const DROPS: u64 = 200;
/// Pages of one kind that are opened: one person's stands for those of all.
const OF_ONE_KIND: usize = 2;
/// Pages that are opened at most; more would be a page that links to itself under other names.
const PAGES_MAX: usize = 80;

#[derive(Debug, Parser)]
struct Options {
    /// Certificates to trust, PEM
    #[arg(long)]
    ca: PathBuf,
    /// The account's id
    #[arg(long)]
    account: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Uploads what pages are about beside events
    Furnish {
        /// The api plane, for example `https://localhost:8442`
        #[arg(long)]
        api: String,
        /// The collect plane
        #[arg(long)]
        collect: String,
        /// The account's passcode
        #[arg(long)]
        passcode: String,
        /// The first second of the days that events are spread over
        #[arg(long)]
        start: i64,
    },
    /// Opens the pages
    Measure {
        /// The console plane, for example `https://localhost:8443`
        #[arg(long)]
        console: String,
        /// The link of the first Admin, as `account create` printed it
        #[arg(long)]
        link: String,
        /// How often each page is opened
        #[arg(long, default_value_t = 40)]
        times: usize,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Options {
        ca,
        account,
        command,
    } = Options::parse();
    match command {
        Command::Furnish {
            api,
            collect,
            passcode,
            start,
        } => {
            let roots = reqwest::Certificate::from_pem_bundle(&std::fs::read(&ca)?)?;
            let http = reqwest::Client::builder();
            let shop = Shop {
                http: http.tls_certs_only(roots).no_proxy().build()?,
                api,
                account,
                passcode,
                start,
            };
            println!("{}", shop.furnish(&collect).await?);
        }
        Command::Measure {
            console,
            link,
            times,
        } => {
            let clock = SystemClock::new();
            let mut visitor = Visitor::new(&ca, &console, None)?;
            let now = u64::try_from(clock.now().seconds())?;
            visitor.join(&link, "ada@example.com", now).await?;
            let mut person = Person { visitor, clock };
            println!("{:#}", person.measure(&account, times).await?);
        }
    }
    Ok(())
}

/// Whatever a shop's server sends beside its events.
struct Shop {
    http: reqwest::Client,
    api: String,
    account: String,
    passcode: String,
    start: i64,
}

impl Shop {
    async fn furnish(&self, collect: &str) -> anyhow::Result<Value> {
        let mut records = Vec::new();
        for person in 0..PROFILES {
            records.push(self.profile(person));
        }
        for number in 0..RARE_EVENTS * 10 {
            records.push(self.rare_event(number));
        }
        // Refused, each for another reason.
        for number in 0..100 {
            records.push(match number % 3 {
                0 => json!({"identity": "", "type": "event", "evtName": "Search", "evtData": {}}),
                1 => json!({"identity": "customer-000001", "type": "wish"}),
                _ => json!({"identity": "customer-000001", "type": "event", "evtData": {}}),
            });
        }
        let mut accepted = 0;
        for some in records.chunks(BATCH) {
            let request = self.http.post(format!("{}/1/upload", self.api));
            let request = request
                .header("X-CleverTap-Account-Id", &self.account)
                .header("X-CleverTap-Passcode", &self.passcode)
                .body(json!({ "d": some }).to_string());
            let answer = request.send().await?.error_for_status()?.bytes().await?;
            let answer: Value = serde_json::from_slice(&answer)?;
            accepted += answer.get("processed").and_then(Value::as_u64).unwrap_or(0);
        }
        let mut dropped = 0;
        for number in 0..DROPS {
            let request = self.http.get(format!("{collect}/wp-{number}.php"));
            dropped += u64::from(request.send().await.is_err());
        }
        ensure!(
            dropped == DROPS,
            "{dropped} of {DROPS} requests were dropped"
        );
        let events = RARE_EVENTS * 10;
        ensure!(
            accepted == PROFILES + events,
            "{accepted} records were accepted"
        );
        Ok(json!({"profiles": PROFILES, "events": events, "dropped": dropped}))
    }

    fn profile(&self, person: u64) -> Value {
        json!({
            "identity": format!("customer-{person:06}"),
            "type": "profile",
            "ts": self.start,
            "profileData": {
                "Name": format!("Customer {person}"),
                "Email": format!("customer{person}@example.com"),
                "City": (["Pune", "Sofia", "Lyon", "Cork"].get((person % 4) as usize)),
                "Plan": (["free", "plus", "gold"].get((person % 3) as usize)),
                "Points": person * 7_919 % 10_000,
            },
        })
    }

    fn rare_event(&self, number: u64) -> Value {
        let kind = number % RARE_EVENTS;
        let days = i64::try_from(number * 31 % 90).unwrap_or(0);
        json!({
            "identity": format!("customer-{:06}", number * 7 % PROFILES),
            "type": "event",
            "ts": self.start + days * 86_400 + 43_200,
            "evtName": format!("Campaign {kind} Opened"),
            "evtData": { format!("Choice {kind}"): number % 5, "Channel": "web" },
        })
    }
}

/// One person at the console, and a clock.
struct Person {
    visitor: Visitor,
    clock: SystemClock,
}

/// A page, and how long each look at it took.
struct Page {
    path: String,
    took: Vec<Duration>,
    bytes: usize,
}

impl Page {
    const fn new(path: String) -> Self {
        Self {
            path,
            took: Vec::new(),
            bytes: 0,
        }
    }

    fn summary(&mut self, base: &str) -> Value {
        // Nothing of it was held when it was opened for the first time.
        let first = self.took.first().copied().unwrap_or_default();
        self.took.sort_unstable();
        let quantile = |share: usize| {
            let at = (self.took.len() * share).div_ceil(100).saturating_sub(1);
            ms(self.took.get(at).copied().unwrap_or_default())
        };
        json!({
            "page": self.path.replace(base, ""),
            "first_ms": ms(first),
            "p50_ms": quantile(50),
            "p95_ms": quantile(95),
            "max_ms": quantile(100),
            "bytes": self.bytes,
        })
    }
}

impl Person {
    /// Every page that the overview leads to, and the questions that cost most, each `times` times,
    /// in rounds: between two looks at a page all others were looked at.
    async fn measure(&mut self, account: &str, times: usize) -> anyhow::Result<Value> {
        ensure!(times > 1, "a page that is opened once has no quantiles");
        let base = format!("/a/{account}");
        let mut pages = self.walk(&format!("{base}/overview")).await?;
        for question in [
            "/overview?days=30",
            "/events?days=30",
            "/events?days=90&step=week",
            "/events?days=90&event=Search",
            "/events?days=7&measure=people",
            "/events?days=7&by=Category",
            "/events?days=7&event=Search&name=City&operator=is&value=Lyon",
            "/dictionary?sort=-events",
        ] {
            pages.push(Page::new(format!("{base}{question}")));
        }
        for _ in 0..times {
            for page in &mut pages {
                let shown = self.look(page).await?;
                ensure!(shown.status == 200, "{} gave {}", page.path, shown.status);
            }
        }
        let measured: Vec<Value> = pages.iter_mut().map(|it| it.summary(&base)).collect();
        Ok(json!({ "times": times, "pages": measured }))
    }

    /// Opens a page, by the clock.
    async fn look(&mut self, page: &mut Page) -> anyhow::Result<Shown> {
        let asked = self.clock.monotonic();
        let shown = self.visitor.get(&page.path).await?;
        page.took.push(self.clock.monotonic().saturating_sub(asked));
        page.bytes = shown.body.len();
        Ok(shown)
    }

    /// The pages that `start` leads to, by links alone.
    async fn walk(&mut self, start: &str) -> anyhow::Result<Vec<Page>> {
        let mut waiting = VecDeque::from([start.to_owned()]);
        let mut seen = BTreeSet::new();
        let mut kinds: Vec<String> = Vec::new();
        let mut pages: Vec<Page> = Vec::new();
        while let Some(path) = waiting.pop_front() {
            if !seen.insert(path.clone()) || !is_page(&path) {
                continue;
            }
            let kind = kind(&path);
            if kinds.iter().filter(|it| **it == kind).count() >= OF_ONE_KIND {
                continue;
            }
            kinds.push(kind);
            let mut page = Page::new(path);
            let shown = self.look(&mut page).await?;
            ensure!(shown.status == 200, "{} gave {}", page.path, shown.status);
            ensure!(
                pages.len() < PAGES_MAX,
                "too many pages, {} among them",
                page.path
            );
            pages.push(page);
            waiting.extend(links(&shown.body));
        }
        ensure!(pages.len() >= 15, "only {} pages were found", pages.len());
        Ok(pages)
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The addresses that a page leads to.
fn links(page: &str) -> Vec<String> {
    let found = page.split("href=\"").skip(1);
    let found = found.filter_map(|rest| rest.split('"').next());
    found
        .map(|it| it.replace("&amp;", "&").replace("&#38;", "&"))
        .collect()
}

/// A page of the console: no file, no download, and not a page again by another filter.
fn is_page(path: &str) -> bool {
    let (name, query) = path.split_once('?').unwrap_or((path, ""));
    let is_one = name.ends_with("/user") || name.ends_with("/event") || name.ends_with("/samples");
    (name.starts_with("/a/") || name == "/me")
        && (query.is_empty() || is_one)
        && !name.contains("/download")
        && !name.contains("/export")
}

/// Pages that differ only in whom or what they are about.
fn kind(path: &str) -> String {
    let name = path.split('?').next().unwrap_or_default();
    let words = name.split('/').map(|word| {
        let is_key = word.len() == 32 && word.bytes().all(|it| it.is_ascii_hexdigit());
        if is_key { "{key}" } else { word }
    });
    words.collect::<Vec<_>>().join("/")
}
