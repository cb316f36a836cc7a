//! Tests of what operators do with drops, the request log and the quarantine, on an installation in a
//! folder of its own.

mod searching;

use control::{Action, Actor, AuditFilter, AuditOutcome, SeenDrops};
use model::catalog::Catalog as _;
use model::record::{Entry, Outcome, Peer, Plane, Quarantined, Record, RequestLine, Source, Table};
use model::{AccountId, RecordId, Timestamp};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::mpsc;

use super::quarantine::QuarantineState;
use super::{
    DropsRequest, Frame, QuarantineAct, QuarantineFilter, QuarantineRequest, Request, execute,
};
use crate::compose::{self, Installation};
use crate::config::{Listen, Loaded};
use crate::init::{Options, Volumes, create};
use crate::jobs::{self, Job};
use crate::lock::Lock;

const DAY: Duration = Duration::from_secs(86_400);
const ID: RecordId = RecordId([7; 16]);

/// An installation, its account, and the operator at it.
struct Room {
    installation: Installation,
    account: AccountId,
    actor: Actor,
    _folder: tempfile::TempDir,
}

impl Room {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            folder: folder.path().join("room"),
            volumes: Volumes::Number(1),
            data: Some(1),
            parity: Some(0),
            listen: Listen::default(),
            names: Vec::new(),
        };
        let made = Box::pin(create(options)).await.unwrap();
        let loaded = Loaded::read(&made.config).unwrap();
        let lock = Lock::try_take(&loaded.folder).unwrap().unwrap();
        let installation = Box::pin(compose::open(&loaded, lock)).await.unwrap();
        let actor = Actor::os_user("olga");
        let made = installation.control().create_account(&actor, "a", "UTC");
        let account = made.await.unwrap().account_id;
        Self {
            installation,
            account,
            actor,
            _folder: folder,
        }
    }

    async fn append(&self, account: AccountId, records: Vec<Record>) {
        let entries = records.into_iter().map(|record| Entry { account, record });
        let appended = self.installation.journal().append(entries.collect()).await;
        appended.unwrap();
    }

    /// What a request came to: the rows that were sent, and what was said at the end.
    async fn ask(&self, request: Request) -> anyhow::Result<(Vec<Value>, Value)> {
        let (sender, mut frames) = mpsc::channel(1_000);
        let end = Box::pin(execute(&self.installation, &self.actor, request, sender)).await?;
        let mut data = Vec::new();
        while let Some(frame) = frames.recv().await {
            if let Frame::Data(bytes) = frame {
                data.extend_from_slice(&bytes);
            }
        }
        let rows = serde_json::from_slice(&data).unwrap_or_default();
        Ok((rows, end))
    }

    async fn quarantine(&self, act: QuarantineAct) -> anyhow::Result<(Vec<Value>, Value)> {
        let account = self.account.to_string();
        self.ask(Request::Quarantine(QuarantineRequest { account, act }))
            .await
    }

    async fn count(&self, account: AccountId, table: &str) -> u64 {
        let sql = format!("SELECT count(*) AS n FROM {table}");
        let sql = Request::Query {
            account: account.to_string(),
            sql,
        };
        self.ask(sql).await.unwrap().0[0]["n"].as_u64().unwrap()
    }

    async fn audited(&self, account: AccountId, actions: &[Action]) -> Vec<(Action, AuditOutcome)> {
        let filter = AuditFilter {
            actions: actions.to_vec(),
            ..AuditFilter::default()
        };
        let control = self.installation.control();
        let entries = control.audit_log(&self.actor, account, &filter).await;
        let entries = entries.unwrap().into_iter();
        entries.map(|it| (it.action, it.outcome)).collect()
    }

    fn days_ago(&self, days: u32) -> Timestamp {
        self.installation.clock().now().minus(DAY * days)
    }
}

