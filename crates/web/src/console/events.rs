//! `GET /a/{account}/events`: trends of events, broken down by a property, and the latest ones.

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::{Act, Action, AuditOutcome};
use model::RawJson;
use model::Timestamp;
use query::{
    Before, Breakdown, EventsQuery, LatestPage, Measure, Operator, PropertyFilter, ReadPolicy,
    Subject,
};

use super::counts::events_over_time;
use super::overview::{Span, spans, times};
use super::period::{Period, Step, float, whole};
use super::records::{Line, lines};
use super::staff::Staff;
use super::view::{
    Answer, Asked, Chart, Fields, Mark, Pager, Rank, Ranks, Section, Series, Shell, answer, html,
    link, plural, unusable,
};
use crate::{Error, Result, State};

/// Values of a break-down that are told apart.
const VALUES: usize = 5;
/// Values that are ranked.
const TOP: usize = 12;
/// Events on a page.
const PAGE: usize = 50;

/// The page.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    answer(&staff, Box::pin(show(&staff, &state, &asked)).await)
}

#[derive(Debug, Template)]
#[template(path = "events.html")]
struct Events {
    shell: Shell,
    spans: Vec<Span>,
    form: Form,
    chart: Option<Chart>,
    /// How many events the chart shows; nothing when it shows people.
    total: String,
    top: Option<Ranks>,
    latest: Vec<Line>,
    pager: Pager,
    /// Where the events of the time are downloaded, for those who may.
    files: Option<[(String, &'static str); 2]>,
    /// Whether nothing ever happened.
    is_new: bool,
}

/// What was asked for, to be asked again.
#[derive(Debug, Default)]
struct Form {
    event: String,
    events: Vec<String>,
    from: String,
    to: String,
    step: &'static str,
    measure: &'static str,
    by: String,
    name: String,
    operator: String,
    value: String,
    properties: Vec<String>,
    /// What is wrong with a field, and with which.
    wrong: Option<(&'static str, String)>,
}

impl Form {
    const fn steps(&self) -> [Step; 4] {
        Step::ALL
    }

    const fn operators(&self) -> [(&'static str, &'static str, Operator); 8] {
        OPERATORS
    }

    /// What is wrong with a field.
    fn error(&self, field: &str) -> Option<&str> {
        let wrong = self.wrong.as_ref().filter(|(at, _)| *at == field);
        wrong.map(|(_, text)| text.as_str())
    }
}

/// How properties are compared, as forms say it.
const OPERATORS: [(&str, &str, Operator); 8] = [
    ("is", "is", Operator::Equals),
    ("is_not", "is not", Operator::NotEquals),
    ("contains", "contains", Operator::Contains),
    ("not_contains", "does not contain", Operator::NotContains),
    ("more", "is more than", Operator::GreaterThan),
    ("less", "is less than", Operator::LessThan),
    ("exists", "is there", Operator::Exists),
    ("not_exists", "is not there", Operator::NotExists),
];

async fn show(staff: &Staff, state: &State, asked: &Fields) -> Answer {
    let policy = staff.policy().ok_or(Error::Absent)?;
    let times = times(staff, state);
    let period = Period::asked(&times, asked, 7);
    let path = format!("/a/{}/events", staff.account());
    let names = state.engine().event_names(&policy).await?;
    let mut form = form(asked, &period);
    form.events = names.keys().map(ToString::to_string).collect();
    let properties = state.engine().event_properties(&policy).await?;
    form.properties = properties.keys().map(ToString::to_string).collect();

    let event = asked.some("event");
    let mut query = period.query(event);
    if let Some(name) = asked.some("name") {
        query.filters.push(filter(asked, name)?);
    }
    form.wrong = refused(&policy, &query, asked);
    let shell = Shell::new(staff, Section::Events, "Events");
    let mut page = Events {
        shell,
        spans: spans(&path, asked.text("days")),
        form,
        chart: None,
        total: String::new(),
        top: None,
        latest: Vec::new(),
        pager: Pager::default(),
        files: files(staff, &format!("{path}/export"), &period, event),
        is_new: names.is_empty(),
    };
    if page.form.wrong.is_some() {
        return unusable(&page);
    }
    // The latest events say of whom they are.
    let ((series, top), latest) = tokio::try_join!(
        trend(state, &policy, &query, &period, asked, &path),
        latest(staff, state, &policy, &query, asked)
    )?;
    // People of several days may be the same, so that their sum says nothing.
    if page.form.measure == "events" {
        let total: f64 = series.iter().flat_map(|it| &it.values).sum();
        page.total = plural(whole(total), "event");
    }
    page.top = top;
    let title = match event {
        Some(event) => format!("{event} by {}", period.step.as_str()),
        None => format!("All events by {}", period.step.as_str()),
    };
    let mark = match series.len() {
        1 => Mark::Block,
        _ => Mark::Line,
    };
    page.chart = Some(Chart::new("trend", title, mark, &period.slots, &series));

    page.pager = Pager {
        note: plural(
            u64::try_from(latest.records.len()).unwrap_or(u64::MAX),
            "event",
        ),
        first: asked
            .some("before")
            .map(|_| asked.link(&path, &["before"], &[])),
        next: latest
            .next
            .map(|it| asked.link(&path, &["before"], &[("before", &place(it))])),
    };
    page.latest = lines(staff, &times, &latest.records);
    html(&page)
}

/// The downloads of a time.
pub(crate) fn files(
    staff: &Staff,
    path: &str,
    period: &Period,
    event: Option<&str>,
) -> Option<[(String, &'static str); 2]> {
    let file = |format| {
        let (from, to) = (period.days.0.as_str(), period.days.1.as_str());
        let mut pairs = vec![("from", from), ("to", to), ("format", format)];
        pairs.extend(event.map(|it| ("event", it)));
        link(path, &pairs)
    };
    staff.may(Act::Export).then(|| {
        [
            (file("csv"), "CSV, for spreadsheets"),
            (file("jsonl"), "JSON Lines"),
        ]
    })
}

fn form(asked: &Fields, period: &Period) -> Form {
    let measure = match asked.text("measure") {
        "people" => "people",
        _ => "events",
    };
    let operator = match asked.text("operator") {
        "" => "is",
        other => other,
    };
    Form {
        event: asked.text("event").to_owned(),
        from: period.days.0.clone(),
        to: period.days.1.clone(),
        step: period.step.as_str(),
        measure,
        by: asked.text("by").to_owned(),
        name: asked.text("name").to_owned(),
        operator: operator.to_owned(),
        value: asked.text("value").to_owned(),
        ..Form::default()
    }
}

fn filter(asked: &Fields, name: &str) -> Result<PropertyFilter> {
    let wanted = asked.text("operator");
    let operator = OPERATORS.iter().find(|(word, ..)| *word == wanted);
    let value = RawJson::of(asked.text("value")).map_err(|_| Error::Absent)?;
    Ok(PropertyFilter {
        name: name.to_owned(),
        operator: operator.map_or(Operator::Equals, |it| it.2),
        value,
    })
}

/// What the reader may not ask, and in which field it stands. Nothing is read for it, so that
/// nothing can be guessed from the answer.
fn refused(
    policy: &ReadPolicy,
    query: &EventsQuery,
    asked: &Fields,
) -> Option<(&'static str, String)> {
    let masked = |it: &&PropertyFilter| policy.masks_event(&it.name);
    if let Some(filter) = query.filters.iter().find(masked) {
        let text = format!(
            "{} is personal information that your roles do not show: events cannot be filtered by it.",
            filter.name
        );
        return Some(("name", text));
    }
    let by = asked.some("by").filter(|it| policy.masks_event(it))?;
    let text = format!(
        "{by} is personal information that your roles do not show: events cannot be broken down by it."
    );
    Some(("by", text))
}

/// The series of the chart; and the most frequent values of the property that events are broken down
/// by, if they are.
async fn trend(
    state: &State,
    policy: &ReadPolicy,
    query: &EventsQuery,
    period: &Period,
    asked: &Fields,
    path: &str,
) -> Result<(Vec<Series>, Option<Ranks>)> {
    let engine = state.engine();
    if let Some(by) = asked.some("by") {
        let subject = Subject::Event(by.to_owned());
        let found = engine.breakdown(policy, query, &subject, &period.starts, TOP);
        let found = found.await?;
        let top = top(&found, by, asked, path);
        return Ok((broken_down(&found, period), Some(top)));
    }
    let series = match asked.text("measure") {
        "people" => {
            let starts = [period.starts.clone()];
            let found = engine.trends(policy, query, &Measure::People, &starts);
            let values = found.await?.into_iter().next().unwrap_or_default();
            Series::new("People", 1, values)
        }
        _ => Series::new(
            "Events",
            0,
            events_over_time(state, policy, query, period).await?,
        ),
    };
    Ok((vec![series], None))
}

/// The most frequent values, the others together, and the events without the property.
fn broken_down(found: &Breakdown, period: &Period) -> Vec<Series> {
    let values = |counts: &[u64]| counts.iter().copied().map(float).collect::<Vec<_>>();
    let (shown, less) = found.values.split_at(found.values.len().min(VALUES));
    let mut all: Vec<Series> = shown
        .iter()
        .enumerate()
        .map(|(place, (value, counts))| Series::new(&**value, place, values(counts)))
        .collect();
    let mut others = found.others.clone();
    for (_, counts) in less {
        for (sum, count) in others.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    for (name, colour, counts) in [
        ("other values", VALUES, &others),
        ("without it", VALUES + 1, &found.without),
    ] {
        if counts.iter().any(|it| *it > 0) {
            all.push(Series::new(name, colour, values(counts)));
        }
    }
    if all.is_empty() {
        all.push(Series::new("Events", 0, vec![0.0; period.slots.len()]));
    }
    all
}

/// The most frequent values of the property that events are broken down by.
fn top(found: &Breakdown, by: &str, asked: &Fields, path: &str) -> Ranks {
    let rank = |(value, counts): &(Box<str>, Vec<u64>)| Rank {
        href: Some(asked.link(
            path,
            &["name", "operator", "value", "before"],
            &[("name", by), ("operator", "is"), ("value", value)],
        )),
        label: value.to_string(),
        number: counts.iter().sum(),
        note: String::new(),
        colour: 1,
    };
    let ranks = found.values.iter().map(rank).collect();
    Ranks::new(format!("Values of {by}"), ranks)
}

async fn latest(
    staff: &Staff,
    state: &State,
    policy: &ReadPolicy,
    query: &EventsQuery,
    asked: &Fields,
) -> Result<LatestPage> {
    let before = asked.some("before").and_then(parse_place);
    let words = match (&query.event, query.filters.len()) {
        (Some(event), 0) => format!("latest `{event}`"),
        (Some(event), _) => format!("latest `{event}` under a condition"),
        (None, 0) => String::from("latest"),
        (None, _) => String::from("latest under a condition"),
    };
    let control = state.control();
    control
        .audit(
            staff.actor(),
            staff.account(),
            Action::EventsRead,
            "events",
            &words,
            AuditOutcome::Begun,
        )
        .await?;
    let engine = state.engine();
    Ok(engine
        .latest_events(policy, query, None, before, PAGE)
        .await?)
}

/// A position as a URL has it.
pub(crate) fn place(before: Before) -> String {
    format!(
        "{}-{}-{}",
        before.ts.ms(),
        before.record,
        before.cut_off.ms()
    )
}

/// The position that a URL has; none when it is not one of ours.
pub(crate) fn parse_place(text: &str) -> Option<Before> {
    let (rest, cut_off) = text.rsplit_once('-')?;
    let (ts, record) = rest.rsplit_once('-')?;
    Some(Before {
        ts: Timestamp::from_ms(ts.parse().ok()?),
        record: record.parse().ok()?,
        cut_off: Timestamp::from_ms(cut_off.parse().ok()?),
    })
}
