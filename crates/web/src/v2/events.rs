//! `/v2/events`: the latest events, counts, trends and breakdowns.

use axum::extract::State as Of;
use control::{Action, AuditOutcome};
use jiff::civil::Date;
use model::{RawJson, Timestamp};
use query::{EventsQuery, Measure, Operator, PropertyFilter, Subject};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Answer, Page, json};
use super::ask::{Asked, cursor, limit};
use super::people::{Event, event};
use super::program::Program;
use super::values::{Moment, Number};
use crate::console::events::{parse_place, place};
use crate::console::period::{Period, Step};
use crate::console::view::Times;
use crate::{Error, Result, State, operate};

/// Days that are looked at when nothing is said.
const DAYS: i32 = 30;
/// Stretches of time in one answer.
const STRETCHES_MAX: usize = 400;
/// Values of a breakdown that are told apart.
const VALUES: usize = 20;

/// Which events are listed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listed {
    /// Of this name; of every name when not said.
    event: Option<String>,
    /// Not before this moment.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Moment>,
    /// Before this moment.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Moment>,
    /// The property of a condition.
    property: Option<String>,
    /// How the property is compared; `is` when not said.
    #[param(inline)]
    operator: Option<Comparison>,
    /// With what it is compared.
    value: Option<String>,
    /// At most so many.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<Number<u32>>,
    /// Where the page before said that the next one begins.
    #[param(pattern = "^-?[0-9]{1,18}-[0-9a-f]{32}-[0-9]{1,18}$")]
    cursor: Option<String>,
}

/// Which events are counted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Counted {
    /// Of this name; of every name when not said.
    event: Option<String>,
    /// The first day, in the account's zone; 30 days back when not said.
    #[param(value_type = Option<String>, format = Date)]
    from: Option<Date>,
    /// The last day, in the account's zone; today when not said.
    #[param(value_type = Option<String>, format = Date)]
    to: Option<Date>,
    /// The property of a condition.
    property: Option<String>,
    /// How the property is compared; `is` when not said.
    #[param(inline)]
    operator: Option<Comparison>,
    /// With what it is compared.
    value: Option<String>,
}

/// Which events are measured over time.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Trended {
    /// Of this name; of every name when not said.
    event: Option<String>,
    /// The first day, in the account's zone; 30 days back when not said.
    #[param(value_type = Option<String>, format = Date)]
    from: Option<Date>,
    /// The last day, in the account's zone; today when not said.
    #[param(value_type = Option<String>, format = Date)]
    to: Option<Date>,
    /// The property of a condition.
    property: Option<String>,
    /// How the property is compared; `is` when not said.
    #[param(inline)]
    operator: Option<Comparison>,
    /// With what it is compared.
    value: Option<String>,
    /// How the time is cut; by day when not said. At most 400 stretches.
    #[param(inline)]
    step: Option<Stretch>,
    /// What is measured; events when not said.
    #[param(inline)]
    measure: Option<Measured>,
}

/// Which events are broken down, by what.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct BrokenDown {
    /// By this property of theirs.
    by: String,
    /// Of this name; of every name when not said.
    event: Option<String>,
    /// The first day, in the account's zone; 30 days back when not said.
    #[param(value_type = Option<String>, format = Date)]
    from: Option<Date>,
    /// The last day, in the account's zone; today when not said.
    #[param(value_type = Option<String>, format = Date)]
    to: Option<Date>,
    /// How the time is cut; by day when not said. At most 400 stretches.
    #[param(inline)]
    step: Option<Stretch>,
}

/// How a property is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Comparison {
    /// It is the value.
    Is,
    /// It is not.
    IsNot,
    /// It contains it.
    Contains,
    /// It does not.
    NotContains,
    /// It is more.
    More,
    /// It is less.
    Less,
    /// It is there.
    Exists,
    /// It is not.
    NotExists,
}

/// How a time is cut.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stretch {
    /// Hours.
    Hour,
    /// Days.
    Day,
    /// Weeks, from Monday.
    Week,
    /// Months.
    Month,
}

/// What is measured.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measured {
    /// How many events.
    Events,
    /// How many people.
    People,
}

/// How many.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Counts {
    /// Events.
    events: u64,
    /// People who did them.
    people: u64,
}

/// A measure over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Trend {
    /// Every stretch, in order.
    items: Vec<TrendItem>,
}

/// A measure in one stretch of time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TrendItem {
    /// When the stretch begins.
    start: Moment,
    /// The measure.
    value: f64,
}

/// How many events had which value, over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Breakdown {
    /// When each stretch begins.
    starts: Vec<Moment>,
    /// The most frequent values, each with its counts in the stretches.
    values: Vec<BreakdownValue>,
    /// Counts of all other values.
    others: Vec<u64>,
    /// Counts of events without the property.
    without: Vec<u64>,
}

