//! The sweeper goes by what an account says, and by the configuration where it says nothing.

use collect::{Flush, Refused};
use control::{Actor, RequestRetention};
use model::catalog::Catalog as _;
use model::record::{Entry, Outcome, Peer, Plane, Record, RequestLine, Table};
use model::{AccountId, Clock as _, PersonKey, RecordId};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::mpsc;
use web::operate::drops;

use super::{DAY, kept_since};
use crate::admin::{self, AccountRequest, Request};
use crate::compose::Installation;
use crate::failure::{Failure, Kind};
use crate::jobs::tests::{account, append, event};
use crate::jobs::{self, Job};
use crate::testing::{Folder, operator};

fn line(folder: &Folder, account: AccountId) -> Entry {
    let line = RequestLine {
        id: RecordId([2; 16]),
        at: folder.clock.now(),
        plane: Plane::Collect,
        peer: Peer::Unknown,
        tls_version: "1.3".into(),
        method: "POST".into(),
        path: "/a1".into(),
        status: 200,
        outcome: Outcome::Answered,
        reason: "".into(),
        size_bytes: 0,
        accepted: 1,
        rejected: 0,
        duration_us: 0,
    };
    Entry {
        account,
        record: Record::Request(Box::new(line)),
    }
}

/// Rows of events and of requests that the lake holds of an account.
async fn rows(installation: &Installation, account: AccountId) -> [u64; 2] {
    let control = installation.control();
    let mut rows = [0_u64; 2];
    for (rows, table) in rows.iter_mut().zip([Table::Events, Table::Requests]) {
        let view = control.view(Some(account), &[table]).await.unwrap();
        *rows = view.parts.iter().map(|part| part.rows).sum();
    }
    rows
}

/// What `account retention` prints.
async fn retain(
    installation: &Installation,
    account: AccountId,
    days: Option<u32>,
    requests: Option<RequestRetention>,
    may_shorten: bool,
) -> Result<Value, Failure> {
    let request = Request::Account(AccountRequest::Retention {
        account: account.to_string(),
        days,
        requests,
        may_shorten,
    });
    let (sender, _frames) = mpsc::channel(1);
    let done = Box::pin(admin::execute(installation, operator(), request, sender));
    done.await.map_err(|error| Failure::of(&error))
}

#[tokio::test]
async fn an_account_keeps_as_long_as_it_says_or_else_as_configured() {
    let folder = Folder::new().await;
    let installation = folder
        .open(|config| config.jobs.requests_retention_days = 20)
        .await;
    let own = account(&installation, "own").await;
    let other = account(&installation, "other").await;
    for account in [own, other] {
        let event = event(&folder, account, 1, PersonKey([7; 16]));
        append(&installation, vec![event, line(&folder, account)]).await;
    }
    let run = async |job| {
        let ran = Box::pin(jobs::run(&installation, job));
        ran.await.unwrap();
    };
    run(Job::Flush).await;
    let said = |days: u32, request_days: u32, is_own: bool| {
        json!({
            "account_id": own.as_str(), "retention_days": days,
            "request_retention_days": request_days, "request_retention_is_own": is_own,
        })
    };
    let shown = retain(&installation, own, None, None, false).await.unwrap();
    assert_eq!(shown, said(365, 20, false));

    folder.clock.advance(Duration::from_secs(10 * 86_400));
    run(Job::Expiry).await;
    assert_eq!(rows(&installation, own).await, [1, 1]);
    let days = Some(RequestRetention::Days(7));
    let refused = retain(&installation, own, None, days, false).await;
    assert_eq!(refused.unwrap_err().kind, Kind::Unconfirmed);
    let shown = retain(&installation, own, None, days, true).await.unwrap();
    assert_eq!(shown, said(365, 7, true));
    run(Job::Expiry).await;
    assert_eq!(rows(&installation, own).await, [1, 0]);
    assert_eq!(rows(&installation, other).await, [1, 1]);

    // Who says nothing is kept as configured, and so is who says nothing any more.
    folder.clock.advance(Duration::from_secs(12 * 86_400));
    run(Job::Expiry).await;
    assert_eq!(rows(&installation, other).await, [1, 0]);
    let back = Some(RequestRetention::AsConfigured);
    // More is kept than before by the server's configuration, which alone says so.
    let shown = retain(&installation, own, None, back, false).await.unwrap();
    assert_eq!(shown, said(365, 20, false));

    folder.clock.advance(Duration::from_secs(80 * 86_400));
    run(Job::Expiry).await;
    assert_eq!(rows(&installation, own).await, [1, 0]);
    retain(&installation, own, Some(90), None, true)
        .await
        .unwrap();
    run(Job::Expiry).await;
    assert_eq!(rows(&installation, own).await, [0, 0]);
    assert_eq!(rows(&installation, other).await, [1, 0]);
}

