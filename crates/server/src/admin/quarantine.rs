//! Quarantined records for the operator. The work itself is `web::operate`'s, so that the console
//! does the same.

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::{Actor, QuarantineMark};
use model::RecordId;
use model::record::Quarantined;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use web::operate::quarantine::{Desk, Outcome, RecordState, Wanted};

use super::Frame;
use super::rows::{account_id, parse_time, send_array};
use crate::compose::Installation;
use crate::failure::{Failure, Kind};

/// An operator's act on quarantined records of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QuarantineRequest {
    /// Whose.
    pub(crate) account: String,
    /// Which act.
    pub(crate) act: QuarantineAct,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum QuarantineAct {
    /// Lists them, the newest first, without their content. The data is a JSON array.
    List {
        /// Which.
        filter: QuarantineFilter,
        /// How many at most.
        limit: u32,
        /// The record that the page before ended with.
        after: Option<String>,
    },
    /// Shows one with its content.
    Show {
        /// Its id.
        record: String,
    },
    /// Decodes them again and stores what the rules now let in.
    Replay {
        /// Their ids.
        records: Vec<String>,
    },
    /// Takes them away.
    Delete {
        /// Their ids.
        records: Vec<String>,
    },
}

/// Which records are listed. What is none does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub(crate) struct QuarantineFilter {
    /// Those only of which this became
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<QuarantineState>,
    /// Received not before: YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Received before
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum QuarantineState {
    /// Nothing yet
    Waiting,
    /// It was stored after all
    Replayed,
}

impl From<QuarantineState> for RecordState {
    fn from(state: QuarantineState) -> Self {
        match state {
            QuarantineState::Waiting => Self::Waiting,
            QuarantineState::Replayed => Self::Replayed,
        }
    }
}

/// Carries an act out.
pub(super) async fn execute(
    installation: &Installation,
    actor: &Actor,
    request: QuarantineRequest,
    out: mpsc::Sender<Frame>,
) -> Result<Value> {
    let account = account_id(&request.account)?;
    if installation.rules().account(account).is_none() {
        let message = format!("there is no account `{account}` (see `strongroom account list`)");
        bail!(Failure::new(Kind::NotFound, message));
    }
    let state = installation.web();
    let desk = Desk {
        state,
        actor,
        account,
    };
    match request.act {
        QuarantineAct::List {
            filter,
            limit,
            after,
        } => {
            let time = |text: Option<String>| text.as_deref().map(parse_time).transpose();
            let wanted = Wanted {
                state: filter.state.map(RecordState::from),
                from: time(filter.from)?,
                to: time(filter.to)?,
                after: after.as_deref().map(record_id).transpose()?,
                limit,
                ..Wanted::default()
            };
            let page = desk.list(&wanted).await;
            let page = page.context("failed to list quarantined records")?;
            let values: Vec<Value> = page.records.into_iter().map(Value::Object).collect();
            send_array(&out, &values).await?;
            Ok(json!({"records": values.len(), "next": page.next}))
        }
        QuarantineAct::Show { record } => {
            let found = desk.show(record_id(&record)?).await;
            let (found, mark) = found.context("failed to show a quarantined record")?;
            Ok(shown(found, mark))
        }
        QuarantineAct::Replay { records } => {
            let outcomes = desk.replay(&ids(&records)?).await;
            let outcomes = outcomes.context("failed to replay quarantined records")?;
            let outcomes: Vec<Value> = outcomes
                .iter()
                .map(|(id, outcome)| said(*id, outcome))
                .collect();
            Ok(json!({ "records": outcomes }))
        }
        QuarantineAct::Delete { records } => {
            let deleted = desk.delete(ids(&records)?).await;
            let deleted = deleted.context("failed to delete quarantined records")?;
            Ok(json!({ "deleted": deleted }))
        }
    }
}

fn ids(records: &[String]) -> Result<Vec<RecordId>> {
    records.iter().map(|record| record_id(record)).collect()
}

fn record_id(text: &str) -> Result<RecordId> {
    text.parse().map_err(|_| {
        let message = format!("`{text}` is not a record's id: 32 hexadecimal digits");
        Failure::new(Kind::Invalid, message).into()
    })
}

fn shown(found: Quarantined, mark: Option<QuarantineMark>) -> Value {
    let body = match String::from_utf8(found.body) {
        Ok(text) => json!({ "body": text }),
        Err(error) => json!({ "body_base64": STANDARD.encode(error.as_bytes()) }),
    };
    let mut shown = json!({
        "record_id": found.id.to_string(),
        "received_at": found.received_at.to_string(),
        "source": found.source.as_str(),
        "person_key": found.person.map(|it| it.to_string()),
        "code": found.code,
        "error": found.error,
        "state": if mark.is_some() { "replayed" } else { "waiting" },
    });
    if let (Some(shown), Value::Object(mut body)) = (shown.as_object_mut(), body) {
        shown.append(&mut body);
    }
    shown
}

fn said(id: RecordId, outcome: &Outcome) -> Value {
    let record_id = id.to_string();
    match outcome {
        Outcome::ReplayedBefore => json!({"record_id": record_id, "outcome": "replayed_before"}),
        Outcome::Stored(records) => {
            json!({"record_id": record_id, "outcome": "stored", "records": records})
        }
        Outcome::Refused(code, error) => json!({
            "record_id": record_id, "outcome": "refused", "code": code, "error": error,
        }),
        Outcome::NotReplayable => json!({"record_id": record_id, "outcome": "not_replayable"}),
    }
}
