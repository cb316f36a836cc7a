//! The request log, searched. It holds addresses, so each search is in the audit before its first
//! row.

use control::{Action, Actor};
use model::{AccountId, RecordId, Timestamp};
use serde_json::{Map, json};
use std::net::IpAddr;

use super::drops::flush;
use super::rows::{moment, quoted, rows_of, text, time};
use super::{Error, Reading, Result, Row};
use crate::State;

/// Lines on one page.
const PAGE_MAX: u32 = 10_000;
/// Characters of a word that is searched for.
const WORD_CHARS_MAX: usize = 64;

/// Which lines of the request log are wanted, the newest first. What is none does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// Of this account; the installation for what belongs to none. All accounts when not said.
    pub account: Option<AccountId>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    /// On this plane.
    pub plane: Option<String>,
    /// With this outcome.
    pub outcome: Option<String>,
    /// From this address, or from this network as it is shown.
    pub peer: Option<String>,
    /// For this reason.
    pub reason: Option<String>,
    /// Of this path.
    pub path: Option<String>,
    /// Lines on a page, at most 10,000.
    pub limit: u32,
    /// The page that follows: what the page before said at its end.
    pub cursor: Option<String>,
}

/// Some lines.
#[derive(Debug, Clone)]
pub struct Page {
    /// The lines, the newest first: the columns of the table `requests`, and `account`.
    pub lines: Vec<Row>,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
}

/// Carries a search out.
///
/// # Errors
/// Invalid for a word that is too long or a cursor that no search has said; not found without such
/// an account; denied; unavailable: without its entry in the audit log nothing is read.
pub async fn search(state: &State, actor: &Actor, search: &Search) -> Result<Page> {
    let sql = statement(search)?;
    let accounts = accounts(state, search.account)?;
    let reading = Reading {
        state,
        actor,
        account: search.account.unwrap_or_else(AccountId::installation),
        action: Action::RequestsRead,
        object: "requests",
    };
    let note = described(search);
    reading.begin(&note).await?;
    flush(state).await?;
    let mut found: Vec<(Timestamp, String, Row)> = Vec::new();
    for account in accounts {
        for mut row in rows_of(state, account, &sql).await? {
            let at = time(&row, "ts")?;
            let id = text(&row, "record_id").to_owned();
            let mut whole = Map::from_iter([("account".to_owned(), json!(account.as_str()))]);
            whole.append(&mut row);
            found.push((at, id, whole));
        }
    }
    found.sort_by(|a, b| (b.0, &b.1).cmp(&(a.0, &a.1)));
    let page = usize::try_from(search.limit.clamp(1, PAGE_MAX)).unwrap_or(usize::MAX);
    let has_more = found.len() > page;
    found.truncate(page);
    let next = found
        .last()
        .filter(|_| has_more)
        .map(|(at, id, _)| format!("{}-{id}", at.ms()));
    reading
        .end(&format!("{note}: {} lines", found.len()))
        .await?;
    let lines = found.into_iter().map(|(_, _, row)| row).collect();
    Ok(Page { lines, next })
}

/// The account that is named, or all of them.
fn accounts(state: &State, named: Option<AccountId>) -> Result<Vec<AccountId>> {
    let rules = state.control().rules();
    let rules = rules.borrow();
    match named {
        Some(id) if id == AccountId::installation() || rules.account(id).is_some() => Ok(vec![id]),
        Some(id) => Err(Error::NotFound(format!(
            "account `{id}` (see `strongroom account list`)"
        ))),
        None => {
            let all = rules.accounts.keys().copied();
            Ok(std::iter::once(AccountId::installation())
                .chain(all)
                .collect())
        }
    }
}

/// One line more than the page holds, to know whether another page follows.
fn statement(search: &Search) -> Result<String> {
    let mut conditions = vec!["true".to_owned()];
    if let Some(from) = search.from {
        conditions.push(format!("ts >= {}", moment(from)));
    }
    if let Some(to) = search.to {
        conditions.push(format!("ts < {}", moment(to)));
    }
    for (column, word) in [
        ("plane", &search.plane),
        ("outcome", &search.outcome),
        ("reason", &search.reason),
        ("path", &search.path),
    ] {
        if let Some(word) = word {
            conditions.push(format!("{column} = {}", checked(column, word)?));
        }
    }
    if let Some(peer) = &search.peer {
        let peer = match peer.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().to_string(),
            Err(_) => peer.clone(),
        };
        conditions.push(format!("peer = {}", checked("peer", &peer)?));
    }
    if let Some(cursor) = &search.cursor {
        let (at, id) = parse_cursor(cursor)?;
        let at = moment(at);
        conditions.push(format!(
            "(ts < {at} OR (ts = {at} AND record_id < X'{id}'))"
        ));
    }
    Ok(format!(
        "SELECT ts, record_id, plane, peer, peer_hash, tls_version, method, path, status, outcome, \
         reason, size_bytes, accepted, rejected, duration_us FROM requests WHERE {} \
         ORDER BY ts DESC, record_id DESC LIMIT {}",
        conditions.join(" AND "),
        search.limit.clamp(1, PAGE_MAX).saturating_add(1)
    ))
}

fn checked(what: &str, word: &str) -> Result<String> {
    if word.chars().count() > WORD_CHARS_MAX {
        let message = format!("the {what} is longer than {WORD_CHARS_MAX} characters");
        return Err(Error::Invalid(message));
    }
    Ok(quoted(word))
}

fn parse_cursor(cursor: &str) -> Result<(Timestamp, RecordId)> {
    let parsed = cursor.rsplit_once('-').and_then(|(at, id)| {
        let at = at.parse().ok().map(Timestamp::from_ms)?;
        Some((at, id.parse().ok()?))
    });
    parsed.ok_or_else(|| {
        let message = "the cursor is not one that a search has said";
        Error::Invalid(message.to_owned())
    })
}

/// What was searched for, for the audit log; the address is left out.
fn described(search: &Search) -> String {
    let (from, to) = (
        search.from.map(|it| it.to_string()),
        search.to.map(|it| it.to_string()),
    );
    let parts = [
        ("from", &from),
        ("to", &to),
        ("plane", &search.plane),
        ("outcome", &search.outcome),
        ("reason", &search.reason),
        ("path", &search.path),
    ];
    let mut words: Vec<String> = parts
        .iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name} {value}")))
        .collect();
    if search.peer.is_some() {
        words.push("one address".to_owned());
    }
    if words.is_empty() {
        "everything".to_owned()
    } else {
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::{Search, parse_cursor, statement};

    #[test]
    fn what_is_searched_for_cannot_leave_its_quotes() {
        let search = Search {
            reason: Some("x' OR '1'='1".to_owned()),
            limit: 5,
            ..Search::default()
        };
        let sql = statement(&search).unwrap();
        assert!(sql.contains("reason = 'x'' OR ''1''=''1'"), "{sql}");
        assert!(sql.ends_with("LIMIT 6"), "{sql}");
        let long = Search {
            peer: Some("1".repeat(100)),
            ..Search::default()
        };
        statement(&long).unwrap_err();
    }

    #[test]
    fn a_cursor_is_a_place_and_nothing_else() {
        let id = "00000000000000000000000000000001";
        let (at, found) = parse_cursor(&format!("-5-{id}")).unwrap();
        assert_eq!((at.ms(), found.to_string()), (-5, id.to_owned()));
        for wrong in [
            "",
            "1",
            "1-x",
            "x-00000000000000000000000000000001",
            "1-' OR 1",
        ] {
            parse_cursor(wrong).unwrap_err();
        }
    }
}
