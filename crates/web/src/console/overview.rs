//! `GET /a/{account}/overview`: how it goes, and what somebody should look at.
//!
//! Of an account: requests, events, rejections, the most frequent events. Of the installation:
//! volumes, drops, requests by plane. Everything here is a count; no person is in it.

mod account;
mod installation;

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use model::AccountId;

use super::staff::Staff;
use super::view::{Asked, Chart, Moment, Ranks, Shell, Spark, Times, Tone, answer};
use crate::State;

/// The page.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    let shown = match staff.account() == AccountId::installation() {
        true => Box::pin(installation::show(&staff, &state, &asked)).await,
        false => Box::pin(account::show(&staff, &state, &asked)).await,
    };
    answer(&staff, shown)
}

/// The page's template, for both.
#[derive(Debug, Template)]
#[template(path = "overview.html")]
struct Overview {
    shell: Shell,
    spans: Vec<Span>,
    /// What somebody should look at.
    todos: Vec<Todo>,
    tiles: Vec<Tile>,
    charts: Vec<Panel<Chart>>,
    ranks: Vec<Panel<Ranks>>,
    /// Kinds of errors, those seen last first; none when the reader may not see them.
    rejects: Option<Vec<Reject>>,
    rejects_href: String,
    /// What to do first, while nothing has come yet.
    first_steps: Option<String>,
}

/// A time to look at.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) label: &'static str,
    pub(crate) href: String,
    pub(crate) is_current: bool,
}

/// Something that somebody should look at.
#[derive(Debug)]
struct Todo {
    tone: Tone,
    text: String,
    words: String,
    href: Option<String>,
}

/// What is red of an account, or of the installation; with a link for whoever may open the page.
fn red(state: &State, account: AccountId, opens: impl Fn(&str) -> bool) -> Vec<Todo> {
    let concerns = state.volumes().concerns().into_iter();
    let own = concerns.filter(|it| it.account == account);
    own.map(|it| Todo {
        tone: Tone::Bad,
        text: it.text,
        words: it.words,
        href: it
            .page
            .filter(|page| opens(page))
            .map(|page| format!("/a/{account}/{page}")),
    })
    .collect()
}

impl Todo {
    const fn icon(&self) -> &'static str {
        match self.tone {
            Tone::Ok => "M13 4.5 6.5 11 3 7.5",
            Tone::Plain | Tone::Warn | Tone::Bad | Tone::Info => {
                "M8 2.2 14.3 13.4H1.7L8 2.2ZM8 6.6v3.2M8 11.6v.1"
            }
        }
    }
}

/// A number.
#[derive(Debug)]
struct Tile {
    label: &'static str,
    number: String,
    note: String,
    is_bad: bool,
    spark: Option<Spark>,
}

/// A chart with its heading.
#[derive(Debug)]
struct Panel<T> {
    title: &'static str,
    note: String,
    /// Where there is more of it.
    more: Option<(String, &'static str)>,
    body: T,
    /// What is said when there is nothing.
    empty: Option<&'static str>,
}

/// One kind of error.
#[derive(Debug)]
struct Reject {
    code: String,
    error: String,
    source: String,
    number: String,
    last: Moment,
    href: String,
}

/// The times that the page can look at.
pub(crate) fn spans(path: &str, days: &str) -> Vec<Span> {
    let known = [("1", "24 hours"), ("7", "7 days"), ("30", "30 days")];
    let current = known
        .iter()
        .find(|(it, _)| *it == days)
        .map_or("7", |it| it.0);
    let span = |(days, label): (&'static str, &'static str)| Span {
        label,
        href: super::view::link(path, &[("days", days)]),
        is_current: days == current,
    };
    known.map(span).into()
}

/// Writes times as the reader's account has them.
pub(crate) fn times(staff: &Staff, state: &State) -> Times {
    Times::new(staff.time_zone(), state.clock().now())
}

/// Whether the URL names the installation: a page about it does not exist elsewhere.
pub(crate) fn of_installation(staff: &Staff) -> crate::Result<()> {
    match staff.account() == AccountId::installation() {
        true => Ok(()),
        false => Err(crate::Error::Absent),
    }
}
