//! `/a/{account}/requests`: the request log, searched. It holds addresses: each search is in the
//! audit log.

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use model::Timestamp;

use super::overview::times;
use super::period::Period;
use super::staff::Staff;
use super::view::{
    Answer, Asked, Badge, Csv, Fields, Moment, Pager, Section, Shell, Times, Tone, answer, bytes,
    count, html, plural, unusable,
};
use crate::operate::requests::{Page, Search, search};
use crate::operate::{Row, number, text, time};
use crate::{Error, Result, State};

/// Lines on a page, and in a file.
const PAGE: u32 = 100;
const FILE: u32 = 10_000;

/// The page, or its table as a file.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    answer(&staff, show(&staff, &state, &asked).await)
}

#[derive(Debug, Template)]
#[template(path = "requests.html")]
struct Requests {
    shell: Shell,
    form: Form,
    lines: Vec<Line>,
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
    let is_file = asked.text("format") == "csv";
    let days = bounds(&times, asked);
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
    let csv = asked.link(&path, &["after", "format"], &[("format", "csv")]);
    let found = search(state, staff.actor(), &wanted).await;
    let page = match found.map_err(Error::from) {
        Ok(page) => page,
        Err(error) if error.kind() == model::ErrorKind::Invalid => {
            return unusable(&Requests {
                shell: shell.error(Some(error.words())),
                form,
                lines: Vec::new(),
                pager: Pager::default(),
                csv,
            });
        }
        Err(error) => return Err(error),
    };
    if is_file {
        return Ok(file(&page));
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
        lines,
        pager,
        csv,
    })
}

/// The days that are asked for, when there are any.
fn bounds(times: &Times, asked: &Fields) -> Option<(Timestamp, Timestamp)> {
    asked.some("from").or_else(|| asked.some("to"))?;
    let period = Period::asked(times, asked, 366);
    Some((period.from, period.to))
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
    let records = match (accepted, rejected) {
        (0, 0) => String::new(),
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

fn file(page: &Page) -> Response {
    let columns = [
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
    let mut csv = Csv::new(&columns);
    for row in &page.lines {
        let cells = columns.map(|it| match row.get(it) {
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(serde_json::Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        });
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        csv.line(&cells);
    }
    csv.file("requests.csv")
}
