//! `/v2/requests`: the request log of the account, searched.

use axum::extract::State as Of;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Answer, Page, json};
use super::ask::{Asked, limit};
use super::program::Program;
use super::values::{Moment, Number, one_of};
use crate::State;
use crate::operate::requests::{Order, Search, search};
use crate::operate::{Row, number, text, time};

/// Which requests.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Searched {
    /// Not before this moment.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Moment>,
    /// Before this moment.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Moment>,
    /// On this plane.
    #[param(inline)]
    plane: Option<Plane>,
    /// With this outcome.
    #[param(inline)]
    outcome: Option<Outcome>,
    /// For this reason: a stable word.
    #[param(max_length = 128)]
    reason: Option<String>,
    /// Of this path, as the log has it: known URLs by their pattern.
    #[param(max_length = 128)]
    path: Option<String>,
    /// From this address, or from this network as it is shown: `203.0.113.0/24`, `2001:db8:7::/48`. Who
    /// is not shown addresses asks for networks.
    #[param(max_length = 128)]
    peer: Option<String>,
    /// By what the page is sorted: a member of its requests; `-` before it, and the largest come first.
    #[param(inline)]
    sort: Option<Sort>,
    /// At most so many.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<Number<u32>>,
    /// Where the page before said that the next one begins; it goes with the `sort` of that page.
    #[param(pattern = "^-?[0-9]{1,18}-[0-9a-f]{32}$")]
    cursor: Option<String>,
}

/// A listener.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Plane {
    /// SDKs.
    Collect,
    /// Programs.
    Api,
    /// People.
    Console,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// It was served.
    Answered,
    /// It was told why not.
    Refused,
    /// It was told nothing.
    Dropped,
}

/// Which requests come first.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
pub(crate) enum Sort {
    /// The newest: so it is when nothing is said.
    #[default]
    #[serde(rename = "-at")]
    Newest,
    /// The oldest.
    #[serde(rename = "at")]
    Oldest,
    /// Those with the largest bodies.
    #[serde(rename = "-size_bytes")]
    Largest,
    /// Those with the smallest.
    #[serde(rename = "size_bytes")]
    Smallest,
    /// Those that took longest.
    #[serde(rename = "-duration_us")]
    Slowest,
    /// Those that took least.
    #[serde(rename = "duration_us")]
    Fastest,
}

impl From<Sort> for Order {
    fn from(sort: Sort) -> Self {
        match sort {
            Sort::Newest => Self::Newest,
            Sort::Oldest => Self::Oldest,
            Sort::Largest => Self::Largest,
            Sort::Smallest => Self::Smallest,
            Sort::Slowest => Self::Slowest,
            Sort::Fastest => Self::Fastest,
        }
    }
}

/// A request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Request {
    /// The line's id, 32 hexadecimal digits.
    id: String,
    /// When its head had been read.
    at: Moment,
    /// The listener.
    #[schema(schema_with = planes)]
    plane: String,
    /// The verb.
    method: String,
    /// The URL's pattern, or as much of an unknown path as is kept.
    path: String,
    /// The status that it was answered with; null when nothing went out.
    #[schema(minimum = 100, maximum = 599)]
    status: Option<u64>,
    /// What became of it.
    #[schema(schema_with = outcomes)]
    outcome: String,
    /// Why it was not served: a stable word; empty when it was.
    reason: String,
    /// The address it came from, or as much of it as is kept. A passcode that does not see personal
    /// information is shown the network.
    peer: String,
    /// The version of TLS.
    tls_version: String,
    /// Bytes of its body as they came.
    size_bytes: u64,
    /// Records accepted.
    accepted: u64,
    /// Records rejected. Of a request that was not served, and under the reason `gathered`: for how many
    /// more requests the line stands.
    rejected: u64,
    /// How long it took, microseconds.
    duration_us: u64,
}

fn planes() -> utoipa::openapi::schema::Object {
    one_of(["collect", "api", "console"])
}

fn outcomes() -> utoipa::openapi::schema::Object {
    one_of(["answered", "refused", "dropped"])
}

/// Searches the request log
///
/// The newest first, unless another order is asked for. The search is an entry of the audit log.
#[utoipa::path(
    get,
    path = "/v2/requests",
    operation_id = "searchRequests",
    tag = "Request log",
    params(Searched),
    responses((status = 200, description = "A page of requests.", body = Page<Request>))
)]
pub(crate) async fn list(
    program: Program,
    Of(state): Of<State>,
    Asked(asked): Asked<Searched>,
) -> Answer {
    let plane = asked.plane.map(|it| match it {
        Plane::Collect => "collect",
        Plane::Api => "api",
        Plane::Console => "console",
    });
    let outcome = asked.outcome.map(|it| match it {
        Outcome::Answered => "answered",
        Outcome::Refused => "refused",
        Outcome::Dropped => "dropped",
    });
    let wanted = Search {
        account: Some(program.account()),
        from: asked.from.map(|it| it.0),
        to: asked.to.map(|it| it.0),
        plane: plane.map(str::to_owned),
        outcome: outcome.map(str::to_owned),
        peer: asked.peer,
        reason: asked.reason,
        path: asked.path,
        order: asked.sort.unwrap_or_default().into(),
        limit: limit(asked.limit)?,
        cursor: asked.cursor,
    };
    let found = search(&state, program.actor(), &wanted).await?;
    let lines = found.lines.iter().map(request).collect::<Result<_, _>>()?;
    json(&Page::new(lines, found.next))
}

fn request(row: &Row) -> Result<Request, crate::operate::Error> {
    let member = |name: &str| text(row, name).to_owned();
    Ok(Request {
        id: member("record_id"),
        at: Moment(time(row, "ts")?),
        plane: member("plane"),
        method: member("method"),
        path: member("path"),
        status: Some(number(row, "status")).filter(|it| *it > 0),
        outcome: member("outcome"),
        reason: member("reason"),
        peer: member("peer"),
        tls_version: member("tls_version"),
        size_bytes: number(row, "size_bytes"),
        accepted: number(row, "accepted"),
        rejected: number(row, "rejected"),
        duration_us: number(row, "duration_us"),
    })
}
