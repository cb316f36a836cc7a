//! Turns to red and back, told once each, whatever the receiver does.

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use control::{Action, AuditFilter, Client, NewUser};
use http::{HeaderMap, StatusCode};
use model::{AccountId, Clock as _, Secret};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

use crate::attention::Kind;
use crate::compose::Installation;
use crate::jobs::{self, Job};
use crate::testing::{Folder, operator};

const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

#[derive(Debug, Default)]
struct Called {
    status: AtomicU16,
    calls: Mutex<Vec<(HeaderMap, String)>>,
}

/// A receiver, and its URL.
async fn receiver() -> (Arc<Called>, String) {
    let called = Arc::new(Called {
        status: AtomicU16::new(200),
        ..Called::default()
    });
    let take = |State(it): State<Arc<Called>>, headers: HeaderMap, body: String| async move {
        it.calls.lock().unwrap().push((headers, body));
        let status = StatusCode::from_u16(it.status.load(Ordering::SeqCst)).unwrap();
        (status, [("location", "/elsewhere")])
    };
    let router = Router::new()
        .route("/in", post(take))
        .route("/elsewhere", post(take))
        .with_state(Arc::clone(&called));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/in", listener.local_addr().unwrap());
    drop(tokio::spawn(async move {
        axum::serve(listener, router).await.unwrap();
    }));
    (called, url)
}

