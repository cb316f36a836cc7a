//! `/v2/errors` and `/v2/quarantine`: what was not accepted, one record of it, and what is done with
//! records.

use axum::extract::State as Of;
use control::QuarantineMark;
use model::RecordId;
use model::record::Source;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

use super::answer::{Answer, Page, json};
use super::ask::{Asked, Named, Sent, cursor, limit};
use super::program::Program;
use super::values::{Moment, Number, one_of};
use crate::error::problem::no_content;
use crate::operate::quarantine::{Desk, ErrorGroup, Outcome, RecordState, Wanted, groups};
use crate::operate::{Row, number, text, time};
use crate::{Error, State, operate};

/// The time that the error stream looks back.
const LOOK_BACK: Duration = Duration::from_secs(30 * 86_400);
/// Records that are replayed at once.
const RECORDS_MAX: usize = 1_000;

/// Errors of one kind.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordError {
    /// The protocol's record code; 0 for a body that could not be decoded.
    code: u16,
    /// What was wrong: a stable word.
    error: String,
    /// How the records came.
    source: String,
    /// How many.
    count: u64,
    /// The first.
    first_seen: Moment,
    /// The last.
    last_seen: Moment,
}

/// Which records.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listed {
    /// With this code.
    #[param(value_type = Option<u16>, maximum = 65535)]
    code: Option<Number<u16>>,
    /// That came in this way.
    #[param(schema_with = sources)]
    source: Option<String>,
    /// Of which this became.
    #[param(schema_with = states)]
    state: Option<String>,
    /// That came not before this moment.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Moment>,
    /// That came before this moment.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Moment>,
    /// At most so many.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<Number<u32>>,
    /// Where the page before said that the next one begins.
    #[param(pattern = "^[0-9a-f]{32}$")]
    cursor: Option<String>,
}

fn sources() -> utoipa::openapi::schema::Object {
    one_of(Source::ALL.map(Source::as_str))
}

fn states() -> utoipa::openapi::schema::Object {
    one_of(RecordState::ALL.map(RecordState::as_str))
}

/// A record that was not accepted, without its content.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Quarantined {
    /// The record's id, 32 hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    id: String,
    /// When it came.
    at: Moment,
    /// How it came.
    source: String,
    /// The protocol's record code; 0 for a body that could not be decoded.
    code: u64,
    /// What was wrong with it: a stable word.
    error: String,
    /// Whose it is, where that is known.
    person_key: Option<String>,
    /// `waiting` or `replayed`.
    state: String,
}

/// A record that was not accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QuarantinedRecord {
    #[serde(flatten)]
    record: Quarantined,
    /// What was sent, as text; null for whoever does not see personal information.
    content: Option<String>,
}

/// Which records are to be replayed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replays {
    /// Their ids.
    #[schema(min_items = 1, max_items = 1000)]
    records: Vec<String>,
}

/// What became of one record's replay.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Replayed {
    /// The record's id.
    id: String,
    /// `stored`, `replayed_before`, `refused` (the rules still do) or `not_replayable` (it came in a
    /// way of which single records cannot be decoded again).
    outcome: &'static str,
    /// The code with which it is still refused.
    code: Option<u16>,
    /// What is still wrong with it.
    error: Option<String>,
}

/// Lists what was wrong with records
///
/// Of the last 30 days, by kind; nothing of any record.
#[utoipa::path(
    get,
    path = "/v2/errors",
    operation_id = "listErrors",
    tag = "Quarantine",
    responses((status = 200, description = "The kinds of errors, those seen last first.", body = Page<RecordError>))
)]
pub(crate) async fn errors(program: Program, Of(state): Of<State>) -> Answer {
    let since = state.clock().now().minus(LOOK_BACK);
    let found = groups(&state, program.actor(), program.account(), since).await?;
    let error = |it: ErrorGroup| RecordError {
        code: it.code,
        error: it.error,
        source: it.source,
        count: it.count,
        first_seen: Moment(it.first_seen),
        last_seen: Moment(it.last_seen),
    };
    json(&Page::whole(found.into_iter().map(error).collect()))
}

