//! `GET /a/{account}/quarantine/{record}`: one record with its content.

use askama::Template;
use axum::extract::{Path, State as Of};
use axum::response::Response;
use control::{Act, QuarantineMark};
use model::RecordId;

use super::desk;
use crate::console::overview::times;
use crate::console::records::short;
use crate::console::staff::Staff;
use crate::console::view::{Answer, Badge, Moment, Section, Shell, Tone, answer, bytes, html};
use crate::{Error, State};

/// Characters of a body that are shown.
const BODY_CHARS_MAX: usize = 64 * 1024;

/// One record with its content.
pub(crate) async fn get(
    staff: Staff,
    Of(state): Of<State>,
    Path((_, record)): Path<(String, String)>,
) -> Response {
    answer(&staff, open(&staff, &state, &record).await)
}

#[derive(Debug, Template)]
#[template(path = "quarantine_record.html")]
struct Record {
    shell: Shell,
    path: String,
    id: String,
    at: Moment,
    source: &'static str,
    code: u16,
    error: String,
    person: Option<(String, String)>,
    state: Badge,
    size: String,
    /// None when the reader's roles do not show personal information.
    body: Option<String>,
    is_cut: bool,
    may_change: bool,
    is_replayable: bool,
}

async fn open(staff: &Staff, state: &State, record: &str) -> Answer {
    let id: RecordId = record.parse().map_err(|_| Error::Absent)?;
    let (found, mark) = desk(staff, state).show(id).await?;
    let times = times(staff, state);
    let account = staff.account();
    let path = format!("/a/{account}/quarantine");
    let sees = staff.policy().is_some_and(|it| it.masks.is_empty());
    let body = String::from_utf8_lossy(&found.body);
    let cut = body.char_indices().nth(BODY_CHARS_MAX).map(|(end, _)| end);
    let shown = body.get(..cut.unwrap_or(body.len())).unwrap_or_default();
    let is_cut = cut.is_some();
    let person = found.person.map(|key| {
        let href = match staff.may(Act::ReadPeople) {
            true => format!("/a/{account}/people/{key}"),
            false => String::new(),
        };
        (short(&key.to_string()), href)
    });
    html(&Record {
        shell: Shell::new(
            staff,
            Section::Quarantine,
            format!("Record {}", short(record)),
        )
        .under("Quarantine", path.clone()),
        id: id.to_string(),
        at: times.at(found.received_at),
        source: found.source.as_str(),
        code: found.code,
        error: found.error.replace('_', " "),
        person,
        state: match mark {
            Some(QuarantineMark::Replayed) => Badge::new(Tone::Ok, "Replayed"),
            Some(QuarantineMark::Deleted) => Badge::new(Tone::Plain, "Deleted"),
            None => Badge::new(Tone::Warn, "Waiting"),
        },
        size: bytes(u64::try_from(found.body.len()).unwrap_or(u64::MAX)),
        body: sees.then(|| pretty(shown, is_cut)),
        is_cut,
        may_change: staff.may(Act::ManageQuarantine),
        is_replayable: mark.is_none() && collect::is_replayable(found.source),
        path,
    })
}

/// JSON with its members on lines of their own; anything else as it came.
fn pretty(body: &str, is_cut: bool) -> String {
    if is_cut {
        return body.to_owned();
    }
    // Only white space is added between tokens: no value is read and written anew.
    let mut text = String::with_capacity(body.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    if serde_json::from_str::<&serde_json::value::RawValue>(body).is_err() {
        return body.to_owned();
    }
    let newline = |text: &mut String, depth: usize| {
        text.push('\n');
        text.push_str(&"  ".repeat(depth));
    };
    for letter in body.chars() {
        if in_string {
            text.push(letter);
            in_string = escaped || letter != '"';
            escaped = letter == '\\' && !escaped;
            continue;
        }
        match letter {
            '"' => {
                in_string = true;
                text.push(letter);
            }
            '{' | '[' => {
                depth += 1;
                text.push(letter);
                newline(&mut text, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                newline(&mut text, depth);
                text.push(letter);
            }
            ',' => {
                text.push(letter);
                newline(&mut text, depth);
            }
            ':' => text.push_str(": "),
            letter if letter.is_ascii_whitespace() => {}
            letter => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::pretty;

    #[test]
    fn json_is_laid_out_and_no_value_changes() {
        let body = r#"{"a":[1.50,"x,{\"}"],"b":{}}"#;
        let shown = pretty(body, false);
        assert_eq!(
            shown,
            "{\n  \"a\": [\n    1.50,\n    \"x,{\\\"}\"\n  ],\n  \"b\": {\n    \n  }\n}"
        );
        for other in ["no json {", "\"x"] {
            assert_eq!(pretty(other, false), other);
        }
        assert_eq!(pretty(body, true), body);
    }
}