fn quarantined(id: RecordId, received_at: Timestamp) -> Record {
    Record::Quarantined(Box::new(Quarantined {
        id,
        received_at,
        source: Source::Rest,
        person: None,
        code: 525,
        error: "time_out_of_range".into(),
        body: br#"{"type":"event","identity":"peter","evtName":"E"}"#.to_vec(),
    }))
}

fn line(number: u8, at: Timestamp, reason: &str, path: &str) -> Record {
    Record::Request(Box::new(RequestLine {
        id: RecordId([number; 16]),
        at,
        plane: Plane::Collect,
        peer: Peer::Address("203.0.113.9".parse().unwrap()),
        tls_version: "1.3".into(),
        method: "GET".into(),
        path: path.into(),
        status: 0,
        outcome: Outcome::Dropped,
        reason: reason.into(),
        size_bytes: 0,
        accepted: 0,
        rejected: u32::from(number % 2) * 10,
        duration_us: 0,
    }))
}

#[tokio::test]
async fn a_record_that_is_replayed_twice_is_stored_once() {
    let room = Room::new().await;
    let now = room.installation.clock().now();
    room.append(room.account, vec![quarantined(ID, now)]).await;
    let replay = || {
        room.quarantine(QuarantineAct::Replay {
            records: vec![ID.to_string()],
        })
    };
    let outcome = |end: &Value| end["records"][0]["outcome"].clone();
    let (_, first) = replay().await.unwrap();
    assert_eq!(outcome(&first), "stored");
    for _ in 0..2 {
        let (_, again) = replay().await.unwrap();
        assert_eq!(outcome(&again), "replayed_before");
    }
    // The same once the mark is lost, as in a crash between the two.
    let later = now.plus(DAY);
    let job = Actor::system("expiry");
    let control = room.installation.control();
    assert_eq!(control.forget_marks(&job, later, later).await.unwrap().0, 1);
    jobs::run(&room.installation, Job::Flush).await.unwrap();
    let (_, again) = replay().await.unwrap();
    assert_eq!(outcome(&again), "replayed_before");
    assert_eq!(room.count(room.account, "events").await, 1);
    let entries = room
        .audited(room.account, &[Action::QuarantineReplayed])
        .await;
    let begun = (Action::QuarantineReplayed, AuditOutcome::Begun);
    let done = (Action::QuarantineReplayed, AuditOutcome::Done);
    assert_eq!(entries, [begun, done, done]);
}

#[tokio::test]
async fn quarantined_records_are_listed_shown_and_deleted() {
    let room = Room::new().await;
    let now = room.installation.clock().now();
    let ids: Vec<RecordId> = (1..=5).map(|number| RecordId([number; 16])).collect();
    let records = ids.iter().map(|id| quarantined(*id, now)).collect();
    room.append(room.account, records).await;
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let act = QuarantineAct::List {
            filter: QuarantineFilter::default(),
            limit: 2,
            after,
        };
        let (rows, end) = room.quarantine(act).await.unwrap();
        listed.extend(rows);
        let Some(next) = end["next"].as_str() else {
            break;
        };
        after = Some(next.to_owned());
    }
    let expected: Vec<Value> = ids.iter().rev().map(|id| json!(id.to_string())).collect();
    let found: Vec<Value> = listed.iter().map(|it| it["record_id"].clone()).collect();
    assert_eq!(found, expected);
    assert!(listed[0].get("body").is_none());

    let record = ids[0].to_string();
    let show = || {
        room.quarantine(QuarantineAct::Show {
            record: record.clone(),
        })
    };
    let (_, shown) = show().await.unwrap();
    assert!(shown["body"].as_str().unwrap().contains("peter"));
    let records = vec![record.clone()];
    room.quarantine(QuarantineAct::Delete { records })
        .await
        .unwrap();
    show().await.unwrap_err();
    let records = vec![record.clone()];
    room.quarantine(QuarantineAct::Replay { records })
        .await
        .unwrap_err();
    let act = QuarantineAct::List {
        filter: QuarantineFilter::default(),
        limit: 10,
        after: None,
    };
    assert_eq!(room.quarantine(act).await.unwrap().0.len(), 4);
    let reads = room.audited(room.account, &[Action::QuarantineRead]).await;
    assert!(reads.contains(&(Action::QuarantineRead, AuditOutcome::Begun)));
    let deleted = room
        .audited(room.account, &[Action::QuarantineDeleted])
        .await;
    assert_eq!(deleted, [(Action::QuarantineDeleted, AuditOutcome::Done)]);
}

