//! The request log, searched. It holds addresses, so each search is in the audit before its first
//! row; who does not see personal information is shown networks instead of them.

use collect::{network, peer_of_sdk};
use control::{Action, Actor, authz};
use governance::AccountRules;
use model::record::{Outcome, Peer, Plane};
use model::{AccountId, RecordId, Timestamp};
use serde_json::{Map, json};
use std::net::IpAddr;

use super::drops::flush;
use super::rows::{moment, number, quoted, rows_of, text, time};
use super::{Error, Reading, Result, Row};
use crate::State;

/// Lines on one page.
const PAGE_MAX: u32 = 10_000;
/// Characters of what is searched for: as many as the longest path that is logged has.
const WORD_CHARS_MAX: usize = 128;
const PLANES: [&str; 3] = [
    Plane::Collect.as_str(),
    Plane::Api.as_str(),
    Plane::Console.as_str(),
];
const OUTCOMES: [&str; 3] = [
    Outcome::Answered.as_str(),
    Outcome::Refused.as_str(),
    Outcome::Dropped.as_str(),
];

/// For how many more requests a line stands, of the table `requests`.
pub(crate) const MORE: &str =
    "CASE WHEN outcome <> 'answered' OR reason = 'gathered' THEN rejected ELSE 0 END";
/// The records of a request that were rejected, of the table `requests`.
pub(crate) const REJECTED: &str =
    "CASE WHEN outcome = 'answered' AND reason <> 'gathered' THEN rejected ELSE 0 END";

/// Which lines of the request log are wanted. What is none does not restrict.
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
    /// Which come first.
    pub order: Order,
    /// Lines on a page, at most 10,000.
    pub limit: u32,
    /// The page that follows: what the page before said at its end.
    pub cursor: Option<String>,
}

/// Which lines come first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest.
    #[default]
    Newest,
    /// The oldest.
    Oldest,
    /// Those with the largest bodies.
    Largest,
    /// Those with the smallest.
    Smallest,
    /// Those that took longest.
    Slowest,
    /// Those that took least.
    Fastest,
}

impl Order {
    /// The column, and whether its largest values come first.
    const fn column(self) -> (&'static str, bool) {
        match self {
            Self::Newest => ("ts", true),
            Self::Oldest => ("ts", false),
            Self::Largest => ("size_bytes", true),
            Self::Smallest => ("size_bytes", false),
            Self::Slowest => ("duration_us", true),
            Self::Fastest => ("duration_us", false),
        }
    }

    /// Where a line stands: what its column holds, as a number.
    fn place(self, row: &Row) -> Result<i64> {
        match self.column().0 {
            "ts" => Ok(time(row, "ts")?.ms()),
            name => Ok(i64::try_from(number(row, name)).unwrap_or(i64::MAX)),
        }
    }
}

/// Some lines.
#[derive(Debug, Clone)]
pub struct Page {
    /// The lines, in the order that is wanted: the columns of the table `requests`, and `account`.
    pub lines: Vec<Row>,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
}

/// Carries a search out.
///
/// # Errors
/// Invalid for a word that is too long, a plane or outcome that there is not, a cursor that no search
/// has said, or an address that the actor does not see; not found without such an account; denied;
/// unavailable: without its entry in the audit log nothing is read.
pub async fn search(state: &State, actor: &Actor, search: &Search) -> Result<Page> {
    let owner = search.account.unwrap_or_else(AccountId::installation);
    let sees_addresses = authz::sees_personal_information(actor, owner);
    if !sees_addresses {
        refuse_an_address(search)?;
    }
    let statements = statements(state, search)?;
    let reading = Reading {
        state,
        actor,
        account: owner,
        action: Action::RequestsRead,
        object: "requests",
    };
    let note = described(search);
    reading.begin(&note).await?;
    flush(state).await?;
    let mut found: Vec<(i64, String, Row)> = Vec::new();
    for (account, sql) in statements {
        for mut row in rows_of(state, account, &sql).await? {
            if !sees_addresses {
                hide_the_address(&mut row);
            }
            let place = search.order.place(&row)?;
            let id = text(&row, "record_id").to_owned();
            let mut whole = Map::from_iter([("account".to_owned(), json!(account.as_str()))]);
            whole.append(&mut row);
            found.push((place, id, whole));
        }
    }
    let (_, falls) = search.order.column();
    found.sort_by(|a, b| match falls {
        true => (b.0, &b.1).cmp(&(a.0, &a.1)),
        false => (a.0, &a.1).cmp(&(b.0, &b.1)),
    });
    let page = usize::try_from(search.limit.clamp(1, PAGE_MAX)).unwrap_or(usize::MAX);
    let has_more = found.len() > page;
    found.truncate(page);
    let next = found
        .last()
        .filter(|_| has_more)
        .map(|(place, id, _)| format!("{place}-{id}"));
    reading
        .end(&format!("{note}: {} lines", found.len()))
        .await?;
    let lines = found.into_iter().map(|(_, _, row)| row).collect();
    Ok(Page { lines, next })
}

