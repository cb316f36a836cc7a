//! `/a/{account}/quarantine`: the error stream, the records that were not accepted, and what is done
//! with them.

pub(crate) mod record;

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::{Act, Action, AuditOutcome, ErrorView};
use model::RecordId;
use model::record::Source;
use model::submission::RejectReason;
use std::time::Duration;

use super::overview::times;
use super::period::Period;
use super::records::short;
use super::staff::Staff;
use super::view::{
    Answer, Asked, Badge, Column, Csv, Fields, Head, Heads, Moment, Pager, Posted, Section, Sheet,
    Shell, Times, Tone, answer, count, file, html, link, plural, see_other,
};
use crate::operate::quarantine::{Desk, ErrorGroup, Outcome, RecordState, Wanted, groups};
use crate::operate::{Row, number, text, time};
use crate::{Error, Result, State};

/// Records on a page, and in a file.
const PAGE: u32 = 50;
const FILE: u32 = 10_000;
/// The time that the error stream looks back.
const LOOK_BACK: Duration = Duration::from_secs(30 * 86_400);
/// The table of errors, and the one of what was accepted and is odd, in the URL.
const STREAM: &str = "errors";
const ODD: &str = "oddities";
/// The columns of the file of records.
const COLUMNS: [&str; 7] = [
    "record_id",
    "ts",
    "source",
    "person_key",
    "code",
    "error",
    "state",
];
const HEADS: &[Head] = &[
    Head::new("ts", "Received").falling(),
    Head::new("code", "Code"),
    Head::new("error", "Error"),
    Head::new("source", "Source"),
    Head::new("person_key", "Person"),
    Head::new("state", "State"),
];
const STREAM_COLUMNS: &[Column<ErrorGroup>] = &[
    Column::new("code", "Code", |it: &ErrorGroup, _| it.code.to_string())
        .by(|a, b| a.code.cmp(&b.code)),
    Column::new("error", "Error", |it: &ErrorGroup, _| it.error.clone())
        .by(|a, b| a.error.cmp(&b.error)),
    Column::new("source", "Source", |it: &ErrorGroup, _| it.source.clone())
        .by(|a, b| a.source.cmp(&b.source)),
    Column::new("records", "Records", |it: &ErrorGroup, _| {
        it.count.to_string()
    })
    .most(|a, b| a.count.cmp(&b.count))
    .number(),
    Column::new("first_seen", "First", |it: &ErrorGroup, times| {
        times.cell(Some(it.first_seen))
    })
    .most(|a, b| a.first_seen.cmp(&b.first_seen)),
    Column::new("last_seen", "Last", |it: &ErrorGroup, times| {
        times.cell(Some(it.last_seen))
    })
    .most(|a, b| a.last_seen.cmp(&b.last_seen)),
];
const ODD_COLUMNS: &[Column<ErrorView>] = &[
    Column::new("what", "What", |it: &ErrorView, _| it.error.clone())
        .by(|a, b| a.error.cmp(&b.error)),
    Column::new("event", "Event", |it: &ErrorView, _| {
        it.event.clone().unwrap_or_default()
    })
    .by(|a, b| a.event.cmp(&b.event)),
    Column::new("property", "Property", |it: &ErrorView, _| {
        it.property.clone().unwrap_or_default()
    })
    .by(|a, b| a.property.cmp(&b.property)),
    Column::new("source", "Source", |it: &ErrorView, _| {
        it.source.clone().unwrap_or_default()
    })
    .by(|a, b| a.source.cmp(&b.source)),
    Column::new("times", "Times", |it: &ErrorView, _| it.count.to_string())
        .most(|a, b| a.count.cmp(&b.count))
        .number(),
    Column::new("last_seen", "Last", |it: &ErrorView, times| {
        times.cell(Some(it.last_seen))
    })
    .most(|a, b| a.last_seen.cmp(&b.last_seen)),
];

/// The page, or its table as a file.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    answer(&staff, show(&staff, &state, &asked).await)
}

/// Replays or deletes what is ticked.
pub(crate) async fn post(staff: Staff, Of(state): Of<State>, Posted(fields): Posted) -> Response {
    answer(&staff, act(&staff, &state, &fields).await)
}

#[derive(Debug, Template)]
#[template(path = "quarantine.html")]
struct Quarantine {
    shell: Shell,
    path: String,
    stream: Part<Group>,
    /// What was accepted and is odd.
    odd: Part<Oddity>,
    form: Form,
    records: Vec<Listed>,
    heads: Heads,
    pager: Pager,
    may_change: bool,
    csv: String,
}

/// What the records are filtered by.
#[derive(Debug)]
struct Form {
    code: String,
    source: String,
    state: String,
    from: String,
    to: String,
}

