//! The request log, searched: page by page, and by each filter with lines that it leaves out.

use control::Action;
use model::record::{Outcome, Peer, Plane, Record};
use model::{AccountId, Timestamp};

use super::{Room, line};
use crate::admin::{Request, RequestsSearch};

impl Room {
    /// The beginnings of the ids of the lines that are found, and where the next page begins.
    async fn found(&self, search: RequestsSearch) -> (Vec<String>, Option<String>) {
        let (rows, end) = self.ask(Request::Requests(search)).await.unwrap();
        let next = end["next"].as_str().map(str::to_owned);
        let ids = rows
            .iter()
            .map(|it| it["record_id"].as_str().unwrap()[..2].to_owned());
        (ids.collect(), next)
    }
}

#[tokio::test]
async fn the_request_log_is_searched_page_by_page() {
    let room = Room::new().await;
    let now = room.days_ago(0);
    let of_nobody = (1..=5).map(|number| line(number, now, "unknown_url", "/a"));
    room.append(AccountId::installation(), of_nobody.collect())
        .await;
    let of_account = (6..=9).map(|number| line(number, now, "host", "/b"));
    room.append(room.account, of_account.collect()).await;
    let page = |cursor| RequestsSearch {
        limit: 4,
        cursor,
        ..RequestsSearch::default()
    };
    let (first, next) = room.found(page(None)).await;
    assert_eq!(first, ["09", "08", "07", "06"]);
    let (second, next) = room.found(page(next)).await;
    assert_eq!(second, ["05", "04", "03", "02"]);
    let (third, next) = room.found(page(next)).await;
    assert_eq!((third, next), (vec!["01".to_owned()], None));
    let nobody = AccountId::installation();
    let entries = room.audited(nobody, &[Action::RequestsRead]).await;
    assert!(!entries.is_empty());
}

/// A line of a dropped request, with another plane, outcome and peer.
fn of(
    number: u8,
    at: Timestamp,
    (plane, outcome): (Plane, Outcome),
    peer: &str,
    reason: &str,
) -> Record {
    let mut record = line(number, at, reason, "/a");
    if let Record::Request(line) = &mut record {
        (line.plane, line.outcome) = (plane, outcome);
        line.peer = Peer::Address(peer.parse().unwrap());
    }
    record
}

#[tokio::test]
async fn each_filter_finds_its_lines_and_no_others() {
    let room = Room::new().await;
    let control = room.installation.control();
    let made = control.create_account(&room.actor, "b", "UTC").await;
    let other = made.unwrap().account_id;
    let times = [5, 4, 3, 2, 1].map(|days| room.days_ago(days));
    let dropped = (Plane::Collect, Outcome::Dropped);
    let refused = (Plane::Api, Outcome::Refused);
    let served = (Plane::Api, Outcome::Answered);
    let page = (Plane::Console, Outcome::Answered);
    let lines = vec![
        of(1, times[0], dropped, "203.0.113.9", "unknown_url"),
        of(2, times[1], dropped, "203.0.113.10", "bare_lf"),
    ];
    room.append(AccountId::installation(), lines).await;
    let lines = vec![
        of(3, times[2], refused, "198.51.100.7", "credentials"),
        of(4, times[3], served, "203.0.113.9", ""),
    ];
    room.append(room.account, lines).await;
    let lines = vec![of(5, times[4], page, "198.51.100.7", "")];
    room.append(other, lines).await;

    let check = async |asked: &str, expected: &[&str]| {
        let mut search = RequestsSearch {
            limit: 100,
            ..RequestsSearch::default()
        };
        for (flag, value) in asked.split(' ').filter_map(|it| it.split_once('=')) {
            let field = match flag {
                "account" => &mut search.account,
                "from" => &mut search.from,
                "to" => &mut search.to,
                "plane" => &mut search.plane,
                "outcome" => &mut search.outcome,
                "peer" => &mut search.peer,
                "reason" => &mut search.reason,
                other => panic!("no flag is called {other}"),
            };
            *field = Some(value.to_owned());
        }
        assert_eq!(room.found(search).await.0, *expected, "{asked}");
    };
    let [_, second, third, fourth, _] = times;
    let own = room.account;
    check("", &["05", "04", "03", "02", "01"]).await;
    check("account=0", &["02", "01"]).await;
    check(&format!("account={own}"), &["04", "03"]).await;
    check(&format!("account={other}"), &["05"]).await;
    // From a moment on, and until before it.
    check(&format!("from={third}"), &["05", "04", "03"]).await;
    check(&format!("to={third}"), &["02", "01"]).await;
    check(&format!("from={second} to={fourth}"), &["03", "02"]).await;
    check("plane=collect", &["02", "01"]).await;
    check("plane=api", &["04", "03"]).await;
    check("plane=console", &["05"]).await;
    check("outcome=answered", &["05", "04"]).await;
    check("outcome=refused", &["03"]).await;
    check("outcome=dropped", &["02", "01"]).await;
    check("reason=bare_lf", &["02"]).await;
    check("reason=credentials", &["03"]).await;
    check("peer=203.0.113.9", &["04", "01"]).await;
    check("peer=::ffff:203.0.113.9", &["04", "01"]).await;
    check("peer=203.0.113.0/24", &["04", "02", "01"]).await;
    check("peer=203.0.113.1", &[]).await;
    // Of several conditions all must hold.
    check("plane=api outcome=answered", &["04"]).await;
    check(&format!("peer=203.0.113.9 from={third}"), &["04"]).await;
    check(&format!("account={own} plane=collect"), &[]).await;
}