#[tokio::test]
async fn quarantined_records_are_listed_by_what_became_of_them_and_when_they_came() {
    let room = Room::new().await;
    let times = [7, 5, 3, 1].map(|days| room.days_ago(days));
    let ids = [1, 2, 3, 4].map(|number| RecordId([number; 16]));
    let records = ids.iter().zip(times);
    let records = records.map(|(id, at)| quarantined(*id, at)).collect();
    room.append(room.account, records).await;
    let text = |place: usize| ids[place].to_string();
    let replay = QuarantineAct::Replay {
        records: vec![text(1), text(2)],
    };
    let (_, replayed) = room.quarantine(replay).await.unwrap();
    assert_eq!(replayed["records"][1]["outcome"], "stored", "{replayed}");
    let delete = QuarantineAct::Delete {
        records: vec![text(0)],
    };
    room.quarantine(delete).await.unwrap();
    let (waiting, replayed) = (QuarantineState::Waiting, QuarantineState::Replayed);
    let day = |place: usize| Some(times[place].to_string());
    for (state, from, to, expect) in [
        (None, None, None, vec![3, 2, 1]),
        (Some(waiting), None, None, vec![3]),
        (Some(replayed), None, None, vec![2, 1]),
        (Some(replayed), day(2), None, vec![2]),
        (Some(replayed), None, day(2), vec![1]),
        (None, day(2), day(3), vec![2]),
        (Some(waiting), None, day(3), vec![]),
    ] {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let filter = QuarantineFilter {
                state,
                from: from.clone(),
                to: to.clone(),
            };
            let act = QuarantineAct::List {
                filter,
                limit: 1,
                after,
            };
            let (rows, end) = room.quarantine(act).await.unwrap();
            found.extend(rows.into_iter().map(|it| it["record_id"].clone()));
            after = end["next"].as_str().map(str::to_owned);
            if after.is_none() {
                break;
            }
        }
        let expect: Vec<Value> = expect.into_iter().map(|it| json!(text(it))).collect();
        assert_eq!(found, expect, "{state:?} {from:?} {to:?}");
    }
}

/// Drops of 10 paths more than are listed by themselves, of one reason.
async fn crowd(room: &Room) {
    let at = room.days_ago(10);
    let lines = (0..10_010_u128).map(|number| {
        let mut record = line(2, at, "unknown_url", &format!("/{number}"));
        if let Record::Request(line) = &mut record {
            line.id = RecordId((number + 1).to_be_bytes());
        }
        record
    });
    room.append(AccountId::installation(), lines.collect())
        .await;
}

#[tokio::test]
async fn samples_of_other_paths_are_of_all_that_are_not_listed() {
    let room = Room::new().await;
    crowd(&room).await;
    let mut one_more = line(2, room.days_ago(9), "bare_lf", "/9999");
    if let Record::Request(line) = &mut one_more {
        line.id = RecordId(u128::MAX.to_be_bytes());
    }
    room.append(AccountId::installation(), vec![one_more]).await;
    let show = Request::Drops(DropsRequest::Show {
        reason: "unknown_url".to_owned(),
        path: Some("(other)".to_owned()),
        limit: 1_000,
    });
    let (samples, _) = room.ask(show).await.unwrap();
    let path = |it: &Value| it["path"].as_str().unwrap().to_owned();
    let mut found: Vec<String> = samples.iter().map(path).collect();
    found.sort_unstable();
    // Each was asked for once: the list is in the order of their names, behind the other reason's.
    let last = (9_990..=9_999).map(|number| format!("/{number}"));
    let expect: Vec<String> = [String::from("/999")].into_iter().chain(last).collect();
    assert_eq!(found, expect);
}