/// What the account that is named is asked, or each of all.
fn statements(state: &State, search: &Search) -> Result<Vec<(AccountId, String)>> {
    let rules = state.control().rules();
    let rules = rules.borrow();
    let installation = AccountId::installation();
    let asked = match search.account {
        Some(id) if id == installation || rules.account(id).is_some() => vec![id],
        Some(id) => {
            return Err(Error::NotFound(format!(
                "account `{id}` (see `strongroom account list`)"
            )));
        }
        None => {
            let all = rules.accounts.keys().copied();
            std::iter::once(installation).chain(all).collect()
        }
    };
    let statement = |id| {
        let rules = rules.account(id).map(|it| &**it);
        Ok((id, statement(search, rules)?))
    };
    asked.into_iter().map(statement).collect()
}

/// One line more than the page holds, to know whether another page follows. `rules` are those of the
/// account that is asked, none of the installation.
fn statement(search: &Search, rules: Option<&AccountRules>) -> Result<String> {
    refuse_unknown("plane", search.plane.as_deref(), &PLANES)?;
    refuse_unknown("outcome", search.outcome.as_deref(), &OUTCOMES)?;
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
        conditions.push(format!("({})", is_peer(peer, rules)?));
    }
    let (column, falls) = search.order.column();
    let (beyond, direction) = if falls { ("<", "DESC") } else { (">", "ASC") };
    if let Some(cursor) = &search.cursor {
        let (place, id) = parse_cursor(cursor)?;
        let place = match column {
            "ts" => moment(Timestamp::from_ms(place)),
            _ => place.to_string(),
        };
        conditions.push(format!(
            "({column} {beyond} {place} OR ({column} = {place} AND record_id {beyond} X'{id}'))"
        ));
    }
    Ok(format!(
        "SELECT ts, record_id, plane, peer, peer_hash, tls_version, method, path, status, outcome, \
         reason, size_bytes, accepted, rejected, duration_us FROM requests WHERE {} \
         ORDER BY {column} {direction}, record_id {direction} LIMIT {}",
        conditions.join(" AND "),
        search.limit.clamp(1, PAGE_MAX).saturating_add(1)
    ))
}

/// Refuses a word that stands in no line: that there is none would be no answer to it.
fn refuse_unknown(what: &str, word: Option<&str>, all: &[&str]) -> Result<()> {
    if word.is_none_or(|word| all.contains(&word)) {
        return Ok(());
    }
    let message = format!("the {what} must be one of {}", all.join(", "));
    Err(Error::Invalid(message))
}

/// Whether a line's peer is an address, or is in a network. Of most SDKs only a hash of the address is
/// kept, by a key of the account's own.
fn is_peer(peer: &str, rules: Option<&AccountRules>) -> Result<String> {
    if let Ok(address) = peer.parse::<IpAddr>() {
        let address = address.to_canonical();
        let is_whole = format!("peer = {}", quoted(&address.to_string()));
        return Ok(match rules.map(|it| peer_of_sdk(it, address)) {
            Some(Peer::Hashed { hash, .. }) => {
                let hash = u64::from_be_bytes(hash);
                format!("{is_whole} OR peer_hash = '{hash:016x}'")
            }
            Some(Peer::Unknown | Peer::Address(_)) | None => is_whole,
        });
    }
    let Some(beginnings) = beginnings(peer) else {
        let message = "the peer must be an address, or a network as it is kept: 203.0.113.0/24, or \
                       2001:db8:7::/48";
        return Err(Error::Invalid(message.to_owned()));
    };
    let is_in = beginnings.iter().map(|it| format!("peer LIKE '{it}%'"));
    Ok(is_in.collect::<Vec<_>>().join(" OR "))
}

