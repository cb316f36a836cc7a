//! `/a/0/drops`: what was refused in silence, in groups, samples of a group, and its review.

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::Act;

use super::overview::{of_installation, times};
use super::staff::Staff;
use super::view::{
    Answer, Asked, Badge, Csv, Fields, Moment, Pager, Posted, Section, Shell, Tone, answer, bytes,
    count, html, link, plural, see_other,
};
use crate::operate::drops::{Group, groups, review, samples};
use crate::operate::{Row, number, text, time};
use crate::{Result, State};

/// Groups on a page.
const PAGE: usize = 100;
/// Samples of a group.
const SAMPLES: u32 = 50;

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
        see_other(&link("/a/0/drops", &[("done", "reviewed"), ("n", &number)]))
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
    const PATH: &str = "/a/0/drops";
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
    if asked.text("sort") == "last" {
        found.sort_by_key(|it| std::cmp::Reverse(it.last_seen));
    }
    if asked.text("format") == "csv" {
        return Ok(file(&found));
    }
    let from = asked.text("page").parse::<usize>().unwrap_or(0);
    let next = from.saturating_add(PAGE);
    let number = found.len();
    let pager = Pager {
        note: plural(u64::try_from(number).unwrap_or(u64::MAX), "group"),
        first: (from > 0).then(|| asked.link(PATH, &["page", "done", "n"], &[])),
        next: (next < number)
            .then(|| asked.link(PATH, &["page", "done", "n"], &[("page", &next.to_string())])),
    };
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
        groups: found.iter().skip(from).take(PAGE).map(listed).collect(),
        pager,
        unreviewed,
        may_review: staff.may(Act::ManageInstallation),
        csv: asked.link(PATH, &["page", "done", "n", "format"], &[("format", "csv")]),
        total: count(total),
    })
}

fn file(groups: &[Group]) -> Response {
    let columns = [
        "reason",
        "path",
        "drops",
        "first_seen",
        "last_seen",
        "new",
        "reviewed_at",
        "reviewed_by",
    ];
    let mut csv = Csv::new(&columns);
    for it in groups {
        let at = it.reviewed_at.map(|at| at.to_string()).unwrap_or_default();
        csv.line(&[
            &it.reason,
            &it.path,
            &it.count.to_string(),
            &it.first_seen.to_string(),
            &it.last_seen.to_string(),
            &it.new.to_string(),
            &at,
            it.reviewed_by.as_deref().unwrap_or_default(),
        ]);
    }
    csv.file("drops.csv")
}

#[derive(Debug, Template)]
#[template(path = "drops_samples.html")]
struct Samples {
    shell: Shell,
    reason: String,
    path: String,
    samples: Vec<Sample>,
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

async fn open(staff: &Staff, state: &State, asked: &Fields) -> Answer {
    of_installation(staff)?;
    let times = times(staff, state);
    let reason = asked.text("reason");
    let path = asked.raw("path");
    let rows = samples(state, staff.actor(), reason, path, SAMPLES).await?;
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
        shell: Shell::new(staff, Section::Drops, reason.replace('_', " "))
            .under("Drops", "/a/0/drops"),
        reason: reason.to_owned(),
        path: path.unwrap_or_default().to_owned(),
        samples: rows.iter().map(sample).collect::<Result<_>>()?,
        may_review: staff.may(Act::ManageInstallation),
    })
}
