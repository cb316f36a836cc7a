//! An upload that is sent again to a server that has started anew, and a node that takes no upload.

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use model::record::Plane;
use model::{Clock as _, Day};
use query::{EventsQuery, ReadPolicy};
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt as _;

use super::Installation;
use crate::attention::tests::filled;
use crate::jobs::{self, Job};
use crate::listen::Health as _;
use crate::testing::{Folder, operator};

const BODY: &str = r#"{"d":[
    {"type":"event","identity":"u1","evtName":"Viewed"},
    {"type":"event","identity":"u1","evtName":"Viewed"},
    {"type":"profile","identity":"u1","profileData":{"Visits":{"$incr":1}}}]}"#;

/// Sends under a key; the status.
async fn send(installation: &Installation, account: &str, passcode: &str) -> u16 {
    let mut request = Request::post("/1/upload")
        .header("X-CleverTap-Account-Id", account)
        .header("X-CleverTap-Passcode", passcode)
        .header("Idempotency-Key", "k1")
        .body(Body::from(BODY))
        .unwrap();
    request.extensions_mut().insert(collect::Connection {
        peer: "203.0.113.9:4711".parse().unwrap(),
        tls_version: "1.3",
        plane: Plane::Api,
    });
    let answer = installation.router(Plane::Api).oneshot(request).await;
    let answer = answer.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let is_success = body.starts_with(b"{\"status\":\"success\"");
    assert_eq!(is_success, status == 200, "{body:?}");
    status
}

#[tokio::test]
async fn an_upload_from_before_midnight_is_stored_once_by_whoever_starts_after_it() {
    let folder = Folder::new().await;
    let midnight = Day(folder.clock.now().day().0 + 1).start();
    let installation = folder.open(|_| {}).await;
    let made = installation
        .control()
        .create_account(operator(), "a", "UTC");
    let made = made.await.unwrap();
    let (account, passcode) = (made.account_id, made.passcode.expose().clone());
    let policy = ReadPolicy::new(account, Arc::default());
    folder.clock.set(midnight.minus(Duration::from_secs(60)));
    assert_eq!(send(&installation, account.as_str(), &passcode).await, 200);
    installation.close().await.unwrap();
    drop(installation);

    // From the journal, into parts, and beside parts. A day after its first it is a new one.
    let times = [
        (60, 2, false),
        (120, 2, true),
        (86_330, 2, true),
        (86_350, 4, true),
    ];
    for (seconds, expect, is_flushed) in times {
        let now = midnight.plus(Duration::from_secs(seconds));
        folder.clock.set(now);
        let installation = folder.open(|_| {}).await;
        assert_eq!(send(&installation, account.as_str(), &passcode).await, 200);
        if is_flushed {
            let flushed = Box::pin(jobs::run(&installation, Job::Flush)).await;
            flushed.unwrap();
        }
        let engine = installation.engine();
        let events = engine.count_events(&policy, &EventsQuery::default()).await;
        assert_eq!(events.unwrap(), expect, "{seconds} s after midnight");
        installation.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_node_is_ready_until_its_journal_is_full() {
    let folder = Folder::new().await;
    let mut installation = folder.open(|_| {}).await;
    let (attention, bytes) = filled(&folder, &installation, 1 << 32).await;
    installation.attention = Arc::new(attention);
    assert_eq!(installation.readiness(), Ok(()));
    // It is red, and takes more.
    let (attention, _) = filled(&folder, &installation, bytes + bytes / 2).await;
    installation.attention = Arc::new(attention);
    assert_eq!(installation.readiness(), Ok(()));
    let (attention, _) = filled(&folder, &installation, 1).await;
    installation.attention = Arc::new(attention);
    let why = installation.readiness().unwrap_err();
    assert!(why.starts_with("the journal is full: "), "{why}");
}
