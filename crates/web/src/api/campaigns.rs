//! URLs about campaigns and what belongs to them: messages, content blocks, categories of messages.
//!
//! There are no campaigns here. What lists them answers an empty list; what would make, stop or
//! estimate one is refused in clear words, so that no caller believes that something was sent.

use axum::extract::{Request, State as Of};
use axum::response::Response;
use wire::rest::Refusal;

use super::{check_form, enter, respond};
use crate::State;

pub(crate) const REPORT_PATH: &str = "/1/message/report.json";
pub(crate) const CATEGORIES_PATH: &str = "/category-groups";
pub(crate) const BLOCKS_PATH: &str = "/v1/contentBlock/list";
pub(crate) const TARGETS_PATHS: [&str; 5] = [
    "/1/targets/create.json",
    "/1/targets/estimate.json",
    "/1/targets/list.json",
    "/1/targets/result.json",
    "/1/targets/stop.json",
];

/// No messages were sent.
pub(crate) async fn report(of: Of<State>, request: Request) -> Response {
    let none = r#"{"status":"success","total_results":0,"messages":[]}"#;
    listed(of, REPORT_PATH, request, none).await
}

/// There are no categories of messages.
pub(crate) async fn categories(of: Of<State>, request: Request) -> Response {
    listed(
        of,
        CATEGORIES_PATH,
        request,
        r#"{"status":"success","list":[]}"#,
    )
    .await
}

/// There are no blocks of content.
pub(crate) async fn blocks(of: Of<State>, request: Request) -> Response {
    let none = r#"{"status":"success","contentBlocks":[],"total":0}"#;
    listed(of, BLOCKS_PATH, request, none).await
}

/// Nothing can be sent.
pub(crate) async fn targets(Of(state): Of<State>, request: Request) -> Response {
    match enter(&state, "/1/targets/", request).await {
        Ok(call) => respond(Err(Refusal::NoCampaigns.into()), call.facts),
        Err(response) => response,
    }
}

async fn listed(
    Of(state): Of<State>,
    path: &'static str,
    request: Request,
    none: &str,
) -> Response {
    match enter(&state, path, request).await {
        Ok(call) => respond(check_form(&call).map(|()| none.to_owned()), call.facts),
        Err(response) => response,
    }
}
