//! A message that was refused, as it is kept for review: with what the request said beside it, so
//! that it can be read again.

use model::submission::Batch;

use super::query::device;
use super::{Call, Message, Query};
use crate::json::{DEPTH, Kind, Scanner, Value};
use crate::sdk::{self, Undecodable};

/// The message with the browser's id, and the request's kind, time and session.
#[must_use]
pub fn keep(message: &str, query: &Query<'_>, device: &str) -> String {
    // An id has no character that JSON escapes.
    format!(
        "{{\"g\":\"{device}\",\"type\":\"{}\",\"i\":{},\"s\":{},\"message\":{message}}}",
        query.call.as_str(),
        query.seconds.unwrap_or(0),
        query.session.unwrap_or(0),
    )
}

/// Reads again what [`keep`] has written.
///
/// # Errors
/// When it is something else, or the message cannot be read.
pub fn reread(kept: &str) -> Result<Batch<'_>, Undecodable> {
    let mut fields: [Option<Value<'_>>; 5] = [None; 5];
    let mut scanner = Scanner::new(kept);
    let scanned = scanner.object(|scanner, key| {
        let value = scanner.value(DEPTH)?;
        let [g, kind, at, session, message] = &mut fields;
        match key.decode().as_deref() {
            Some("g") => *g = Some(value),
            Some("type") => *kind = Some(value),
            Some("i") => *at = Some(value),
            Some("s") => *session = Some(value),
            Some("message") => *message = Some(value),
            _ => {}
        }
        Ok(())
    });
    scanned
        .and_then(|()| scanner.end())
        .map_err(|_| Undecodable)?;
    let [g, kind, at, session, message] = fields;
    let message = message.filter(|it| it.kind == Kind::Object);
    let message = Message::decode(message.ok_or(Undecodable)?.text)?;
    let g = g.and_then(|it| it.string()).ok_or(Undecodable)?;
    let device = device(&g).ok_or(Undecodable)?;
    let kind = kind.and_then(|it| it.string());
    let query = Query {
        seconds: sdk::seconds(at),
        session: sdk::seconds(session),
        call: Call::of(kind.as_deref()),
        ..Query::default()
    };
    Ok(message.batch(&query, device))
}
