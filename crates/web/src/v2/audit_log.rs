//! `/v2/audit-log`: the audit log, filtered and paged, and its download.

use axum::extract::State as Of;
use control::{Act, AuditEntry, AuditFilter, AuditOutcome, DownloadFormat};
use http::{HeaderValue, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Answer, Page, json, text};
use super::ask::{Asked, cursor, limit};
use super::program::Program;
use super::values::{ActionName, Moment, Number, actions, one_of};
use crate::operate::audit::{Wanted, file, kind};
use crate::{Error, State};

/// Actors in one filter.
const ACTORS_MAX: usize = 50;

/// Which entries.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listed {
    /// Not before this moment.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Moment>,
    /// Before this moment.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Moment>,
    /// By one of these: addresses of users, names of passcodes and of jobs.
    #[serde(default)]
    #[param(max_items = 50)]
    actor: Vec<String>,
    /// One of these actions.
    #[serde(default)]
    #[param(schema_with = actions)]
    action: Vec<ActionName>,
    /// At most so many.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<Number<u32>>,
    /// Where the page before said that the next one begins.
    #[param(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
}

/// Which entries, and how they are written.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Downloaded {
    /// Not before this moment.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Moment>,
    /// Before this moment.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Moment>,
    /// By one of these: addresses of users, names of passcodes and of jobs.
    #[serde(default)]
    #[param(max_items = 50)]
    actor: Vec<String>,
    /// One of these actions.
    #[serde(default)]
    #[param(schema_with = actions)]
    action: Vec<ActionName>,
    /// `jsonl`: every entry with its proof, verified by `strongroom audit verify`. `csv`: for
    /// spreadsheets.
    #[param(inline)]
    format: Option<Format>,
}

/// How a download is written.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// JSON Lines with proofs.
    Jsonl,
    /// For spreadsheets.
    Csv,
}

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Entry {
    /// Its number in the account, from 1, without gaps.
    sequence: u64,
    /// When.
    at: Moment,
    /// What kind of actor: `user`, `passcode`, `os_user`, `system`.
    actor_kind: String,
    /// Who: a user's address, a passcode's name.
    actor: String,
    /// In which role.
    role: String,
    /// What was done.
    action: &'static str,
    /// To which object.
    action_id: String,
    /// In words.
    description: String,
    /// How it ended.
    #[schema(schema_with = outcomes)]
    outcome: &'static str,
    /// From which address; null for the machine itself.
    peer: Option<String>,
}

fn outcomes() -> utoipa::openapi::schema::Object {
    use AuditOutcome as O;
    one_of([O::Begun, O::Done, O::Refused, O::Failed].map(O::as_str))
}

/// Lists entries
///
/// The newest first. Reading the log is an entry itself.
#[utoipa::path(
    get,
    path = "/v2/audit-log",
    operation_id = "listAuditLog",
    tag = "Audit log",
    params(Listed),
    responses((status = 200, description = "A page of entries.", body = Page<Entry>))
)]
pub(crate) async fn list(
    program: Program,
    Of(state): Of<State>,
    Asked(asked): Asked<Listed>,
) -> Answer {
    let limit = limit(asked.limit)?;
    let before = cursor(asked.cursor.as_deref(), |it| it.parse().ok())?;
    let filter = AuditFilter {
        before,
        newest_first: true,
        limit,
        ..filter(asked.from, asked.to, asked.actor, &asked.action)?
    };
    let control = state.control();
    let found = control
        .audit_log(program.actor(), program.account(), &filter)
        .await?;
    let is_full = usize::try_from(limit).is_ok_and(|full| found.len() >= full);
    let last = found.last().map(|it| it.sequence);
    let next = last
        .filter(|it| is_full && *it > 1)
        .map(|it| it.to_string());
    json(&Page::new(found.into_iter().map(entry).collect(), next))
}

/// Downloads entries
///
/// A file that is written while it is sent: JSON Lines with a proof for every entry and the signed
/// head of the log, or CSV. It holds every entry where nothing restricts it.
#[utoipa::path(
    get,
    path = "/v2/audit-log/download",
    operation_id = "downloadAuditLog",
    tag = "Audit log",
    params(Downloaded),
    responses((
        status = 200,
        description = "The file.",
        content(
            (String = "application/jsonl"),
            (String = "text/csv"),
        )
    ))
)]
pub(crate) async fn download(
    program: Program,
    Of(state): Of<State>,
    Asked(asked): Asked<Downloaded>,
) -> Answer {
    program.takes_a_stream()?;
    let format = match asked.format {
        Some(Format::Csv) => DownloadFormat::Csv,
        Some(Format::Jsonl) | None => DownloadFormat::JsonLines,
    };
    let wanted = Wanted {
        actor: program.actor(),
        account: program.account(),
        filter: filter(asked.from, asked.to, asked.actor, &asked.action)?,
        format,
    };
    let reader = (state.clone(), program.clone());
    let still_may = move || {
        let may = reader.1.still_may(&reader.0, Act::ReadAudit);
        std::future::ready(may)
    };
    let body = file(&state, wanted, still_may).await?;
    let (content_type, ending) = kind(format);
    let mut response = text(body, content_type);
    let name = format!(
        "attachment; filename=\"audit-{}.{ending}\"",
        program.account()
    );
    if let Ok(name) = HeaderValue::from_str(&name) {
        response
            .headers_mut()
            .insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

fn filter(
    from: Option<Moment>,
    to: Option<Moment>,
    actors: Vec<String>,
    actions: &[ActionName],
) -> Result<AuditFilter, Error> {
    if actors.len() > ACTORS_MAX {
        let words = format!("at most {ACTORS_MAX} actors at a time");
        return Err(Error::Malformed(words));
    }
    Ok(AuditFilter {
        from: from.map(|it| it.0),
        to: to.map(|it| it.0),
        actors,
        actions: actions.iter().map(|it| it.0).collect(),
        ..AuditFilter::default()
    })
}

fn entry(entry: AuditEntry) -> Entry {
    Entry {
        sequence: entry.sequence,
        at: Moment(entry.at),
        actor_kind: entry.actor_kind,
        actor: entry.actor,
        role: entry.role,
        action: entry.action.as_str(),
        action_id: entry.action_id,
        description: entry.description,
        outcome: entry.outcome.as_str(),
        peer: entry.peer.map(|it| it.to_string()),
    }
}