impl Called {
    fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn take(&self) -> Vec<(HeaderMap, String)> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

/// Somebody who has joined with the highest role in an account.
async fn join(installation: &Installation, account: AccountId, email: &str, role: &str) {
    let control = installation.control();
    let link = control.invite_user(operator(), account, email, "Somebody", role, None);
    let link = link.await.unwrap();
    let new = NewUser {
        email: email.to_owned(),
        name: String::new(),
        password: Secret::new(String::from("a lamp beside nine walnuts")),
        accepts_terms: true,
    };
    let followed = control
        .follow_link(link.expose(), new, &Client::default())
        .await;
    followed.unwrap();
}

/// Mails about alerts, by whom they are to.
async fn mails(installation: &Installation, account: AccountId) -> Vec<(String, String)> {
    let outbox = installation.control().outbox(operator(), account);
    let outbox = outbox.await.unwrap().into_iter();
    let alerts = outbox.filter(|it| it.mail.subject.starts_with("Strongroom "));
    alerts.map(|it| (it.mail.to, it.mail.subject)).collect()
}

async fn run(installation: &Installation) -> Value {
    jobs::run(installation, Job::Alerts).await.unwrap()
}

async fn open(folder: &Folder, url: &str) -> Installation {
    std::fs::write(folder.path("alerts.key"), SECRET).unwrap();
    let url = url.to_owned();
    let change = |config: &mut crate::config::Config| {
        config.alerts.webhook_url = url;
        config.alerts.webhook_secret_file = "alerts.key".into();
    };
    folder.open(change).await
}

#[tokio::test]
async fn each_turn_is_told_once_to_whom_it_concerns() {
    let folder = Folder::new().await;
    let (called, url) = receiver().await;
    let installation = open(&folder, &url).await;
    let nobody = AccountId::installation();
    let made = installation
        .control()
        .create_account(operator(), "a", "UTC");
    let account = made.await.unwrap().account_id;
    join(&installation, nobody, "op@example.com", "operator").await;
    join(&installation, account, "ada@example.com", "admin").await;
    join(&installation, account, "mel@example.com", "member").await;
    let nothing = json!({"raised": 0, "cleared": 0, "called": 0});
    assert_eq!(run(&installation).await, nothing);

    let watch = &installation.attention().watch;
    watch.drops(3);
    watch.deletions([(account, 2)].into());
    assert_eq!(
        run(&installation).await,
        json!({"raised": 2, "cleared": 0, "called": 2})
    );
    // Seen again, and after a restart, it is told no more.
    for _ in 0..3 {
        assert_eq!(run(&installation).await, nothing);
    }
    installation.close().await.unwrap();
    drop(installation);
    let installation = open(&folder, &url).await;
    let watch = &installation.attention().watch;
    watch.drops(4);
    watch.deletions([(account, 1)].into());
    assert_eq!(run(&installation).await, nothing);
    watch.drops(0);
    watch.deletions([].into());
    assert_eq!(
        run(&installation).await,
        json!({"raised": 0, "cleared": 2, "called": 2})
    );
    assert_eq!(run(&installation).await, nothing);

    for (place, to, kind) in [
        (nobody, "op@example.com", "drops overdue"),
        (account, "ada@example.com", "deletion overdue"),
    ] {
        let expected = [
            (
                to.to_owned(),
                format!("Strongroom is in order again: {kind}"),
            ),
            (to.to_owned(), format!("Strongroom needs attention: {kind}")),
        ];
        let mut found = mails(&installation, place).await;
        found.sort_unstable();
        assert_eq!(found, expected);
        let filter = AuditFilter {
            actions: vec![Action::AlertRaised, Action::AlertCleared],
            ..AuditFilter::default()
        };
        let entries = installation.control().audit_log(operator(), place, &filter);
        let actions: Vec<Action> = entries.await.unwrap().iter().map(|it| it.action).collect();
        assert_eq!(actions, [Action::AlertRaised, Action::AlertCleared]);
    }
    let calls = called.take();
    assert_eq!(calls.len(), 4);
    let states: Vec<Value> = calls
        .iter()
        .map(|(_, body)| serde_json::from_str::<Value>(body).unwrap()["state"].clone())
        .collect();
    assert_eq!(states, ["red", "red", "green", "green"]);
    // The signature is what a receiver computes.
    let (headers, body) = &calls[0];
    let signature = headers["strongroom-signature"].to_str().unwrap();
    let (at, mac) = signature.split_once(",v1=").unwrap();
    let at = at.strip_prefix("t=").unwrap();
    let key = Secret::new(hex::decode(SECRET).unwrap().try_into().unwrap());
    let expected = seal::hmac_sha256(&key, &[format!("{at}.{body}").as_bytes()]);
    assert_eq!(mac, hex::encode(expected));
}

#[tokio::test]
async fn a_receiver_that_is_away_is_called_again_later_and_redirects_are_not_followed() {
    let folder = Folder::new().await;
    let (called, url) = receiver().await;
    let installation = open(&folder, &url).await;
    called.answer(307);
    installation.attention().watch.drops(1);
    assert_eq!(run(&installation).await["called"], 0);
    let first = called.take();
    assert_eq!(first.len(), 1, "nobody is asked elsewhere");
    called.answer(200);
    // Not before its pause is over.
    assert_eq!(run(&installation).await["called"], 0);
    folder.clock.advance(Duration::from_secs(11));
    assert_eq!(run(&installation).await["called"], 1);
    let again = called.take();
    assert_eq!(again[0].1, first[0].1, "the same body");
    let id = |call: &(HeaderMap, String)| call.0["strongroom-alert"].clone();
    assert_eq!(id(&again[0]), id(&first[0]));
    folder.clock.advance(Duration::from_secs(1_800));
    assert_eq!(run(&installation).await["called"], 0, "taken is taken");
}

#[tokio::test]
async fn what_is_red_is_one_list_for_metrics_pages_and_alerts() {
    let folder = Folder::new().await;
    let installation = folder.open(|_| {}).await;
    let kinds = |installation: &Installation| -> Vec<Kind> {
        let found = installation.attention().find();
        found.into_iter().map(|it| it.kind).collect()
    };
    assert_eq!(kinds(&installation), []);
    let watch = &installation.attention().watch;
    watch.drops(1);
    let now = folder.clock.now();
    watch.ran(Job::Expiry, now, Some(String::from("the disk is full")));
    let soon = now.plus(Duration::from_secs(6 * 86_400));
    let late = now.plus(Duration::from_secs(60 * 86_400));
    watch.certificates(vec![
        (model::record::Plane::Api, soon),
        (model::record::Plane::Console, late),
    ]);
    let expected = [Kind::Drops, Kind::Purge, Kind::Certificate];
    assert_eq!(kinds(&installation), expected);
    let shown = crate::listen::Health::metrics(&installation);
    for kind in Kind::ALL {
        let number = u8::from(expected.contains(&kind));
        let line = format!(
            "strongroom_needs_attention{{kind=\"{}\"}} {number}\n",
            kind.as_str()
        );
        assert!(shown.contains(&line), "{line} in {shown}");
    }
    // A job that runs well is no concern any more; one that does not run becomes one.
    watch.ran(Job::Expiry, now, None);
    watch.drops(0);
    watch.certificates(Vec::new());
    assert_eq!(kinds(&installation), []);
    folder.clock.advance(Duration::from_secs(4 * 3_600));
    let seldom = [Job::Drops, Job::Expiry, Job::Garbage, Job::Deletion];
    for job in Job::ALL.into_iter().filter(|it| !seldom.contains(it)) {
        watch.ran(job, folder.clock.now(), None);
    }
    let late = [Kind::Drops, Kind::Purge, Kind::Purge, Kind::Purge];
    assert_eq!(kinds(&installation), late);
    jobs::run(&installation, Job::Expiry).await.unwrap();
    assert_eq!(kinds(&installation), late[..3]);
    // What cannot be counted is not known to be in order.
    jobs::run(&installation, Job::Drops).await.unwrap();
    assert_eq!(kinds(&installation), late[1..3]);
    let now = folder.clock.now();
    watch.ran(Job::Drops, now, Some(String::from("too many groups")));
    assert_eq!(kinds(&installation), late[..3]);
}
