//! A passcode is good until its end, from its networks, for its scopes.

use governance::{PasscodeTerms, Scopes};
use model::{Credential, CredentialUse, Timestamp};

use super::harness::{ACCOUNT, NOW, Room};

async fn check(terms: PasscodeTerms, expect: (u16, &str)) {
    let words = format!("{terms:?}");
    let room = Room::with(|rules| rules.passcodes[0].terms = terms).await;
    let answer = room.upload(r#"{"d":[]}"#).await.unwrap();
    assert_eq!(answer.status, expect.0, "{words}: {}", answer.body);
    assert!(answer.body.contains(expect.1), "{words}: {}", answer.body);
}

#[tokio::test]
async fn each_term_is_held() {
    let all = PasscodeTerms::default;
    let until = |ms: i64| PasscodeTerms {
        expires_at: Some(Timestamp::from_ms(NOW.ms() + ms)),
        ..all()
    };
    let from = |network: &str| PasscodeTerms {
        networks: vec![network.parse().unwrap()],
        ..all()
    };
    let scoped = |scopes: &str| PasscodeTerms {
        scopes: Scopes::parse(scopes).unwrap(),
        ..all()
    };
    let wrong = (401, "Invalid Credentials");
    check(all(), (200, "success")).await;
    check(until(1), (200, "success")).await;
    check(until(0), wrong).await;
    check(until(-1), wrong).await;
    // Requests of the room come from 203.0.113.9.
    check(from("203.0.113.0/24"), (200, "success")).await;
    check(from("203.0.113.8"), wrong).await;
    check(from("::/0"), wrong).await;
    check(scoped("upload"), (200, "success")).await;
    check(scoped("read,delete"), (403, "Not allowed")).await;
}

#[tokio::test]
async fn credentials_that_stand_twice_are_taken_when_they_are_the_same() {
    let room = Room::new().await;
    let cases = [
        ("X-CleverTap-Account-Id", ACCOUNT, 200),
        ("X-CleverTap-Passcode", &*room.passcode, 200),
        ("X-CleverTap-Account-Id", "OTHER-1", 401),
        ("X-CleverTap-Passcode", "wrong", 401),
    ];
    for (name, value, expect) in cases {
        let request = room.request("POST", "/1/upload").header(name, value);
        let request = request.body(r#"{"d":[]}"#.into()).unwrap();
        let answer = room.send(request).await.unwrap();
        assert_eq!(answer.status, expect, "{name}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_refused_scope_is_on_record_and_nothing_is_kept() {
    let read = PasscodeTerms {
        scopes: Scopes::parse("read").unwrap(),
        ..PasscodeTerms::default()
    };
    let room = Room::with(|rules| rules.passcodes[0].terms = read).await;
    let event = r#"{"d":[{"type":"event","identity":"u1","evtName":"Viewed"}]}"#;
    assert_eq!(room.upload(event).await.unwrap().status, 403);
    let lines = room.lines().await;
    assert_eq!(lines.len(), 1);
    assert_eq!(&*lines[0].1.reason, "out_of_scope");
    assert_eq!(room.entries().await.len(), 1);
}

#[tokio::test]
async fn what_was_accepted_is_noted_and_what_was_not_is_not() {
    let room = Room::new().await;
    let wrong = Room::anonymous("POST", "/1/upload")
        .header("X-CleverTap-Account-Id", ACCOUNT)
        .header("X-CleverTap-Passcode", "wrong");
    let wrong = wrong.body(r#"{"d":[]}"#.into()).unwrap();
    assert_eq!(room.send(wrong).await.unwrap().status, 401);
    assert_eq!(room.state.take_uses(), []);
    for _ in 0..2 {
        room.upload(r#"{"d":[]}"#).await.unwrap();
    }
    let used = CredentialUse {
        account: ACCOUNT.parse().unwrap(),
        credential: Credential::Passcode(Box::from("first")),
        at: NOW,
    };
    assert_eq!(room.state.take_uses(), [used]);
}
