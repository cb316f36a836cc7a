//! The request log for the operator. The search itself is `web::operate`'s, so that the console does
//! the same.

use anyhow::{Context as _, Result};
use control::Actor;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use web::operate::requests::{self, Search};

use super::Frame;
use super::rows::{account_id, parse_time, send_array};
use crate::compose::Installation;

/// Which lines of the request log are wanted, the newest first. What is none does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub(crate) struct RequestsSearch {
    /// Of this account; `0` for what belongs to no account. All accounts when not said
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// Not before: YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Before
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// On this plane: collect, api, console
    #[arg(long, value_name = "PLANE")]
    pub(crate) plane: Option<String>,
    /// With this outcome: answered, refused, dropped
    #[arg(long, value_name = "OUTCOME")]
    pub(crate) outcome: Option<String>,
    /// From this address, or from this network as it is shown
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) peer: Option<String>,
    /// For this reason
    #[arg(long, value_name = "REASON")]
    pub(crate) reason: Option<String>,
    /// Lines on a page, at most 10000
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: u32,
    /// The page that follows: what the page before said at its end
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<String>,
}

/// Carries a search out. The data is a JSON array; at the end it is said where the next page begins.
pub(super) async fn execute(
    installation: &Installation,
    actor: &Actor,
    search: RequestsSearch,
    out: mpsc::Sender<Frame>,
) -> Result<Value> {
    let time = |text: &Option<String>| text.as_deref().map(parse_time).transpose();
    let search = Search {
        account: search.account.as_deref().map(account_id).transpose()?,
        from: time(&search.from)?,
        to: time(&search.to)?,
        plane: search.plane,
        outcome: search.outcome,
        peer: search.peer,
        reason: search.reason,
        path: None,
        order: requests::Order::Newest,
        limit: search.limit,
        cursor: search.cursor,
    };
    let page = requests::search(installation.web(), actor, &search).await;
    let page = page.context("failed to search the request log: nothing was read")?;
    let values: Vec<Value> = page.lines.into_iter().map(Value::Object).collect();
    send_array(&out, &values).await?;
    Ok(json!({"lines": values.len(), "next": page.next}))
}