/// One value of a breakdown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BreakdownValue {
    /// The value, as text.
    value: String,
    /// How many events had it, in each stretch.
    counts: Vec<u64>,
}

/// Lists events
///
/// The newest first.
#[utoipa::path(
    get,
    path = "/v2/events",
    operation_id = "listEvents",
    tag = "Events",
    params(Listed),
    responses((status = 200, description = "A page of events.", body = Page<Event>))
)]
pub(crate) async fn list(
    program: Program,
    Of(state): Of<State>,
    Asked(asked): Asked<Listed>,
) -> Answer {
    let limit = usize::try_from(limit(asked.limit)?).unwrap_or(usize::MAX);
    let before = cursor(asked.cursor.as_deref(), parse_place)?;
    let everything = EventsQuery::default();
    let query = EventsQuery {
        event: asked.event,
        from: asked.from.map_or(everything.from, |it| it.0),
        to: asked.to.map_or(everything.to, |it| it.0),
        filters: condition(asked.property, asked.operator, asked.value)?,
        ..everything
    };
    let words = match (&query.event, query.filters.len()) {
        (Some(event), 0) => format!("latest `{event}`"),
        (Some(event), _) => format!("latest `{event}` under a condition"),
        (None, 0) => String::from("latest"),
        (None, _) => String::from("latest under a condition"),
    };
    let (actor, account) = (program.actor(), program.account());
    let (action, outcome) = (Action::EventsRead, AuditOutcome::Begun);
    let control = state.control();
    control
        .audit(actor, account, action, "events", &words, outcome)
        .await?;
    let (engine, policy) = (state.engine(), program.policy());
    let page = engine.latest_events(&policy, &query, None, before, limit);
    let page = page.await?;
    let items = page.records.iter().map(event).collect::<Result<_>>()?;
    json(&Page::new(items, page.next.map(place)))
}

/// Counts events and people
#[utoipa::path(
    get,
    path = "/v2/events/counts",
    operation_id = "countEvents",
    tag = "Events",
    params(Counted),
    responses((status = 200, description = "How many.", body = Counts))
)]
pub(crate) async fn counts(
    program: Program,
    Of(state): Of<State>,
    Asked(asked): Asked<Counted>,
) -> Answer {
    let period = period(&program, &state, (asked.from, asked.to), Step::Month)?;
    let mut query = period.query(asked.event.as_deref());
    query.filters = condition(asked.property, asked.operator, asked.value)?;
    let (engine, policy) = (state.engine(), program.policy());
    let found = Counts {
        events: engine.count_events(&policy, &query).await?,
        people: engine.count_people(&policy, &query).await?,
    };
    let words = format!("{} events of {} people", found.events, found.people);
    note(&program, &state, Action::CountRead, &query, &period, &words).await?;
    json(&found)
}

/// Measures events over time
#[utoipa::path(
    get,
    path = "/v2/events/trends",
    operation_id = "showTrend",
    tag = "Events",
    params(Trended),
    responses((status = 200, description = "The measure in each stretch.", body = Trend))
)]
pub(crate) async fn trends(
    program: Program,
    Of(state): Of<State>,
    Asked(asked): Asked<Trended>,
) -> Answer {
    let period = stretches(&program, &state, (asked.from, asked.to), asked.step)?;
    let mut query = period.query(asked.event.as_deref());
    query.filters = condition(asked.property, asked.operator, asked.value)?;
    let (measure, name) = match asked.measure {
        Some(Measured::People) => (Measure::People, "people"),
        Some(Measured::Events) | None => (Measure::Events, "events"),
    };
    let starts = [period.starts.clone()];
    let engine = state.engine();
    let found = engine
        .trends(&program.policy(), &query, &measure, &starts)
        .await?;
    let words = format!("{name} in {} stretches of time", period.starts.len());
    note(&program, &state, Action::CountRead, &query, &period, &words).await?;
    let values = found.into_iter().next().unwrap_or_default();
    let item = |(start, value): (&Timestamp, f64)| TrendItem {
        start: Moment(*start),
        value,
    };
    let items = period.starts.iter().zip(values).map(item);
    json(&Trend {
        items: items.collect(),
    })
}

