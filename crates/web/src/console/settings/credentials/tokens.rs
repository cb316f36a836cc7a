//! The tokens that apps carry: their table, another one is made, an old one is ended before its time.

use control::SdkToken;
use model::{ErrorKind, Timestamp};

use super::{Credentials, Form, path};
use crate::console::staff::Staff;
use crate::console::view::{
    Answer, Badge, Column, Fields, Heads, Moment, Pager, Sheet, Times, Tone, html, link, see_other,
    unusable,
};
use crate::{Error, State};

/// The table, in the URL.
pub(super) const NAME: &str = "tokens";

/// The columns of the tokens.
pub(super) const COLUMNS: &[Column<SdkToken>] = &[
    Column::new("token", "Token", |it: &SdkToken, _| it.number.to_string())
        .most(|a, b| a.number.cmp(&b.number)),
    Column::new("status", "Status", |it: &SdkToken, times| {
        status(it, times).0.to_owned()
    })
    .most(|a, b| ends(a).cmp(&ends(b))),
    Column::new("used_at", "Last used", |it: &SdkToken, times| {
        times.cell(it.used_at)
    })
    .most(|a, b| a.used_at.cmp(&b.used_at)),
    Column::new("made_at", "Made", |it: &SdkToken, times| {
        times.cell(Some(it.created_at))
    })
    .most(|a, b| a.created_at.cmp(&b.created_at)),
    Column::new("ends_at", "Ends", |it: &SdkToken, times| {
        times.cell(it.ends_at)
    })
    .most(|a, b| ends(a).cmp(&ends(b))),
];

/// When a token is refused; far ahead for the newest.
fn ends(token: &SdkToken) -> i64 {
    token.ends_at.map_or(i64::MAX, Timestamp::ms)
}

/// The table, as it is shown.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) lines: Vec<Token>,
    pub(super) heads: Heads,
    pub(super) pager: Pager,
    pub(super) csv: String,
    /// What the table is filtered by.
    pub(super) status: String,
}

impl Tokens {
    pub(super) fn new(
        all: Vec<SdkToken>,
        sheet: &Sheet<'_>,
        asked: &Fields,
        times: &Times,
    ) -> Self {
        let (found, heads) = chosen(all, sheet, asked, times);
        let (found, pager) = sheet.cut(found, "token");
        Self {
            lines: found.iter().map(|it| token(it, times)).collect(),
            heads,
            pager,
            csv: sheet.csv(),
            status: asked.text(STATUS).to_owned(),
        }
    }
}

/// By which the table is filtered, in the URL.
const STATUS: &str = "token_status";

/// The tokens that are asked for, in the order that is asked for: the newest first.
pub(super) fn chosen(
    mut all: Vec<SdkToken>,
    sheet: &Sheet<'_>,
    asked: &Fields,
    times: &Times,
) -> (Vec<SdkToken>, Heads) {
    let wanted = asked.text(STATUS);
    all.retain(|it| wanted.is_empty() || status(it, times).0 == wanted);
    all.reverse();
    let heads = sheet.sort(COLUMNS, Some(("token", true)), &mut all);
    (all, heads)
}

/// A token that apps carry.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) number: u32,
    pub(super) state: Badge,
    pub(super) used: Option<Moment>,
    pub(super) created: Moment,
    pub(super) ends: Option<Moment>,
    /// Whether it can be ended: it is accepted, and not the newest.
    pub(super) is_endable: bool,
}

/// Whether a token is accepted, as a word of the URL and as it looks.
fn status(token: &SdkToken, times: &Times) -> (&'static str, Badge) {
    match token.ends_at {
        None => ("newest", Badge::new(Tone::Ok, "Newest")),
        Some(end) if end <= times.now() => ("refused", Badge::new(Tone::Plain, "Refused")),
        Some(_) => ("accepted", Badge::new(Tone::Warn, "Accepted still")),
    }
}

fn token(token: &SdkToken, times: &Times) -> Token {
    Token {
        number: token.number,
        state: status(token, times).1,
        is_endable: token.ends_at.is_some_and(|end| times.now() < end),
        used: token.used_at.map(|at| times.ago(at)),
        created: times.on(token.created_at),
        ends: token.ends_at.map(|at| times.at(at)),
    }
}

/// Makes another token for apps.
pub(super) async fn rotate(staff: &Staff, state: &State, fields: &Fields) -> Answer {
    let asked = Fields::default();
    let days = fields.text("days").parse::<u32>();
    let rotated = match days {
        Ok(days) => {
            let control = state.control();
            let rotated = control.rotate_sdk_token(staff.actor(), staff.account(), days);
            rotated.await.map_err(Error::from)
        }
        Err(_) => {
            let text = "an overlap is a number of days, 0 for none";
            Err(crate::operate::Error::Invalid(text.to_owned()).into())
        }
    };
    match rotated {
        // The answer to this form is the only place where the token is ever shown.
        Ok(made) => {
            let mut page = Credentials::new(staff, state, &asked, Form::default(), None).await?;
            page.made = Some((String::from("SDK token"), made.text.expose().clone()));
            html(&page)
        }
        Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Conflict) => {
            let mut page = Credentials::new(staff, state, &asked, Form::default(), None).await?;
            page.token_error = Some(error.words());
            unusable(&page)
        }
        Err(error) => Err(error),
    }
}

/// Ends a token that apps carried before the newest.
pub(super) async fn end(staff: &Staff, state: &State, fields: &Fields) -> Answer {
    let number = fields.text("number").parse().map_err(|_| Error::Absent)?;
    let control = state.control();
    control
        .end_sdk_token(staff.actor(), staff.account(), number)
        .await?;
    see_other(&link(&path(staff), &[("done", "ended")]))
}