impl Form {
    fn new(asked: &Fields) -> Self {
        let text = |name: &str| asked.text(name).to_owned();
        Self {
            code: text("code"),
            source: text("source"),
            state: text("state"),
            from: text("from"),
            to: text("to"),
        }
    }

    /// Whether anything is said.
    fn is_empty(&self) -> bool {
        let all = [&self.code, &self.source, &self.state, &self.from, &self.to];
        all.into_iter().all(String::is_empty)
    }

    /// Every way in which records come.
    const fn sources(&self) -> [Source; 5] {
        Source::ALL
    }

    const fn states(&self) -> [RecordState; 2] {
        RecordState::ALL
    }
}

/// One of the tables above the records.
#[derive(Debug)]
struct Part<L> {
    lines: Vec<L>,
    heads: Heads,
    pager: Pager,
    csv: String,
}

#[derive(Debug)]
struct Group {
    code: u16,
    error: String,
    source: String,
    number: String,
    first: Moment,
    last: Moment,
    href: String,
}

/// Something about names and values that were accepted: a property whose values are of several
/// kinds, an event that is defined and never comes.
#[derive(Debug)]
struct Oddity {
    error: String,
    event: String,
    property: String,
    source: String,
    number: String,
    last: Moment,
}

#[derive(Debug)]
struct Listed {
    id: String,
    href: String,
    at: Moment,
    source: String,
    code: String,
    error: String,
    person: String,
    state: Badge,
}

async fn show(staff: &Staff, state: &State, asked: &Fields) -> Answer {
    let times = times(staff, state);
    let path = format!("/a/{}/quarantine", staff.account());
    let sheet = Sheet::new(asked, &path);
    let (stream, odd) = (sheet.named(STREAM), sheet.named(ODD));
    if stream.is_file() || odd.is_file() {
        return counted(staff, state, &sheet, &times).await;
    }
    let source = asked.text("source");
    let days = Period::bounds(&times, asked);
    let wanted = Wanted {
        code: asked.some("code").and_then(|it| it.parse().ok()),
        source: Source::ALL.into_iter().find(|it| it.as_str() == source),
        state: RecordState::from_name(asked.text("state")),
        from: days.map(|it| it.0),
        to: days.map(|it| it.1),
        oldest_first: sheet.order() == Some(("ts", false)),
        after: asked.some("after").and_then(|it| it.parse().ok()),
        limit: if sheet.is_file() { FILE } else { PAGE },
    };
    let desk = desk(staff, state);
    let page = desk.list(&wanted).await?;
    if sheet.is_file() {
        return Ok(Csv::of_rows(&COLUMNS, &page.records, "quarantine.csv"));
    }
    let mut found = errors(staff, state, &times).await?;
    let heads = stream.sort(STREAM_COLUMNS, Some(("last_seen", true)), &mut found);
    let (found, pager) = stream.cut(found, "kind");
    let stream = Part {
        lines: found.iter().map(|it| group(it, &path, &times)).collect(),
        heads,
        pager,
        csv: stream.csv(),
    };
    let mut found = oddities(staff, state).await?;
    let heads = odd.sort(ODD_COLUMNS, Some(("last_seen", true)), &mut found);
    let (found, pager) = odd.cut(found, "oddity");
    let odd = Part {
        lines: found.iter().map(|it| oddity(it, &times)).collect(),
        heads,
        pager,
        csv: odd.csv(),
    };
    let records: Vec<Listed> = page
        .records
        .iter()
        .map(|row| listed(row, &path, &times))
        .collect::<Result<_>>()?;
    let pager = Pager {
        note: plural(u64::try_from(records.len()).unwrap_or(u64::MAX), "record"),
        first: wanted
            .after
            .map(|_| asked.link(&path, &["after", "done", "n"], &[])),
        next: page
            .next
            .map(|it| asked.link(&path, &["after", "done", "n"], &[("after", &it)])),
    };
    html(&Quarantine {
        shell: Shell::new(staff, Section::Quarantine, "Quarantine").done(done(asked)),
        stream,
        odd,
        form: Form::new(asked),
        records,
        heads: sheet.heads(HEADS, Some(("ts", true))),
        pager,
        may_change: staff.may(Act::ManageQuarantine),
        csv: sheet.csv(),
        path,
    })
}