#[tokio::test]
async fn a_review_of_more_paths_than_are_listed_leaves_none_new() {
    let room = Room::new().await;
    crowd(&room).await;
    let counted = async || jobs::run(&room.installation, Job::Drops).await.unwrap();
    let review = |path: Option<&str>| {
        room.ask(Request::Drops(DropsRequest::Review {
            reason: Some("unknown_url".to_owned()),
            path: path.map(str::to_owned),
        }))
    };
    let before = json!({"groups": 10_001, "unreviewed": 10_001, "overdue": 10_001});
    assert_eq!(counted().await, before);
    let (_, done) = review(Some("(other)")).await.unwrap();
    assert_eq!(done["count"], 10);
    let (_, done) = review(None).await.unwrap();
    assert_eq!(done["count"], 10_000);
    let after = json!({"groups": 10_001, "unreviewed": 0, "overdue": 0});
    assert_eq!(counted().await, after);
}

#[tokio::test]
async fn reviewed_drops_are_new_again_when_more_come() {
    let room = Room::new().await;
    let nobody = AccountId::installation();
    let (long_ago, today) = (room.days_ago(10), room.days_ago(0));
    let lines = vec![
        line(1, long_ago, "unknown_url", "/a"),
        line(2, long_ago, "unknown_url", "/a"),
        line(3, today, "unknown_url", "/it's"),
        line(4, today, "bare_lf", ""),
        line(5, today, "peer_gone", "/"),
    ];
    room.append(nobody, lines).await;
    let list = || room.ask(Request::Drops(DropsRequest::List));
    let (groups, end) = list().await.unwrap();
    assert_eq!(end, json!({"groups": 3, "count": 24}));
    let told: Vec<_> = groups
        .iter()
        .map(|it| (it["path"].as_str().unwrap(), it["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(told, [("/a", 12), ("/it's", 11), ("", 1)]);
    let counted = jobs::run(&room.installation, Job::Drops).await.unwrap();
    assert_eq!(counted, json!({"groups": 3, "unreviewed": 3, "overdue": 1}));

    let review = |reason: Option<&str>| {
        room.ask(Request::Drops(DropsRequest::Review {
            reason: reason.map(str::to_owned),
            path: None,
        }))
    };
    let (_, done) = review(Some("unknown_url")).await.unwrap();
    assert_eq!(done, json!({"groups": 2, "count": 23}));
    review(Some("nothing")).await.unwrap_err();
    let counted = jobs::run(&room.installation, Job::Drops).await.unwrap();
    assert_eq!(counted, json!({"groups": 3, "unreviewed": 1, "overdue": 0}));
    let later = today.plus(Duration::from_secs(60));
    let more = vec![
        line(6, later, "unknown_url", "/it's"),
        line(7, later, "unknown_url", "/b"),
    ];
    room.append(nobody, more).await;
    let (groups, _) = list().await.unwrap();
    let of = |path: &str| {
        let group = groups.iter().find(|it| it["path"] == path).unwrap();
        let by = group["reviewed_by"].as_str().unwrap_or_default();
        (group["new"].as_u64().unwrap(), by.to_owned())
    };
    assert_eq!(of("/a"), (0, "olga".to_owned()));
    assert_eq!(of("/it's"), (1, "olga".to_owned()));
    assert_eq!(of("/b"), (11, String::new()));
    let (samples, _) = room
        .ask(Request::Drops(DropsRequest::Show {
            reason: "unknown_url".to_owned(),
            path: Some("/it's".to_owned()),
            limit: 1,
        }))
        .await
        .unwrap();
    assert_eq!(samples.len(), 1);
    assert_eq!(samples[0]["peer"], "203.0.113.9");
    let actions = [Action::DropsRead, Action::DropsReviewed];
    assert_eq!(room.audited(nobody, &actions).await.len(), 3);
}

#[tokio::test]
async fn the_sweeper_says_what_it_removed() {
    let room = Room::new().await;
    let nobody = AccountId::installation();
    let old = vec![
        line(1, room.days_ago(92), "unknown_url", "/a"),
        line(2, room.days_ago(91), "unknown_url", "/a"),
        line(3, room.days_ago(88), "unknown_url", "/a"),
    ];
    room.append(nobody, old).await;
    let old = vec![
        quarantined(RecordId([1; 16]), room.days_ago(32)),
        quarantined(RecordId([2; 16]), room.days_ago(28)),
    ];
    room.append(room.account, old).await;
    jobs::run(&room.installation, Job::Flush).await.unwrap();
    let done = jobs::run(&room.installation, Job::Expiry).await.unwrap();
    assert_eq!(done, json!({"rows_removed": 3}));
    assert_eq!(room.count(nobody, Table::Requests.as_str()).await, 1);
    let quarantine = Table::Quarantine.as_str();
    assert_eq!(room.count(room.account, quarantine).await, 1);
    for (account, object, words) in [
        (nobody, "requests", "2 rows from before "),
        (room.account, "quarantine", "1 rows from before "),
    ] {
        let filter = AuditFilter {
            actions: vec![Action::Purged],
            ..AuditFilter::default()
        };
        let control = room.installation.control();
        let entries = control.audit_log(&room.actor, account, &filter).await;
        let entries = entries.unwrap();
        assert_eq!(entries.len(), 2, "{entries:?}");
        for (entry, words) in entries.iter().zip(["rows from before ", words]) {
            assert_eq!(entry.action_id, object);
            assert!(entry.description.starts_with(words), "{entries:?}");
        }
    }
    // Nothing is left to say.
    let done = jobs::run(&room.installation, Job::Expiry).await.unwrap();
    assert_eq!(done, json!({"rows_removed": 0}));
}

#[tokio::test]
async fn what_cannot_be_swept_keeps_its_marks_and_does_not_keep_the_rest() {
    let room = Room::new().await;
    let nobody = AccountId::installation();
    let control = room.installation.control();
    let review = async || {
        let seen = SeenDrops {
            reason: "unknown_url".to_owned(),
            path: "/a".to_owned(),
            until: room.days_ago(95),
        };
        control.review_drops(&room.actor, vec![seen]).await.unwrap();
    };
    let reviews = async || control.drop_reviews(&room.actor).await.unwrap().len();
    review().await;
    let done = jobs::run(&room.installation, Job::Expiry).await.unwrap();
    assert_eq!((done, reviews().await), (json!({"rows_removed": 1}), 0));

    review().await;
    let lines = vec![
        line(1, room.days_ago(95), "unknown_url", "/a"),
        line(2, room.days_ago(88), "unknown_url", "/a"),
    ];
    room.append(nobody, lines).await;
    let old = vec![
        quarantined(RecordId([1; 16]), room.days_ago(32)),
        quarantined(RecordId([2; 16]), room.days_ago(28)),
    ];
    room.append(room.account, old).await;
    jobs::run(&room.installation, Job::Flush).await.unwrap();
    let view = control.view(Some(nobody), &[Table::Requests]).await;
    let part = Path::from(view.unwrap().parts[0].path.as_str());
    room.installation.store().delete(&part).await.unwrap();
    let swept = jobs::run(&room.installation, Job::Expiry).await;
    swept.unwrap_err();
    let quarantine = Table::Quarantine.as_str();
    assert_eq!(room.count(room.account, quarantine).await, 1);
    assert_eq!(reviews().await, 1);
    let [begun, done, failed] = [
        AuditOutcome::Begun,
        AuditOutcome::Done,
        AuditOutcome::Failed,
    ]
    .map(|outcome| (Action::Purged, outcome));
    let entries = room.audited(nobody, &[Action::Purged]).await;
    assert_eq!(entries, [done, begun, failed], "the marks, then the rows");
    let entries = room.audited(room.account, &[Action::Purged]).await;
    assert_eq!(entries, [begun, done]);
}
