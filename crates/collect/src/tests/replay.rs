//! A quarantined record is stored after all, under its own id, when the rules let it.

use governance::{Stretch, Suppressions};
use model::opt_out::OptOut;
use model::record::{Quarantined, Record, Source};
use model::{IdentityKind, LedgerPosition, RecordId, Timestamp};
use std::sync::Arc;

use super::harness::{ACCOUNT, NOW, Room};
use crate::{Replayed, replay};

const ID: RecordId = RecordId([9; 16]);

fn quarantined(source: Source, code: u16, body: &str) -> Quarantined {
    Quarantined {
        id: ID,
        received_at: Timestamp::from_ms(NOW.ms() - 5_000),
        source,
        person: None,
        code,
        error: "for some reason".into(),
        body: body.as_bytes().to_vec(),
    }
}

async fn check(it: Quarantined) -> (Replayed, Vec<(RecordId, &'static str)>) {
    check_in(&Room::new().await, it).await
}

async fn check_in(room: &Room, it: Quarantined) -> (Replayed, Vec<(RecordId, &'static str)>) {
    let account = ACCOUNT.parse().unwrap();
    let replayed = replay(&room.state, account, &it).await.unwrap();
    let mut ids = Vec::new();
    for entry in room.entries().await {
        match entry.record {
            Record::Event(event) => {
                assert_eq!(event.received_at, it.received_at);
                ids.push((event.id, "event"));
            }
            Record::ProfileChange(change) => ids.push((change.id, "change")),
            Record::Quarantined(_) => panic!("nothing is quarantined again"),
            Record::Link(_) | Record::Request(_) => {}
        }
    }
    (replayed, ids)
}

#[tokio::test]
async fn a_record_keeps_its_id() {
    let event = r#"{"type":"event","identity":"u1","evtName":"E"}"#;
    let (replayed, ids) = check(quarantined(Source::Rest, 525, event)).await;
    assert_eq!(replayed, Replayed::Stored(1));
    assert_eq!(ids.iter().filter(|it| **it == (ID, "event")).count(), 1);
    assert!(
        !ids.contains(&(ID, "change")),
        "a name has an id of its own"
    );

    let profile = r#"{"type":"profile","identity":"u1","profileData":{"a":1}}"#;
    let (replayed, ids) = check(quarantined(Source::Rest, 520, profile)).await;
    assert_eq!(replayed, Replayed::Stored(1));
    assert!(ids.contains(&(ID, "change")));
}

#[tokio::test]
async fn a_body_s_records_have_ids_that_follow_from_it() {
    let body = r#"{"d":[{"type":"event","identity":"u1","evtName":"A"},
                        {"type":"event","identity":"u1","evtName":"B"}]}"#;
    let (replayed, once) = check(quarantined(Source::Rest, 0, body)).await;
    assert_eq!(replayed, Replayed::Stored(2));
    let (_, twice) = check(quarantined(Source::Rest, 0, body)).await;
    let events = |ids: &[(RecordId, &str)]| -> Vec<RecordId> {
        let events = ids.iter().filter(|it| it.1 == "event");
        events.map(|it| it.0).collect()
    };
    assert_eq!(events(&once), events(&twice));
    assert_eq!(events(&once)[0], ID);
    assert_ne!(events(&once)[1], ID);
}

#[tokio::test]
async fn what_is_still_refused_stores_nothing() {
    let cases = [
        (
            Source::Rest,
            513,
            r#"{"type":"event","identity":"u1","evtName":"App Launched"}"#,
        ),
        (Source::Rest, 0, "not an upload"),
        (Source::Rest, 509, "{\"type\":"),
        (
            Source::Web,
            513,
            r#"{"type":"event","identity":"u1","evtName":"E"}"#,
        ),
    ];
    for (source, code, body) in cases {
        let (replayed, ids) = check(quarantined(source, code, body)).await;
        assert!(
            !matches!(replayed, Replayed::Stored(_)),
            "{body}: {replayed:?}"
        );
        assert_eq!(ids, [], "{body}");
    }
}