/// One of the tables that count, as a file: no record stands in it.
async fn counted(staff: &Staff, state: &State, sheet: &Sheet<'_>, times: &Times) -> Answer {
    let stream = sheet.named(STREAM);
    let object = if stream.is_file() { STREAM } else { ODD };
    let control = state.control();
    control
        .audit(
            staff.actor(),
            staff.account(),
            Action::QuarantineRead,
            object,
            "the counts, as a file",
            AuditOutcome::Done,
        )
        .await?;
    if stream.is_file() {
        let mut found = errors(staff, state, times).await?;
        let usual = Some(("last_seen", true));
        stream.sort(STREAM_COLUMNS, usual, &mut found);
        return Ok(file(STREAM_COLUMNS, &found, times, "errors.csv"));
    }
    let mut found = oddities(staff, state).await?;
    sheet.named(ODD).sort(ODD_COLUMNS, None, &mut found);
    Ok(file(ODD_COLUMNS, &found, times, "oddities.csv"))
}

/// The kinds of errors of the last days, those seen last first.
async fn errors(staff: &Staff, state: &State, times: &Times) -> Result<Vec<ErrorGroup>> {
    let since = times.now().minus(LOOK_BACK);
    Ok(groups(state, staff.actor(), staff.account(), since).await?)
}

/// What was accepted and is odd, what was seen last first.
async fn oddities(staff: &Staff, state: &State) -> Result<Vec<ErrorView>> {
    if staff.policy().is_none_or(|it| it.is_limited()) {
        // They count everybody's records.
        return Ok(Vec::new());
    }
    let control = state.control();
    let learned = control.schema_errors(staff.actor(), staff.account(), (&[], &[]));
    let mut learned = learned.await?;
    // What was refused stands above, up to this moment.
    learned.retain(|it| {
        RejectReason::ALL
            .iter()
            .all(|known| known.as_str() != it.error)
    });
    learned.sort_by_key(|it| std::cmp::Reverse(it.last_seen));
    Ok(learned)
}

fn oddity(it: &ErrorView, times: &Times) -> Oddity {
    Oddity {
        error: it.error.replace('_', " "),
        event: it.event.clone().unwrap_or_default(),
        property: it.property.clone().unwrap_or_default(),
        source: it.source.clone().unwrap_or_default(),
        number: count(it.count),
        last: times.ago(it.last_seen),
    }
}

fn group(it: &ErrorGroup, path: &str, times: &Times) -> Group {
    Group {
        code: it.code,
        error: it.error.replace('_', " "),
        source: it.source.clone(),
        number: count(it.count),
        first: times.on(it.first_seen),
        last: times.ago(it.last_seen),
        href: link(
            path,
            &[("code", &it.code.to_string()), ("source", &it.source)],
        ),
    }
}

fn listed(row: &Row, path: &str, times: &Times) -> Result<Listed> {
    let id = text(row, "record_id").to_owned();
    let is_waiting = text(row, "state") == "waiting";
    Ok(Listed {
        href: format!("{path}/{id}"),
        at: times.at(time(row, "ts")?),
        source: text(row, "source").to_owned(),
        code: number(row, "code").to_string(),
        error: text(row, "error").replace('_', " "),
        person: short(text(row, "person_key")),
        state: match is_waiting {
            true => Badge::new(Tone::Warn, "Waiting"),
            false => Badge::new(Tone::Ok, "Replayed"),
        },
        id,
    })
}

fn desk<'a>(staff: &'a Staff, state: &'a State) -> Desk<'a> {
    Desk {
        state,
        actor: staff.actor(),
        account: staff.account(),
    }
}

/// What was done, by the words of the URL.
fn done(asked: &Fields) -> Option<String> {
    let number = asked.text("n").parse::<u64>().unwrap_or(0);
    match asked.text("done") {
        "replayed" => Some(format!("{} stored after all.", plural(number, "record"))),
        "refused" => Some(format!(
            "{} stored after all; the rules still refuse the others, their people were deleted, or \
             they came in a way that cannot be replayed.",
            plural(number, "record")
        )),
        "deleted" => Some(format!("{} deleted.", plural(number, "record"))),
        _ => None,
    }
}

async fn act(staff: &Staff, state: &State, fields: &Fields) -> Answer {
    let records = fields.all("record").into_iter().map(str::parse::<RecordId>);
    let records: Vec<RecordId> = records
        .collect::<Result<_, _>>()
        .map_err(|_| Error::Absent)?;
    let desk = desk(staff, state);
    let (done, number) = match fields.text("act") {
        "replay" => {
            let outcomes = desk.replay(&records).await?;
            let stored = |it: &&(RecordId, Outcome)| {
                matches!(it.1, Outcome::Stored(_) | Outcome::ReplayedBefore)
            };
            let number = outcomes.iter().filter(stored).count();
            match number == outcomes.len() {
                true => ("replayed", number),
                false => ("refused", number),
            }
        }
        "delete" => ("deleted", desk.delete(records).await?),
        _ => return Err(Error::Absent),
    };
    let path = format!("/a/{}/quarantine", staff.account());
    see_other(&link(&path, &[("done", done), ("n", &number.to_string())]))
}