/// What an address or a network begins with that is in this network, when it is one that is kept and
/// shown: a /24 or a /48.
fn beginnings(peer: &str) -> Option<Vec<String>> {
    let (first, _) = peer.split_once('/')?;
    let first: IpAddr = first.parse().ok()?;
    if *network(first) != *peer {
        return None;
    }
    Some(match first.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            vec![format!("{a}.{b}.{c}.")]
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            let mut all = vec![format!("{a:x}:{b:x}:{c:x}:")];
            // An address leaves its zeros out, from where they begin.
            if c == 0 {
                all.push(format!("{a:x}:{b:x}::"));
            }
            if (b, c) == (0, 0) {
                all.push(format!("{a:x}::"));
            }
            all
        }
    })
}

/// An address that is not seen cannot be asked for either.
fn refuse_an_address(search: &Search) -> Result<()> {
    let asked = search.peer.as_ref().and_then(|it| it.trim().parse().ok());
    match asked {
        Some(address) => Err(Error::Invalid(format!(
            "addresses are personal information that you are not shown: look for the network {}",
            network(address)
        ))),
        None => Ok(()),
    }
}

/// Leaves the network of a whole address, as of those that are kept no further.
fn hide_the_address(row: &mut Row) {
    row.remove("peer_hash");
    if let Ok(address) = text(row, "peer").parse::<IpAddr>() {
        row.insert("peer".to_owned(), json!(network(address)));
    }
}

fn checked(what: &str, word: &str) -> Result<String> {
    if word.chars().count() > WORD_CHARS_MAX {
        let message = format!("the {what} is longer than {WORD_CHARS_MAX} characters");
        return Err(Error::Invalid(message));
    }
    Ok(quoted(word))
}