#[tokio::test]
async fn no_account_keeps_nothing_and_none_keeps_for_ever() {
    let folder = Folder::new().await;
    let installation = folder.open(|_| {}).await;
    let own = account(&installation, "own").await;
    for (days, requests) in [(Some(89), None), (None, Some(0)), (Some(3_661), None)] {
        let requests = requests.map(RequestRetention::Days);
        let refused = retain(&installation, own, days, requests, true)
            .await
            .unwrap_err();
        assert_eq!(refused.kind, Kind::Invalid);
        let words = refused.to_string();
        let least = if requests.is_some() { 1 } else { 90 };
        let expect = format!("must be {least} to 3660 days");
        assert!(words.contains(&expect), "{words}");
    }
    let nobody = AccountId::installation();
    let refused = retain(&installation, nobody, Some(99), None, true).await;
    assert_eq!(refused.unwrap_err().kind, Kind::NotFound);
}

/// Drops of one moment: of 500 URLs that nobody knows.
fn flood(installation: &Installation, drops: u32) {
    for number in 0..drops {
        installation.drops().refuse(Refused {
            plane: Plane::Collect,
            peer: "203.0.113.9".parse().unwrap(),
            tls_version: "1.3",
            method: "GET".into(),
            path: format!("/garbage/{}", number % 500).into(),
            status: 0,
            reason: "unknown_url",
            size_bytes: 0,
        });
    }
}

#[tokio::test]
async fn under_a_flood_old_drops_go_and_the_others_are_counted_exactly() {
    const DROPS: u32 = 6_000;
    // 4,096 one by one, then two of each kind: of 128 paths, and of all others.
    const ROWS_MAX: u64 = 4_096 + 2 * 129;
    const DAYS_KEPT: u32 = 2;
    let folder = Folder::new().await;
    // A day's drops are all within the day.
    let now = folder.clock.now();
    let noon = now.day().start().plus(DAY + DAY / 2);
    folder.clock.advance(noon.since(now));
    let installation = folder
        .open(|config| config.jobs.requests_retention_days = DAYS_KEPT)
        .await;
    let nobody = AccountId::installation();
    let run = async |job| Box::pin(jobs::run(&installation, job)).await.unwrap();
    let (mut of_a_day, mut removed) = (0, 0);
    for day in 0..5 {
        flood(&installation, DROPS);
        let flushed = installation.drops().flush(Flush::All).await;
        flushed.unwrap();
        run(Job::Flush).await;
        removed += run(Job::Expiry).await["rows_removed"].as_u64().unwrap();
        // Those of today and of the days before it that are kept.
        let days = (day + 1).min(DAYS_KEPT + 1);
        let [_, kept] = rows(&installation, nobody).await;
        if day == 0 {
            of_a_day = kept;
        }
        assert_eq!(kept, u64::from(days) * of_a_day, "day {day}");
        let groups = drops::groups(installation.web(), &Actor::system("drops")).await;
        let groups = groups.unwrap();
        let count: u64 = groups.iter().map(|it| it.count).sum();
        assert_eq!(count, u64::from(days * DROPS), "day {day}");
        let since = kept_since(&installation, nobody, Table::Requests, DAYS_KEPT).unwrap();
        assert!(groups.iter().all(|it| it.first_seen >= since), "day {day}");
        folder.clock.advance(DAY);
    }
    assert!(of_a_day > 0 && of_a_day <= ROWS_MAX, "{of_a_day} rows");
    assert_eq!(removed, 2 * of_a_day);
}
