//! `/a/0/drops`: what was refused in silence, in groups, samples of a group, and its review.

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::Act;

use super::overview::{of_installation, times};
use super::staff::Staff;
use super::view::{
    Answer, Asked, Badge, Column, Csv, Fields, Head, Heads, Moment, Pager, Posted, Section, Sheet,
    Shell, Tone, answer, bytes, count, file, html, link, plural, see_other,
};
use crate::operate::drops::{Group, groups, review, samples};
use crate::operate::{Row, number, text, time};
use crate::{Result, State};

const PATH: &str = "/a/0/drops";
/// Samples of a group on its page, and in a file.
const SAMPLES: u32 = 50;
const SAMPLES_FILE: u32 = 1_000;

/// The columns of the table and of its file.
const COLUMNS: &[Column<Group>] = &[
    Column::new("reason", "Reason", |it: &Group, _| it.reason.clone())
        .by(|a, b| a.reason.cmp(&b.reason)),
    Column::new("path", "Path", |it: &Group, _| it.path.clone()).by(|a, b| a.path.cmp(&b.path)),
    Column::new("drops", "Drops", |it: &Group, _| it.count.to_string())
        .most(|a, b| a.count.cmp(&b.count))
        .number(),
    Column::new("first_seen", "First", |it: &Group, times| {
        times.cell(Some(it.first_seen))
    })
    .most(|a, b| a.first_seen.cmp(&b.first_seen)),
    Column::new("last_seen", "Last", |it: &Group, times| {
        times.cell(Some(it.last_seen))
    })
    .most(|a, b| a.last_seen.cmp(&b.last_seen)),
    Column::new("new", "Review", |it: &Group, _| it.new.to_string()).most(|a, b| a.new.cmp(&b.new)),
    Column::new("reviewed_at", "", |it: &Group, times| {
        times.cell(it.reviewed_at)
    }),
    Column::new("reviewed_by", "", |it: &Group, _| {
        it.reviewed_by.clone().unwrap_or_default()
    }),
];

/// The page, or its table as a file.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    answer(&staff, show(&staff, &state, &asked).await)
}

/// A review.
pub(crate) async fn post(staff: Staff, Of(state): Of<State>, Posted(fields): Posted) -> Response {
    let reviewed = async {
        of_installation(&staff)?;
        let reason = fields.some("reason");
        // A group without a path is a group of its own: the field is there, and empty.
        let path = reason.and_then(|_| fields.raw("path"));
        let done = review(&state, staff.actor(), reason, path).await?;
        let number = done.count.to_string();
        see_other(&link(PATH, &[("done", "reviewed"), ("n", &number)]))
    };
    answer(&staff, reviewed.await)
}

/// Samples of one group.
pub(crate) async fn one(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    answer(&staff, open(&staff, &state, &asked).await)
}

#[derive(Debug, Template)]
#[template(path = "drops.html")]
struct Drops {
    shell: Shell,
    q: String,
    state: String,
    groups: Vec<Listed>,
    heads: Heads,
    pager: Pager,
    unreviewed: usize,
    may_review: bool,
    csv: String,
    total: String,
}

#[derive(Debug)]
struct Listed {
    reason: String,
    words: String,
    path: String,
    href: String,
    number: String,
    is_new: bool,
    first: Moment,
    last: Moment,
    review: Option<(Moment, String)>,
    badge: Badge,
}