/// Lists quarantined records
///
/// The newest first, without their content.
#[utoipa::path(
    get,
    path = "/v2/quarantine",
    operation_id = "listQuarantine",
    tag = "Quarantine",
    params(Listed),
    responses((status = 200, description = "A page of records.", body = Page<Quarantined>))
)]
pub(crate) async fn list(
    program: Program,
    Of(state): Of<State>,
    Asked(asked): Asked<Listed>,
) -> Answer {
    let source = asked.source.map(|name| {
        let found = Source::ALL.into_iter().find(|it| it.as_str() == name);
        found.ok_or_else(|| Error::Malformed(format!("there is no source `{name}`")))
    });
    let state_of = asked.state.map(|name| {
        let found = RecordState::from_name(&name);
        found.ok_or_else(|| Error::Malformed(format!("there is no state `{name}`")))
    });
    let wanted = Wanted {
        code: asked.code.map(|it| it.0),
        source: source.transpose()?,
        state: state_of.transpose()?,
        from: asked.from.map(|it| it.0),
        to: asked.to.map(|it| it.0),
        after: cursor(asked.cursor.as_deref(), |it| it.parse().ok())?,
        limit: limit(asked.limit)?,
        oldest_first: false,
    };
    let page = desk(&program, &state).list(&wanted).await;
    let page = page.map_err(|error| match error {
        operate::Error::NotFound(_) => {
            let words = "the record after which the page begins is not there any more";
            operate::Error::Invalid(words.to_owned())
        }
        other => other,
    })?;
    let records = page.records.iter().map(listed).collect::<Result<_, _>>()?;
    json(&Page::new(records, page.next))
}

/// Shows one quarantined record
#[utoipa::path(
    get,
    path = "/v2/quarantine/{id}",
    operation_id = "showQuarantined",
    tag = "Quarantine",
    params(("id" = String, Path, description = "The record's id.", pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, description = "The record.", body = QuarantinedRecord))
)]
pub(crate) async fn show(
    program: Program,
    Of(state): Of<State>,
    Named(id): Named<String>,
) -> Answer {
    let id: RecordId = id.parse().map_err(|_| Error::Absent)?;
    let (found, mark) = desk(&program, &state).show(id).await?;
    let sees = program.policy().masks.is_empty();
    let content = String::from_utf8_lossy(&found.body);
    json(&QuarantinedRecord {
        record: Quarantined {
            id: found.id.to_string(),
            at: Moment(found.received_at),
            source: found.source.as_str().to_owned(),
            code: found.code.into(),
            error: found.error.to_string(),
            person_key: found.person.map(|it| it.to_string()),
            state: match mark {
                Some(QuarantineMark::Replayed | QuarantineMark::Deleted) => "replayed".to_owned(),
                None => "waiting".to_owned(),
            },
        },
        content: sees.then(|| content.into_owned()),
    })
}

/// Replays quarantined records
///
/// Decodes them again and stores what the rules now let in. A record is stored once, however often
/// it is replayed.
#[utoipa::path(
    post,
    path = "/v2/quarantine/replays",
    operation_id = "replayQuarantined",
    tag = "Quarantine",
    request_body = Replays,
    responses((status = 200, description = "What became of each.", body = Page<Replayed>))
)]
pub(crate) async fn replay(
    program: Program,
    Of(state): Of<State>,
    Sent(sent): Sent<Replays>,
) -> Answer {
    if sent.records.is_empty() || sent.records.len() > RECORDS_MAX {
        let words = format!("`records` must be 1 to {RECORDS_MAX}");
        return Err(Error::Malformed(words).into());
    }
    let ids = sent.records.iter().map(|it| it.parse::<RecordId>());
    let ids: Vec<RecordId> = ids.collect::<Result<_, _>>().map_err(|_| Error::Absent)?;
    let outcomes = desk(&program, &state).replay(&ids).await?;
    let replayed = |(id, outcome): (RecordId, Outcome)| {
        let (word, code, error) = match outcome {
            Outcome::Stored(_) => ("stored", None, None),
            Outcome::ReplayedBefore => ("replayed_before", None, None),
            Outcome::Refused(code, error) => ("refused", Some(code), Some(error)),
            Outcome::NotReplayable => ("not_replayable", None, None),
        };
        Replayed {
            id: id.to_string(),
            outcome: word,
            code,
            error,
        }
    };
    json(&Page::whole(outcomes.into_iter().map(replayed).collect()))
}

/// Deletes a quarantined record
#[utoipa::path(
    delete,
    path = "/v2/quarantine/{id}",
    operation_id = "deleteQuarantined",
    tag = "Quarantine",
    params(("id" = String, Path, description = "The record's id.", pattern = "^[0-9a-f]{32}$")),
    responses((status = 204, description = "The record is not there any more."))
)]
pub(crate) async fn delete(
    program: Program,
    Of(state): Of<State>,
    Named(id): Named<String>,
) -> Answer {
    let id: RecordId = id.parse().map_err(|_| Error::Absent)?;
    desk(&program, &state).delete(vec![id]).await?;
    Ok(no_content())
}

fn desk<'a>(program: &'a Program, state: &'a State) -> Desk<'a> {
    Desk {
        state,
        actor: program.actor(),
        account: program.account(),
    }
}

fn listed(row: &Row) -> Result<Quarantined, operate::Error> {
    let member = |name: &str| text(row, name).to_owned();
    Ok(Quarantined {
        id: member("record_id"),
        at: Moment(time(row, "ts")?),
        source: member("source"),
        code: number(row, "code"),
        error: member("error"),
        person_key: Some(member("person_key")).filter(|it| !it.is_empty()),
        state: member("state"),
    })
}
