//! The request log, searched. It holds addresses, so each search is in the audit before its first row.

use anyhow::{Context as _, Result, bail};
use collect::Flush;
use control::{Action, Actor, AuditOutcome};
use model::{AccountId, RecordId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::net::IpAddr;
use tokio::sync::mpsc;

use super::Frame;
use super::rows::{account_id, moment, parse_time, quoted, rows, send_array, text, time};
use crate::compose::Installation;
use crate::failure::{Failure, Kind};

/// Lines on one page.
const PAGE_MAX: u32 = 10_000;
/// Characters of a word that is searched for.
const WORD_CHARS_MAX: usize = 64;

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
    let sql = statement(&search)?;
    let accounts = accounts(installation, search.account.as_deref())?;
    let logged = match accounts.as_slice() {
        [one] => *one,
        _ => AccountId::installation(),
    };
    let control = installation.control();
    let note = described(&search);
    control
        .audit(
            actor,
            logged,
            Action::RequestsRead,
            "requests",
            &note,
            AuditOutcome::Begun,
        )
        .await
        .context("failed to write the audit log: nothing was read")?;
    installation
        .drops()
        .flush(Flush::All)
        .await
        .context("failed to write down what was dropped last")?;
    let mut found: Vec<(Timestamp, String, Value)> = Vec::new();
    for account in accounts {
        for mut row in rows(installation, account, &sql).await? {
            let at = time(&row, "ts")?;
            let id = text(&row, "record_id");
            let mut whole = Map::from_iter([("account".to_owned(), json!(account.as_str()))]);
            whole.append(&mut row);
            found.push((at, id, Value::Object(whole)));
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
    let count = found.len();
    let values: Vec<Value> = found.into_iter().map(|(_, _, value)| value).collect();
    send_array(&out, &values).await?;
    let note = format!("{note}: {count} lines");
    control
        .audit(
            actor,
            logged,
            Action::RequestsRead,
            "requests",
            &note,
            AuditOutcome::Done,
        )
        .await
        .context("failed to close the entry in the audit log")?;
    Ok(json!({"lines": count, "next": next}))
}

/// The account that is named, or all of them.
fn accounts(installation: &Installation, named: Option<&str>) -> Result<Vec<AccountId>> {
    let rules = installation.rules();
    let Some(named) = named else {
        let all = rules.accounts.keys().copied();
        return Ok(std::iter::once(AccountId::installation())
            .chain(all)
            .collect());
    };
    let id = account_id(named)?;
    if id != AccountId::installation() && rules.account(id).is_none() {
        let message = format!("there is no account `{id}` (see `strongroom account list`)");
        bail!(Failure::new(Kind::NotFound, message));
    }
    Ok(vec![id])
}

/// One line more than the page holds, to know whether another page follows.
fn statement(search: &RequestsSearch) -> Result<String> {
    let mut conditions = vec!["true".to_owned()];
    if let Some(from) = &search.from {
        conditions.push(format!("ts >= {}", moment(parse_time(from)?)));
    }
    if let Some(to) = &search.to {
        conditions.push(format!("ts < {}", moment(parse_time(to)?)));
    }
    for (column, word) in [
        ("plane", &search.plane),
        ("outcome", &search.outcome),
        ("reason", &search.reason),
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
        bail!(Failure::new(Kind::Invalid, message));
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
        Failure::new(Kind::Invalid, message).into()
    })
}

/// What was searched for, for the audit log; the address is left out.
fn described(search: &RequestsSearch) -> String {
    let parts = [
        ("from", &search.from),
        ("to", &search.to),
        ("plane", &search.plane),
        ("outcome", &search.outcome),
        ("reason", &search.reason),
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
    use super::{RequestsSearch, parse_cursor, statement};

    #[test]
    fn what_is_searched_for_cannot_leave_its_quotes() {
        let search = RequestsSearch {
            reason: Some("x' OR '1'='1".to_owned()),
            limit: 5,
            ..RequestsSearch::default()
        };
        let sql = statement(&search).unwrap();
        assert!(sql.contains("reason = 'x'' OR ''1''=''1'"), "{sql}");
        assert!(sql.ends_with("LIMIT 6"), "{sql}");
        let long = RequestsSearch {
            peer: Some("1".repeat(100)),
            ..RequestsSearch::default()
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