async fn show(staff: &Staff, state: &State, asked: &Fields) -> Answer {
    of_installation(staff)?;
    let times = times(staff, state);
    let mut found = groups(state, staff.actor()).await?;
    let total: u64 = found.iter().map(|it| it.count).sum();
    let unreviewed = found.iter().filter(|it| it.new > 0).count();
    let (reason, q) = (asked.text("reason"), asked.text("q").to_lowercase());
    let wanted = asked.text("state");
    found.retain(|it| {
        let is_meant = reason.is_empty() || it.reason == reason;
        let is_state = match wanted {
            "new" => it.new > 0,
            "reviewed" => it.new == 0,
            _ => true,
        };
        let is_found = it.path.to_lowercase().contains(&q) || it.reason.contains(&q);
        is_meant && is_state && is_found
    });
    let sheet = Sheet::new(asked, PATH);
    let heads = sheet.sort(COLUMNS, Some(("drops", true)), &mut found);
    if sheet.is_file() {
        return Ok(file(COLUMNS, &found, &times, "drops.csv"));
    }
    let (found, pager) = sheet.cut(found, "group");
    let listed = |it: &Group| Listed {
        words: it.reason.replace('_', " "),
        href: link(
            &format!("{PATH}/samples"),
            &[("reason", &it.reason), ("path", &it.path)],
        ),
        reason: it.reason.clone(),
        path: it.path.clone(),
        number: count(it.count),
        is_new: it.new > 0,
        first: times.on(it.first_seen),
        last: times.ago(it.last_seen),
        review: it
            .reviewed_at
            .zip(it.reviewed_by.clone())
            .map(|(at, by)| (times.on(at), by)),
        badge: match it.new {
            0 => Badge::new(Tone::Ok, "Reviewed"),
            new => Badge::new(Tone::Warn, format!("{} new", count(new))),
        },
    };
    let reviewed = asked.text("n").parse().unwrap_or(0);
    let done = (asked.text("done") == "reviewed")
        .then(|| format!("{} marked as reviewed.", plural(reviewed, "drop")));
    html(&Drops {
        shell: Shell::new(staff, Section::Drops, "Drops").done(done),
        q: asked.text("q").to_owned(),
        state: wanted.to_owned(),
        groups: found.iter().map(listed).collect(),
        heads,
        pager,
        unreviewed,
        may_review: staff.may(Act::ManageInstallation),
        csv: sheet.csv(),
        total: count(total),
    })
}

#[derive(Debug, Template)]
#[template(path = "drops_samples.html")]
struct Samples {
    shell: Shell,
    reason: String,
    path: String,
    samples: Vec<Sample>,
    heads: Heads,
    csv: String,
    may_review: bool,
}

#[derive(Debug)]
struct Sample {
    at: Moment,
    plane: String,
    peer: String,
    tls: String,
    method: String,
    path: String,
    size: String,
    more: u64,
}

const SAMPLE_COLUMNS: [&str; 8] = [
    "ts",
    "plane",
    "peer",
    "tls_version",
    "method",
    "path",
    "size_bytes",
    "more",
];

const SAMPLE_HEADS: &[Head] = &[
    Head::new("ts", "Time").falling(),
    Head::new("plane", "Plane").rising(),
    Head::new("peer", "Address").rising(),
    Head::new("tls_version", "TLS").rising(),
    Head::new("method", "Method").rising(),
    Head::new("path", "Path").rising(),
    Head::new("size_bytes", "Size").falling().number(),
    Head::new("more", "And others").falling().number(),
];

/// Puts samples in order: they come with the newest first.
fn sort(sheet: &Sheet<'_>, rows: &mut [Row]) -> Heads {
    if let Some((name, falls)) = sheet.order() {
        rows.sort_by(|a, b| {
            let key = |row: &Row| (number(row, name), text(row, name).to_owned());
            match falls {
                true => key(b).cmp(&key(a)),
                false => key(a).cmp(&key(b)),
            }
        });
    }
    sheet.heads(SAMPLE_HEADS, Some(("ts", true)))
}

async fn open(staff: &Staff, state: &State, asked: &Fields) -> Answer {
    of_installation(staff)?;
    let times = times(staff, state);
    let reason = asked.text("reason");
    let path = asked.raw("path");
    let at = format!("{PATH}/samples");
    let sheet = Sheet::new(asked, &at);
    let limit = if sheet.is_file() {
        SAMPLES_FILE
    } else {
        SAMPLES
    };
    let mut rows = samples(state, staff.actor(), reason, path, limit).await?;
    let heads = sort(&sheet, &mut rows);
    if sheet.is_file() {
        return Ok(Csv::of_rows(&SAMPLE_COLUMNS, &rows, "drop-samples.csv"));
    }
    let sample = |row: &Row| -> Result<Sample> {
        let member = |name: &str| text(row, name).to_owned();
        Ok(Sample {
            at: times.at(time(row, "ts")?),
            plane: member("plane"),
            peer: member("peer"),
            tls: member("tls_version"),
            method: member("method"),
            path: member("path"),
            size: bytes(number(row, "size_bytes")),
            more: number(row, "more"),
        })
    };
    html(&Samples {
        shell: Shell::new(staff, Section::Drops, reason.replace('_', " ")).under("Drops", PATH),
        reason: reason.to_owned(),
        path: path.unwrap_or_default().to_owned(),
        heads,
        csv: sheet.csv(),
        samples: rows.iter().map(sample).collect::<Result<_>>()?,
        may_review: staff.may(Act::ManageInstallation),
    })
}
