//! Encrypted calls: what is taken, what is refused, and what the answer looks like.

use axum::body::Body;
use flate2::Compression;
use flate2::write::GzEncoder;
use governance::{AnswerKey, ApiEncryption, ApiEncryptionPolicy, ApiKey};
use model::record::Record;
use model::{Secret, Timestamp};
use std::io::Write as _;
use wire::rest::hpke;

use super::harness::{Answer, NOW, Room};

const EVENT: &str = r#"{"d":[{"type":"event","identity":"u1","evtName":"Viewed","evtData":{}}]}"#;
const SUCCESS: &str = r#"{"status":"success","processed":1,"unprocessed":[]}"#;
const KEY_ID: u32 = 77;

fn private(number: u8) -> Secret<[u8; 32]> {
    Secret::new([number; 32])
}

fn key(id: u32, number: u8, accepted_until: Option<Timestamp>) -> ApiKey {
    ApiKey {
        id,
        private_key: private(number),
        accepted_until,
    }
}

/// To the public key of a private one.
fn sealed(number: u8, text: &str) -> Vec<u8> {
    let public = seal::hpke::public_key(&private(number)).unwrap();
    seal::hpke::seal(&public, text.as_bytes()).unwrap()
}

async fn room(policy: ApiEncryptionPolicy) -> Room {
    Room::with(|rules| {
        rules.api_encryption = ApiEncryption {
            policy,
            keys: vec![
                key(KEY_ID, 1, None),
                key(76, 2, Some(NOW.plus(std::time::Duration::from_secs(1)))),
                key(75, 3, Some(NOW)),
            ],
            answer_key: None,
        };
    })
    .await
}

async fn send(room: &Room, body: impl Into<Body>) -> Answer {
    let request = room
        .request("POST", "/1/upload")
        .header("Content-Type", "application/octet-stream+HPKE");
    room.send(request.body(body.into()).unwrap()).await.unwrap()
}

async fn kept(room: &Room) -> (usize, usize) {
    let entries = room.entries().await;
    let count = |is: fn(&Record) -> bool| entries.iter().filter(|it| is(&it.record)).count();
    (
        count(|it| matches!(it, Record::Event(_))),
        count(|it| matches!(it, Record::Quarantined(_))),
    )
}

#[tokio::test]
async fn a_call_is_taken_under_each_key_in_force_in_both_forms() {
    let room = room(ApiEncryptionPolicy::Optional).await;
    let mut prefixed = hpke::prefix(KEY_ID).to_vec();
    prefixed.extend(sealed(1, EVENT));
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&sealed(1, EVENT)).unwrap();
    for body in [sealed(1, EVENT), sealed(2, EVENT), prefixed] {
        let answer = send(&room, body).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, SUCCESS));
    }
    let request = room
        .request("POST", "/1/upload")
        .header("Content-Type", hpke::MEDIA_TYPE)
        .header("Content-Encoding", "gzip");
    let request = request.body(Body::from(packed.finish().unwrap())).unwrap();
    assert_eq!(room.send(request).await.unwrap().status, 200);
    // In plain as before.
    assert_eq!(room.upload(EVENT).await.unwrap().status, 200);
    // With a byte order mark inside.
    let marked = send(&room, sealed(1, &format!("\u{feff}{EVENT}"))).await;
    assert_eq!((marked.status, marked.body.as_str()), (200, SUCCESS));
    assert_eq!(kept(&room).await, (6, 0));
    assert_eq!(room.state.api_bodies().bytes_held(), 0);
}

#[tokio::test]
async fn what_does_not_open_is_refused_and_kept_for_review() {
    let room = room(ApiEncryptionPolicy::Optional).await;
    let whole = sealed(1, EVENT);
    let mut flipped = whole.clone();
    flipped[40] ^= 1;
    let mut of_another_key = hpke::prefix(75).to_vec();
    of_another_key.extend(sealed(1, EVENT));
    let cases = [
        ("cut", whole[..whole.len() - 1].to_vec()),
        ("short", whole[..47].to_vec()),
        ("flipped", flipped),
        ("another account's key", sealed(9, EVENT)),
        ("a key whose time is over", sealed(3, EVENT)),
        ("under another key's number", of_another_key),
        ("plain", EVENT.as_bytes().to_vec()),
    ];
    for (what, body) in cases.clone() {
        let answer = send(&room, body).await;
        let text = r#"{"status":"fail","error":"Request could not be decrypted","code":400}"#;
        assert_eq!((answer.status, answer.body.as_str()), (400, text), "{what}");
    }
    assert_eq!(kept(&room).await, (0, cases.len()));
    let lines = room.lines().await;
    assert!(
        lines
            .iter()
            .all(|(_, line)| &*line.reason == "not_decrypted")
    );
    // Of a dry run nothing is kept.
    let request = room
        .request("POST", "/1/upload?dryRun=1")
        .header("Content-Type", hpke::MEDIA_TYPE);
    let dry = room.send(request.body(Body::from(EVENT)).unwrap()).await;
    assert_eq!(dry.unwrap().status, 400);
    assert_eq!(kept(&room).await, (0, cases.len()));
    // What opens and is no upload is that.
    let answer = send(&room, sealed(1, "{")).await;
    assert!(answer.body.contains("Malformed request"), "{answer:?}");
}