fn parse_cursor(cursor: &str) -> Result<(i64, RecordId)> {
    let parsed = cursor.rsplit_once('-').and_then(|(place, id)| {
        let place = place.parse().ok()?;
        Some((place, id.parse().ok()?))
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
    use super::{
        MORE, Order, REJECTED, Search, beginnings, network, parse_cursor, refuse_an_address,
        statement,
    };

    #[test]
    fn what_a_line_stands_for_is_told_by_the_reason_that_collect_writes() {
        let reason = format!("reason = '{}'", collect::GATHERED);
        assert!(MORE.contains(&reason) && REJECTED.contains(&reason.replace('=', "<>")));
    }

    #[test]
    fn what_is_searched_for_cannot_leave_its_quotes() {
        let search = Search {
            reason: Some("x' OR '1'='1".to_owned()),
            limit: 5,
            ..Search::default()
        };
        let sql = statement(&search, None).unwrap();
        assert!(sql.contains("reason = 'x'' OR ''1''=''1'"), "{sql}");
        assert!(sql.ends_with("LIMIT 6"), "{sql}");
        let long = Search {
            peer: Some("1".repeat(200)),
            ..Search::default()
        };
        statement(&long, None).unwrap_err();
        for peer in [
            "nonsense",
            "203.0.0.0/16",
            "203.0.113.9/32",
            "203.0.113.9/24",
            "",
        ] {
            let search = Search {
                peer: Some(peer.to_owned()),
                ..Search::default()
            };
            let refused = statement(&search, None).unwrap_err();
            assert_eq!(refused.kind(), model::ErrorKind::Invalid, "{peer}");
        }
        let path = Search {
            path: Some(format!("/{}", "a".repeat(127))),
            ..Search::default()
        };
        statement(&path, None).unwrap();
    }

    #[test]
    fn a_plane_or_outcome_that_there_is_not_is_refused_with_those_that_there_are() {
        let plane = |word: &str| Search {
            plane: Some(word.to_owned()),
            ..Search::default()
        };
        let outcome = |word: &str| Search {
            outcome: Some(word.to_owned()),
            ..Search::default()
        };
        for known in [plane("collect"), outcome("dropped")] {
            statement(&known, None).unwrap();
        }
        for (unknown, words) in [
            (plane("colect"), "collect, api, console"),
            (plane(""), "collect, api, console"),
            (outcome("ok"), "answered, refused, dropped"),
        ] {
            let refused = statement(&unknown, None).unwrap_err();
            assert_eq!(refused.kind(), model::ErrorKind::Invalid);
            assert!(refused.to_string().contains(words), "{refused}");
        }
    }

    #[test]
    fn a_page_goes_on_where_the_one_before_ended_in_each_order() {
        let id = "00000000000000000000000000000001";
        for (order, expect, ending) in [
            (
                Order::Newest,
                "(ts < to_timestamp_millis(5) OR (ts = to_timestamp_millis(5) AND record_id < X'",
                "ORDER BY ts DESC, record_id DESC LIMIT 6",
            ),
            (
                Order::Oldest,
                "(ts > to_timestamp_millis(5) OR (ts = to_timestamp_millis(5) AND record_id > X'",
                "ORDER BY ts ASC, record_id ASC LIMIT 6",
            ),
            (
                Order::Slowest,
                "(duration_us < 5 OR (duration_us = 5 AND record_id < X'",
                "ORDER BY duration_us DESC, record_id DESC LIMIT 6",
            ),
        ] {
            let search = Search {
                order,
                cursor: Some(format!("5-{id}")),
                limit: 5,
                ..Search::default()
            };
            let sql = statement(&search, None).unwrap();
            assert!(sql.contains(expect) && sql.ends_with(ending), "{sql}");
        }
    }

    #[test]
    fn a_network_is_looked_for_by_what_its_addresses_begin_with() {
        let check = |peer: &str, expect: Option<&[&str]>| {
            let found = beginnings(peer);
            let found: Option<Vec<&str>> = found
                .as_ref()
                .map(|it| it.iter().map(String::as_str).collect());
            assert_eq!(found.as_deref(), expect, "{peer}");
        };
        check("203.0.113.0/24", Some(&["203.0.113."]));
        check("2001:db8:7::/48", Some(&["2001:db8:7:"]));
        check("2001:db8:0::/48", Some(&["2001:db8:0:", "2001:db8::"]));
        check("2001:0:0::/48", Some(&["2001:0:0:", "2001:0::", "2001::"]));
        for other in [
            "203.0.113.0/16",
            "203.0.113.9/24",
            "2001:db8::/32",
            "x/24",
            "%",
        ] {
            check(other, None);
        }
        // Every address is found by its own network.
        for address in [
            "203.0.113.9",
            "2001:db8:7::1",
            "2001:db8::1",
            "2001:db8:0:1::",
            "2001::5",
            "2001:0:0:1:2:3:4:5",
            "2001:0:3::1",
        ] {
            let address: std::net::IpAddr = address.parse().unwrap();
            let found = beginnings(&network(address)).unwrap();
            let text = address.to_string();
            assert!(
                found.iter().any(|it| text.starts_with(it)),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn an_address_that_is_not_shown_cannot_be_looked_for() {
        let search = |peer: &str| Search {
            peer: Some(peer.to_owned()),
            ..Search::default()
        };
        let refused = refuse_an_address(&search("203.0.113.9")).unwrap_err();
        assert!(refused.to_string().contains("203.0.113.0/24"), "{refused}");
        for mapped in ["::ffff:203.0.113.9", " 2001:db8::1 "] {
            refuse_an_address(&search(mapped)).unwrap_err();
        }
        refuse_an_address(&search("203.0.113.0/24")).unwrap();
    }

    #[test]
    fn a_cursor_is_a_place_and_nothing_else() {
        let id = "00000000000000000000000000000001";
        let (at, found) = parse_cursor(&format!("-5-{id}")).unwrap();
        assert_eq!((at, found.to_string()), (-5, id.to_owned()));
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
