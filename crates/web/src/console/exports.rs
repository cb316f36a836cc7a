//! `GET /a/{account}/events/export`, `/people/export`: all events or all people of a time, as a file
//! that is written while it is sent. What the reader's roles mask is masked in it too.
//!
//! The audit log has an entry before the first row and one after the last. The reader's right is
//! asked for again before each piece leaves, so that a file ends where the right does.

use axum::body::Body;
use axum::extract::State as Of;
use axum::response::Response;
use control::{Act, Action, AuditOutcome, authz};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use query::csv::{self, Formulas};
use query::{EventsQuery, Rows, json};
use std::io;

use super::overview::times;
use super::period::Period;
use super::staff::Staff;
use super::view::{Answer, Asked, Fields, answer, download};
use crate::{Error, Result, State};

/// Rows are gathered to about so much before they are sent: each piece costs a look at the reader's right.
const PIECE_BYTES: usize = 1024 * 1024;

/// The events of a time.
pub(crate) async fn events(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    answer(
        &staff,
        Box::pin(file(&staff, &state, &asked, What::Events)).await,
    )
}

/// The people who did or changed anything in a time.
pub(crate) async fn people(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    answer(
        &staff,
        Box::pin(file(&staff, &state, &asked, What::People)).await,
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Events,
    People,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    JsonLines,
}

async fn file(staff: &Staff, state: &State, asked: &Fields, what: What) -> Answer {
    let policy = staff.policy().ok_or(Error::Absent)?;
    let period = Period::asked(&times(staff, state), asked, 7);
    let format = match asked.text("format") {
        "jsonl" => Format::JsonLines,
        _ => Format::Csv,
    };
    let (object, event) = match what {
        What::Events => ("events", asked.some("event")),
        What::People => ("people", None),
    };
    let of = event.map_or_else(String::new, |it| format!("`{it}`, "));
    let words = format!("{of}{} to {}", period.days.0, period.days.1);
    let run = Run {
        staff: staff.clone(),
        state: state.clone(),
        object,
        words,
    };
    run.note(&run.words, AuditOutcome::Begun).await?;
    let engine = state.engine();
    let rows = match what {
        What::Events => {
            let query: EventsQuery = period.query(event);
            engine.export_events(&policy, &query).await?
        }
        What::People => {
            engine
                .export_people(&policy, period.from, period.to)
                .await?
        }
    };
    let (ending, content_type) = match format {
        Format::Csv => ("csv", "text/csv; charset=utf-8"),
        Format::JsonLines => ("jsonl", "application/jsonl"),
    };
    let name = format!("{object}-{}-{}.{ending}", period.days.0, period.days.1);
    let body = Body::from_stream(run.pieces(rows, format));
    Ok(download(&name, content_type, body))
}

/// One export under way.
#[derive(Debug, Clone)]
struct Run {
    staff: Staff,
    state: State,
    object: &'static str,
    words: String,
}

impl Run {
    async fn note(&self, words: &str, outcome: AuditOutcome) -> Result<()> {
        let (actor, account) = (self.staff.actor(), self.staff.account());
        let control = self.state.control();
        control
            .audit(
                actor,
                account,
                Action::Exported,
                self.object,
                words,
                outcome,
            )
            .await?;
        Ok(())
    }

    /// The file, some batches of rows at a time.
    fn pieces(self, rows: Rows, format: Format) -> BoxStream<'static, io::Result<String>> {
        let schema = rows.schema;
        let mut head = String::new();
        if format == Format::Csv {
            csv::header(&schema, Formulas::Defused, &mut head);
        }
        let state = (self, rows.batches.fuse(), 0_u64);
        let rest = stream::try_unfold(state, move |(run, mut batches, mut count)| {
            let schema = std::sync::Arc::clone(&schema);
            async move {
                let mut text = String::new();
                while text.len() < PIECE_BYTES {
                    let Some(batch) = batches.next().await else {
                        break;
                    };
                    let batch = batch.map_err(|error| failed(&error))?;
                    for row in 0..batch.num_rows() {
                        let written = match format {
                            Format::Csv => {
                                csv::line(&schema, &batch, row, Formulas::Defused, &mut text)
                            }
                            Format::JsonLines => json::object(&schema, &batch, row, &mut text),
                        };
                        written.map_err(|error| failed(&error))?;
                        if format == Format::JsonLines {
                            text.push('\n');
                        }
                    }
                    let rows = u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
                    count = count.saturating_add(rows);
                }
                // Last: gathering a piece may take long.
                if !run.still_may().await {
                    return Err(io::Error::other("the reader's right has ended"));
                }
                if text.is_empty() {
                    let words = format!("{}: {count} rows", run.words);
                    let noted = run.note(&words, AuditOutcome::Done).await;
                    noted.map_err(|error| failed(&error))?;
                    return Ok(None);
                }
                Ok(Some((text, (run, batches, count))))
            }
        });
        stream::once(async { Ok(head) }).chain(rest).boxed()
    }

    /// Whether the reader may still.
    async fn still_may(&self) -> bool {
        still_may(&self.state, &self.staff, Act::Export).await
    }
}

/// Whether a reader may still do this: asked again in the course of what takes long.
pub(crate) async fn still_may(state: &State, staff: &Staff, act: Act) -> bool {
    let actor = state.control().user_actor(staff.email()).await;
    actor.is_ok_and(|it| authz::allows(&it, act, staff.account()))
}

/// The file ends early; the operator is told why.
fn failed(error: &(dyn std::error::Error + 'static)) -> io::Error {
    tracing::error!(error, "an export ended early");
    io::Error::other("the export has failed")
}
