//! The tokens of apps, and when credentials were used last.

use model::{Clock as _, Credential, CredentialUse, ErrorKind, Timestamp};
use std::time::Duration;

use super::support::{Faulty, World, operator};
use crate::{Action, AuditFilter};

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn old_tokens_are_accepted_until_the_overlap_ends_and_no_longer() {
    let world = World::new(700);
    let dir = tempfile::tempdir().unwrap();
    let store = Faulty::new();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    let made = control.create_account(&operator(), "Shop", "UTC").await;
    let made = made.unwrap();
    let id = made.account_id;
    let now = world.clock.now();
    let second = control.rotate_sdk_token(&operator(), id, 30).await.unwrap();
    assert_eq!(second.others_end_at, now.plus(DAY * 30));
    let third = control.rotate_sdk_token(&operator(), id, 2).await.unwrap();
    drop(control);
    let (control, _) = world.open(dir.path(), store).await.unwrap();
    let number = |text: &str, at: Timestamp| {
        let rules = std::sync::Arc::clone(&control.rules().borrow());
        rules.account(id).unwrap().verify_sdk_token(text, at)
    };
    let at_end = now.plus(DAY * 2);
    let before = at_end.minus(Duration::from_millis(1));
    let texts = [&made.sdk_token, &second.text, &third.text];
    let [first, second, third] = texts.map(|it| it.expose().clone());
    let all = |at| [&first, &second, &third].map(|it| number(it, at));
    assert_eq!(all(before), [Some(1), Some(2), Some(3)]);
    assert_eq!(all(at_end), [None, None, Some(3)]);
    let fourth = control.rotate_sdk_token(&operator(), id, 0).await.unwrap();
    assert_eq!(all(now), [None, None, None]);
    assert_eq!(number(fourth.text.expose(), at_end), Some(4));
    let shown = control.account(&operator(), id).await.unwrap().sdk_tokens;
    let ends: Vec<_> = shown.iter().map(|it| it.ends_at).collect();
    assert_eq!(ends, [Some(now), Some(now), Some(now), None]);
    let filter = AuditFilter {
        actions: vec![Action::SdkTokenRotated],
        ..AuditFilter::default()
    };
    let log = control.audit_log(&operator(), id, &filter).await.unwrap();
    let words: Vec<(&str, &str)> = log
        .iter()
        .map(|it| (it.action_id.as_str(), it.description.as_str()))
        .collect();
    assert_eq!(words.len(), 3, "{words:?}");
    assert_eq!(words[2], ("4", "those before are refused from now on"));
    for text in [&first, fourth.text.expose()] {
        assert!(log.iter().all(|it| !it.description.contains(text)));
    }
}

#[tokio::test]
async fn an_old_token_is_ended_alone_and_the_newest_never() {
    let world = World::new(703);
    let dir = tempfile::tempdir().unwrap();
    let store = Faulty::new();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    let made = control.create_account(&operator(), "Shop", "UTC").await;
    let id = made.unwrap().account_id;
    let only = control.end_sdk_token(&operator(), id, 1).await;
    assert_eq!(only.unwrap_err().kind(), ErrorKind::Conflict);
    let second = control.rotate_sdk_token(&operator(), id, 30).await.unwrap();
    control.rotate_sdk_token(&operator(), id, 30).await.unwrap();
    let now = world.clock.now();
    control.end_sdk_token(&operator(), id, 2).await.unwrap();
    let rules = std::sync::Arc::clone(&control.rules().borrow());
    let rules = rules.account(id).unwrap();
    assert_eq!(rules.verify_sdk_token(second.text.expose(), now), None);
    drop(control);
    let (control, _) = world.open(dir.path(), store).await.unwrap();
    let shown = control.account(&operator(), id).await.unwrap().sdk_tokens;
    let ends: Vec<_> = shown.iter().map(|it| it.ends_at).collect();
    assert_eq!(ends, [Some(now.plus(DAY * 30)), Some(now), None]);
    for (number, kind) in [
        (2, ErrorKind::NotFound),
        (3, ErrorKind::Conflict),
        (4, ErrorKind::NotFound),
    ] {
        let refused = control.end_sdk_token(&operator(), id, number).await;
        assert_eq!(refused.unwrap_err().kind(), kind, "{number}");
    }
    let filter = AuditFilter {
        actions: vec![Action::SdkTokenEnded],
        ..AuditFilter::default()
    };
    let log = control.audit_log(&operator(), id, &filter).await.unwrap();
    let done: Vec<&str> = log.iter().map(|it| it.action_id.as_str()).collect();
    assert_eq!(done, ["2"]);
}

#[tokio::test]
async fn no_more_than_ten_tokens_are_accepted_at_a_time() {
    let world = World::new(701);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let made = control.create_account(&operator(), "Shop", "UTC").await;
    let id = made.unwrap().account_id;
    for _ in 0..9 {
        control.rotate_sdk_token(&operator(), id, 9).await.unwrap();
    }
    let refused = control.rotate_sdk_token(&operator(), id, 9).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    let refused = control.rotate_sdk_token(&operator(), id, 3_661).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    control.rotate_sdk_token(&operator(), id, 0).await.unwrap();
    control.rotate_sdk_token(&operator(), id, 9).await.unwrap();
}

#[tokio::test]
async fn the_last_use_of_a_credential_is_kept_and_never_goes_back() {
    let world = World::new(702);
    let dir = tempfile::tempdir().unwrap();
    let store = Faulty::new();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    let made = control.create_account(&operator(), "Shop", "UTC").await;
    let account = made.unwrap().account_id;
    let at = Timestamp::from_ms;
    let uses = |ms: i64| {
        let credentials = [
            Credential::Passcode(Box::from("default")),
            Credential::Passcode(Box::from("nothing")),
            Credential::SdkToken(1),
        ];
        let used = credentials.map(|credential| CredentialUse {
            account,
            credential,
            at: at(ms),
        });
        used.to_vec()
    };
    let shown = control.account(&operator(), account).await.unwrap();
    assert_eq!(shown.passcodes[0].used_at, None);
    control.note_uses(uses(50)).await.unwrap();
    control.note_uses(uses(40)).await.unwrap();
    drop(control);
    let (control, _) = world.open(dir.path(), store).await.unwrap();
    let shown = control.account(&operator(), account).await.unwrap();
    assert_eq!(shown.passcodes[0].used_at, Some(at(50)));
    assert_eq!(shown.sdk_tokens[0].used_at, Some(at(50)));
    assert_eq!(shown.passcodes.len(), 1);
}
