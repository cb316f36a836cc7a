//! `POST /1/counts/trends.json`: how much happened by day, week or month. Answered at once.

use axum::extract::{Request, State as Of};
use axum::response::Response;
use collect::Call;
use control::Action;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use model::Timestamp;
use query::Measure;
use std::collections::BTreeMap;
use wire::rest::Refusal;
use wire::rest::report::{self, Trends};

use super::asked::{answered, question};
use super::counts::is_known;
use super::cursors::{about, read_as};
use super::{audit, enter, respond};
use crate::{Result, State};

pub(crate) const PATH: &str = "/1/counts/trends.json";

/// The amounts of each group.
pub(crate) async fn any(Of(state): Of<State>, request: Request) -> Response {
    match enter(&state, PATH, request).await {
        Ok(call) => respond(answer(&state, &call).await, call.facts),
        Err(response) => response,
    }
}

async fn answer(state: &State, call: &Call) -> Result<String> {
    let asked = question(state, call, PATH)?;
    let Trends {
        events,
        groups,
        unique,
        sum_of,
    } = report::decode_trends(&asked.query, &asked.body)?;
    let time_zone = &call.caller.rules.time_zone;
    let (policy, query) = read_as(call, &events, None)?;
    let measure = match (sum_of, unique) {
        (Some(name), _) => Measure::Sum(name),
        (None, true) => Measure::People,
        (None, false) => Measure::Events,
    };
    let days: Vec<Vec<Date>> = groups
        .iter()
        .map(|(_, period)| period.starts(events.from, events.to))
        .collect();
    let starts = days
        .iter()
        .map(|days| days.iter().map(|day| start(*day, time_zone)).collect())
        .collect::<Result<Vec<Vec<Timestamp>>>>()?;
    let amounts = state
        .engine()
        .trends(&policy, &query, &measure, &starts)
        .await?;
    let nothing = amounts.iter().flatten().all(|it| *it == 0.0);
    if nothing && !is_known(state, call, &events.event_name).await? {
        return Err(Refusal::InvalidEvent(events.event_name).into());
    }
    let about = about(&events, format_args!("trends of {} groups", groups.len()));
    audit(state, call, Action::CountRead, "trends", &about).await?;
    let groups: Vec<(String, BTreeMap<Date, f64>)> = groups
        .into_iter()
        .zip(days.into_iter().zip(amounts))
        .map(|((key, _), (days, amounts))| (key, days.into_iter().zip(amounts).collect()))
        .collect();
    Ok(answered(state, call, PATH, report::trends(&groups)))
}

/// The first moment of a day.
fn start(day: Date, time_zone: &TimeZone) -> Result<Timestamp> {
    let start = day.to_zoned_datetime(time_zone.clone());
    let start = start.map_err(|_| Refusal::InvalidDates)?;
    Ok(Timestamp::from_ms(start.timestamp().as_millisecond()))
}