#[tokio::test]
async fn an_account_can_do_without_and_can_insist() {
    let off = room(ApiEncryptionPolicy::Off).await;
    assert_eq!(send(&off, sealed(1, EVENT)).await.status, 415);
    assert_eq!(off.upload(EVENT).await.unwrap().status, 200);
    let none = Room::new().await;
    assert_eq!(send(&none, sealed(1, EVENT)).await.status, 415);
    let strict = room(ApiEncryptionPolicy::Required).await;
    let answer = strict.upload(EVENT).await.unwrap();
    let text = r#"{"status":"fail","error":"API encryption is required","code":403}"#;
    assert_eq!((answer.status, answer.body.as_str()), (403, text));
    assert_eq!(send(&strict, sealed(1, EVENT)).await.status, 200);
    assert_eq!(kept(&strict).await, (1, 0));
}

#[tokio::test]
async fn a_packed_bomb_is_stopped_before_it_is_opened() {
    let room = room(ApiEncryptionPolicy::Optional).await;
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&vec![0; 64 << 20]).unwrap();
    let request = room
        .request("POST", "/1/upload")
        .header("Content-Type", hpke::MEDIA_TYPE)
        .header("Content-Encoding", "gzip");
    let request = request.body(Body::from(packed.finish().unwrap())).unwrap();
    assert_eq!(room.send(request).await.unwrap().status, 413);
    assert_eq!(room.state.api_bodies().bytes_held(), 0);
}

#[tokio::test]
async fn strangers_hear_of_wrong_credentials_when_the_account_exists() {
    let room = room(ApiEncryptionPolicy::Optional).await;
    let send = async |account: &str| {
        let request = Room::anonymous("POST", "/1/upload")
            .header("X-CleverTap-Account-Id", account)
            .header("X-CleverTap-Passcode", "wrong")
            .header("Content-Type", hpke::MEDIA_TYPE);
        room.send(request.body(Body::from(sealed(1, EVENT))).unwrap())
            .await
            .map(|answer| answer.status)
    };
    assert_eq!(send(super::harness::ACCOUNT).await, Some(401));
    assert_eq!(send("NOBODY-1").await, None);
}

#[tokio::test]
async fn an_answer_is_encrypted_where_that_is_asked_for() {
    let answers = |prefix| {
        move |rules: &mut governance::AccountRules| {
            let public_key = seal::hpke::public_key(&private(5)).unwrap();
            rules.api_encryption.answer_key = Some(AnswerKey { public_key, prefix });
        }
    };
    for (prefix, body) in [(None, EVENT), (Some(9), EVENT), (None, "{")] {
        let room = Room::with(answers(prefix)).await;
        let request = room
            .request("POST", "/1/upload")
            .header("Accept", "application/json, application/octet-stream+hpke");
        let request = request.body(Body::from(body)).unwrap();
        let (kind, bytes) = room.send_raw(request).await;
        assert_eq!(kind, hpke::MEDIA_TYPE);
        let (number, message) = hpke::readings(&bytes)
            .find(|(number, _)| *number == prefix)
            .unwrap();
        assert_eq!(number, prefix);
        let plain = seal::hpke::open(&private(5), message).unwrap();
        let expect = match body {
            EVENT => SUCCESS,
            _ => r#"{"status":"fail","error":"Malformed request","code":400}"#,
        };
        assert_eq!(String::from_utf8(plain).unwrap(), expect);
    }
    // Without a key for it nothing is done, and nothing goes out plain.
    let room = room(ApiEncryptionPolicy::Optional).await;
    let request = room
        .request("POST", "/1/upload")
        .header("Accept", hpke::MEDIA_TYPE);
    let answer = room.send(request.body(Body::from(EVENT)).unwrap()).await;
    assert_eq!(answer.unwrap().status, 406);
    assert_eq!(kept(&room).await, (0, 0));
}
