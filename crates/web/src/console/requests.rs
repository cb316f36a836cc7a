//! `/a/{account}/requests`: the request log, searched. It holds addresses: each search is in the
//! audit log.

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use collect::GATHERED;
use control::authz;

use super::overview::times;
use super::period::Period;
use super::staff::Staff;
use super::view::{
    Answer, Asked, Badge, Csv, Fields, Head, Heads, Moment, Pager, Section, Sheet, Shell, Times,
    Tone, answer, bytes, count, html, plural, unusable,
};
use crate::operate::requests::{Order, Search, search};
use crate::operate::{Row, number, text, time};
use crate::{Error, Result, State};

/// Lines on a page, and in a file.
const PAGE: u32 = 100;
const FILE: u32 = 10_000;

/// The columns of the file.
const COLUMNS: [&str; 13] = [
    "ts",
    "plane",
    "peer",
    "tls_version",
    "method",
    "path",
    "status",
    "outcome",
    "reason",
    "size_bytes",
    "accepted",
    "rejected",
    "duration_us",
];

const HEADS: &[Head] = &[
    Head::new("ts", "Time").falling(),
    Head::new("path", "Request"),
    Head::new("outcome", "Outcome"),
    Head::new("accepted", "Records"),
    Head::new("size_bytes", "Size").falling().number(),
    Head::new("duration_us", "Took").falling().number(),
    Head::new("peer", "From"),
];

/// The page, or its table as a file.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    answer(&staff, show(&staff, &state, &asked).await)
}

#[derive(Debug, Template)]
#[template(path = "requests.html")]
struct Requests {
    shell: Shell,
    form: Form,
    /// Whether whole addresses are shown.
    sees_addresses: bool,
    lines: Vec<Line>,
    heads: Heads,
    pager: Pager,
    csv: String,
}

#[derive(Debug, Default)]
struct Form {
    from: String,
    to: String,
    plane: String,
    outcome: String,
    reason: String,
    path: String,
    peer: String,
}

#[derive(Debug)]
struct Line {
    at: Moment,
    plane: String,
    method: String,
    path: String,
    status: String,
    outcome: Badge,
    reason: String,
    records: String,
    size: String,
    took: String,
    peer: String,
    tls: String,
}

async fn show(staff: &Staff, state: &State, asked: &Fields) -> Answer {
    let times = times(staff, state);
    let path = format!("/a/{}/requests", staff.account());
    let sheet = Sheet::new(asked, &path);
    let is_file = sheet.is_file();
    let days = Period::bounds(&times, asked);
    let some = |name: &str| asked.some(name).map(str::to_owned);
    let wanted = Search {
        account: Some(staff.account()),
        from: days.map(|it| it.0),
        to: days.map(|it| it.1),
        plane: some("plane"),
        outcome: some("outcome"),
        peer: some("peer"),
        reason: some("reason"),
        path: some("path"),
        order: order(&sheet),
        limit: if is_file { FILE } else { PAGE },
        cursor: some("after"),
    };
    let form = Form {
        from: asked.text("from").to_owned(),
        to: asked.text("to").to_owned(),
        plane: asked.text("plane").to_owned(),
        outcome: asked.text("outcome").to_owned(),
        reason: asked.text("reason").to_owned(),
        path: asked.text("path").to_owned(),
        peer: asked.text("peer").to_owned(),
    };
    let shell = Shell::new(staff, Section::Requests, "Requests");
    let csv = sheet.csv();
    let sees_addresses = authz::sees_personal_information(staff.actor(), staff.account());
    let heads = sheet.heads(HEADS, Some(("ts", true)));
    let found = search(state, staff.actor(), &wanted).await;
    let page = match found.map_err(Error::from) {
        Ok(page) => page,
        Err(error) if error.kind() == model::ErrorKind::Invalid => {
            return unusable(&Requests {
                shell: shell.error(Some(error.words())),
                form,
                sees_addresses,
                lines: Vec::new(),
                heads,
                pager: Pager::default(),
                csv,
            });
        }
        Err(error) => return Err(error),
    };
    if is_file {
        return Ok(Csv::of_rows(&COLUMNS, &page.lines, "requests.csv"));
    }
    let lines: Vec<Line> = page
        .lines
        .iter()
        .map(|row| line(row, &times))
        .collect::<Result<_>>()?;
    let pager = Pager {
        note: plural(u64::try_from(lines.len()).unwrap_or(u64::MAX), "request"),
        first: asked
            .some("after")
            .map(|_| asked.link(&path, &["after"], &[])),
        next: page
            .next
            .map(|it| asked.link(&path, &["after"], &[("after", &it)])),
    };
    html(&Requests {
        shell,
        form,
        sees_addresses,
        lines,
        heads,
        pager,
        csv,
    })
}

/// By which column, newest first unless something else is asked for.
fn order(sheet: &Sheet<'_>) -> Order {
    match sheet.order() {
        Some(("ts", false)) => Order::Oldest,
        Some(("size_bytes", true)) => Order::Largest,
        Some(("size_bytes", false)) => Order::Smallest,
        Some(("duration_us", true)) => Order::Slowest,
        Some(("duration_us", false)) => Order::Fastest,
        _ => Order::Newest,
    }
}

fn line(row: &Row, times: &Times) -> Result<Line> {
    let member = |name: &str| text(row, name).to_owned();
    let outcome = match text(row, "outcome") {
        "answered" => Badge::new(Tone::Ok, "Answered"),
        "refused" => Badge::new(Tone::Warn, "Refused"),
        "dropped" => Badge::new(Tone::Bad, "Dropped"),
        other => Badge::new(Tone::Plain, other),
    };
    let (accepted, rejected) = (number(row, "accepted"), number(row, "rejected"));
    let was_served = text(row, "outcome") == "answered" && text(row, "reason") != GATHERED;
    let records = match (accepted, rejected) {
        (0, 0) => String::new(),
        (0, more) if !was_served => format!("and {} more", plural(more, "request")),
        (accepted, 0) => count(accepted),
        (accepted, rejected) => format!("{} + {} rejected", count(accepted), count(rejected)),
    };
    let micros = number(row, "duration_us");
    Ok(Line {
        at: times.at(time(row, "ts")?),
        plane: member("plane"),
        method: member("method"),
        path: member("path"),
        status: match number(row, "status") {
            0 => String::from("none"),
            status => status.to_string(),
        },
        outcome,
        reason: member("reason").replace('_', " "),
        records,
        size: bytes(number(row, "size_bytes")),
        took: format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        peer: member("peer"),
        tls: member("tls_version"),
    })
}