#[tokio::test]
async fn what_deleted_people_sent_is_not_said_to_be_stored() {
    let mut room = Room::with(|rules| {
        let mut suppressed = Suppressions::default();
        let key = rules.person_key(IdentityKind::Identity, "u1");
        suppressed.insert(key, Stretch::WHOLE, LedgerPosition(1));
        rules.suppressed = Arc::new(suppressed);
    })
    .await;
    let theirs = r#"{"type":"profile","identity":"u1","profileData":{"identity":"u9"}}"#;
    let alone = format!(r#"{{"d":[{theirs}]}}"#);
    let (replayed, ids) = check_in(&room, quarantined(Source::Rest, 0, &alone)).await;
    let why = "the people in it were deleted";
    assert_eq!(replayed, Replayed::Refused(0, why.to_owned()));
    assert_eq!(ids, []);
    let reached = room.reached.try_recv().unwrap();
    assert_eq!(reached.reach.kind, IdentityKind::Identity);

    let both = format!(r#"{{"d":[{theirs},{{"type":"event","identity":"u2","evtName":"E"}}]}}"#);
    let (replayed, ids) = check_in(&room, quarantined(Source::Rest, 0, &both)).await;
    assert_eq!(replayed, Replayed::Stored(1));
    assert!(ids.contains(&(ID, "event")), "{ids:?}");
}

#[tokio::test]
async fn what_sdks_sent_is_stored_once_the_rules_let_it() {
    let phone = r#"[{"type":"meta","g":"__1"},{"type":"event","evtName":"E","evtData":{},"ep":1790000000}]"#;
    let browser = r#"{"g":"0123456789abcdef","type":"push","i":1790000000,"s":7,
        "message":{"type":"event","evtName":"E","evtData":{"a":1},"id":"TEST-1"}}"#;
    for (source, body) in [
        (Source::Android, phone),
        (Source::Ios, phone),
        (Source::Web, browser),
    ] {
        let (replayed, ids) = check(quarantined(source, 528, body)).await;
        assert_eq!(replayed, Replayed::Stored(1), "{source:?}");
        assert!(ids.contains(&(ID, "event")), "{source:?} {ids:?}");
    }
    // What comes along has other ids: what is looked for is what was refused.
    let meta = r#"{"type":"meta","g":"__1","af":{"Make":"x"}}"#;
    let launched = r#"{"type":"event","evtName":"App Launched","ep":1790000000}"#;
    let launched = format!("[{meta},{launched}]");
    let (replayed, ids) = check(quarantined(Source::Android, 528, &launched)).await;
    assert_eq!(replayed, Replayed::Stored(2));
    let of_change = ids.contains(&(ID, "change"));
    assert!(ids.contains(&(ID, "event")) && !of_change, "{ids:?}");
    let token = r#"{"type":"data","data":{"id":"x","type":"fcm"},"ep":1790000000}"#;
    let token = format!("[{meta},{token}]");
    let (_, ids) = check(quarantined(Source::Android, 531, &token)).await;
    let of_id = ids.iter().filter(|it| it.0 == ID).count();
    assert_eq!((ids.last(), of_id), (Some(&(ID, "change")), 1), "{ids:?}");
    let other = phone.replace("\"g\"", "\"id\":\"TEST-2\",\"g\"");
    for (source, body) in [
        (Source::Android, other.as_str()),
        (Source::Android, r#"{"itp":"","itk":"","itv":""}"#),
        (Source::Web, r#"{"message":{"type":"event","evtName":"E"}}"#),
        (Source::Web, r#"{"g":"x y","message":{}}"#),
    ] {
        let (replayed, ids) = check(quarantined(source, 0, body)).await;
        assert!(
            matches!(replayed, Replayed::Refused(0, _)),
            "{body} {replayed:?}"
        );
        assert_eq!(ids, [], "{body}");
    }
}

#[tokio::test]
async fn what_a_device_sent_that_is_out_now_is_not_stored() {
    let room = Room::new().await;
    let rules = room.state.rules();
    let rules = rules.account(ACCOUNT.parse().unwrap()).unwrap();
    let said = OptOut {
        account: rules.id,
        device: rules.person_key(IdentityKind::ObjectId, "__1"),
        is_out: true,
        at: NOW,
    };
    room.state.remember_opt_outs(&[said]);
    let phone = r#"[{"type":"meta","g":"__1"},{"type":"event","evtName":"E","evtData":{},"ep":1790000000}]"#;
    let (replayed, ids) = check_in(&room, quarantined(Source::Android, 528, phone)).await;
    let why = "the device has opted out";
    assert_eq!(replayed, Replayed::Refused(0, why.to_owned()));
    assert_eq!(ids, []);
    // What a company's own server says of the device does not come from the device.
    let rest = r#"{"type":"event","objectId":"__1","evtName":"E"}"#;
    let (replayed, _) = check_in(&room, quarantined(Source::Rest, 525, rest)).await;
    assert_eq!(replayed, Replayed::Stored(1));
}