/// Breaks events down by a property
#[utoipa::path(
    get,
    path = "/v2/events/breakdown",
    operation_id = "showBreakdown",
    tag = "Events",
    params(BrokenDown),
    responses((status = 200, description = "Counts by value and stretch.", body = Breakdown))
)]
pub(crate) async fn breakdown(
    program: Program,
    Of(state): Of<State>,
    Asked(asked): Asked<BrokenDown>,
) -> Answer {
    let period = stretches(&program, &state, (asked.from, asked.to), asked.step)?;
    let query = period.query(asked.event.as_deref());
    let words = format!("values of `{}`", asked.by);
    let subject = Subject::Event(asked.by);
    let engine = state.engine();
    let policy = program.policy();
    let found = engine.breakdown(&policy, &query, &subject, &period.starts, VALUES);
    let found = found.await?;
    // Values may be a person's own.
    note(
        &program,
        &state,
        Action::EventsRead,
        &query,
        &period,
        &words,
    )
    .await?;
    let value = |(value, counts): (Box<str>, Vec<u64>)| BreakdownValue {
        value: value.into(),
        counts,
    };
    json(&Breakdown {
        starts: period.starts.iter().copied().map(Moment).collect(),
        values: found.values.into_iter().map(value).collect(),
        others: found.others,
        without: found.without,
    })
}

/// Writes down what was counted before it goes out: which events, of which days, and what of them. Never
/// a value that was asked for, it may be a person's.
async fn note(
    program: &Program,
    state: &State,
    action: Action,
    query: &EventsQuery,
    period: &Period,
    found: &str,
) -> Result<()> {
    let events = match &query.event {
        Some(event) => format!("`{event}`"),
        None => String::from("all events"),
    };
    let condition = match query.filters.len() {
        0 => "",
        _ => " under a condition",
    };
    let (from, to) = &period.days;
    let words = format!("{events} from {from} to {to}{condition}: {found}");
    let (actor, account) = (program.actor(), program.account());
    let outcome = AuditOutcome::Done;
    let control = state.control();
    control
        .audit(actor, account, action, "events", &words, outcome)
        .await?;
    Ok(())
}

/// Whole days of the account's zone, cut in stretches all of which are answered with.
fn stretches(
    program: &Program,
    state: &State,
    days: (Option<Date>, Option<Date>),
    asked: Option<Stretch>,
) -> Result<Period> {
    let step = match asked {
        Some(Stretch::Hour) => Step::Hour,
        Some(Stretch::Day) | None => Step::Day,
        Some(Stretch::Week) => Step::Week,
        Some(Stretch::Month) => Step::Month,
    };
    let period = period(program, state, days, step)?;
    if period.starts.len() < STRETCHES_MAX {
        return Ok(period);
    }
    let words = format!("less than {STRETCHES_MAX} stretches of time at once");
    Err(operate::Error::Invalid(words).into())
}

/// Whole days of the account's zone, cut.
fn period(
    program: &Program,
    state: &State,
    (from, to): (Option<Date>, Option<Date>),
    step: Step,
) -> Result<Period> {
    let invalid = |words: String| Error::from(operate::Error::Invalid(words));
    let zone = program.rules().time_zone.clone();
    let now = state.clock().now();
    let today = jiff::Timestamp::from_millisecond(now.ms()).unwrap_or_default();
    let today = today.to_zoned_datetime(zone.clone()).date();
    let last = to.unwrap_or(today);
    let back = jiff::Span::new().days(DAYS - 1);
    let first = match from {
        Some(first) => first,
        None => last.checked_sub(back).unwrap_or(last),
    };
    if last < first {
        return Err(invalid("the last day is before the first one".to_owned()));
    }
    Ok(Period::between(&Times::new(zone, now), first, last, step))
}

/// The condition on a property, where there is one.
fn condition(
    property: Option<String>,
    operator: Option<Comparison>,
    value: Option<String>,
) -> Result<Vec<PropertyFilter>> {
    let invalid = |words: &str| Error::from(operate::Error::Invalid(words.to_owned()));
    let Some(name) = property else {
        return match (operator, value) {
            (None, None) => Ok(Vec::new()),
            _ => Err(invalid("a condition needs a `property`")),
        };
    };
    let operator = match operator {
        Some(Comparison::Is) | None => Operator::Equals,
        Some(Comparison::IsNot) => Operator::NotEquals,
        Some(Comparison::Contains) => Operator::Contains,
        Some(Comparison::NotContains) => Operator::NotContains,
        Some(Comparison::More) => Operator::GreaterThan,
        Some(Comparison::Less) => Operator::LessThan,
        Some(Comparison::Exists) => Operator::Exists,
        Some(Comparison::NotExists) => Operator::NotExists,
    };
    let is_of_presence = matches!(operator, Operator::Exists | Operator::NotExists);
    if value.is_none() && !is_of_presence {
        return Err(invalid("a condition needs a `value`"));
    }
    let value = RawJson::of(&value.unwrap_or_default());
    let value = value.map_err(|_| invalid("the value of the condition is no text"))?;
    Ok(vec![PropertyFilter {
        name,
        operator,
        value,
    }])
}
