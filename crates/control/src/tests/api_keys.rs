//! Keys for encrypted calls: made, rotated, retired.

use governance::{AnswerKey, ApiEncryption, ApiEncryptionPolicy};
use model::{AccountId, Clock as _, ErrorKind};
use std::time::Duration;

use super::support::{Faulty, World, operator};
use crate::{ApiEncryptionView, ApiKeyState, ApiKeyView, AuditFilter, Control};

const DAY: Duration = Duration::from_secs(86_400);

async fn account(control: &Control) -> AccountId {
    let made = control.create_account(&operator(), "Shop", "UTC").await;
    made.unwrap().account_id
}

fn rules(control: &Control, id: AccountId) -> ApiEncryption {
    let rules = std::sync::Arc::clone(&control.rules().borrow());
    rules.account(id).unwrap().api_encryption.clone()
}

fn states(view: &ApiEncryptionView) -> Vec<ApiKeyState> {
    view.keys.iter().map(|key| key.state).collect()
}

#[tokio::test]
async fn a_key_survives_a_restart_sealed_and_is_accepted_for_the_overlap() {
    let world = World::new(410);
    let dir = tempfile::tempdir().unwrap();
    let store = Faulty::new();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    let id = account(&control).await;
    let first = control.create_api_key(&operator(), id).await.unwrap();
    assert_eq!(first.policy, "optional");
    let [old] = &first.keys[..] else {
        panic!("one key, not {first:?}")
    };
    let message = seal::hpke::seal(&old.public_key, b"{}").unwrap();
    let twice = control.create_api_key(&operator(), id).await.unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Conflict);
    let rotated = control.rotate_api_key(&operator(), id, DAY).await.unwrap();
    assert_eq!(
        states(&rotated),
        [ApiKeyState::Current, ApiKeyState::Accepted]
    );
    assert_eq!(rotated.keys[1].key_id, old.key_id);

    // In the file there is no private key.
    let secret = rules(&control, id).keys[1].private_key.clone();
    let file = std::fs::read(dir.path().join("control.db")).unwrap();
    let wal = std::fs::read(dir.path().join("control.db-wal")).unwrap_or_default();
    for bytes in [file, wal] {
        assert!(!bytes.windows(32).any(|it| it == secret.expose()));
    }
    drop(control);
    let (control, _) = world.open(dir.path(), store).await.unwrap();
    let opens = || {
        let rules = rules(&control, id);
        let mut keys = rules.keys_at(world.clock.now());
        keys.any(|key| seal::hpke::open(&key.private_key, &message).is_ok())
    };
    assert!(opens());
    world.clock.advance(DAY);
    assert!(!opens(), "the overlap is over");
    let shown = control.api_encryption(&operator(), id).await.unwrap();
    assert_eq!(states(&shown), [ApiKeyState::Current, ApiKeyState::Ended]);
    let again = control
        .rotate_api_key(&operator(), id, Duration::ZERO)
        .await;
    assert_eq!(
        states(&again.unwrap()),
        [
            ApiKeyState::Current,
            ApiKeyState::Retired,
            ApiKeyState::Retired
        ]
    );
    assert_eq!(rules(&control, id).keys.len(), 1);
}

#[tokio::test]
async fn a_retired_key_is_gone_and_each_act_is_written_down() {
    let world = World::new(411);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let id = account(&control).await;
    let early = control.rotate_api_key(&operator(), id, DAY).await;
    assert_eq!(early.unwrap_err().kind(), ErrorKind::NotFound);
    let made = control.create_api_key(&operator(), id).await.unwrap();
    let key_id = made.keys[0].key_id;
    let unknown = control.retire_api_key(&operator(), id, key_id ^ 2).await;
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::NotFound);
    let required = ApiEncryptionPolicy::Required;
    let set = control.set_api_encryption(&operator(), id, required).await;
    assert_eq!(set.unwrap().policy, "required");
    let last = control.retire_api_key(&operator(), id, key_id).await;
    assert_eq!(last.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(rules(&control, id).keys.len(), 1, "nothing of it was done");
    let off = ApiEncryptionPolicy::Off;
    control
        .set_api_encryption(&operator(), id, off)
        .await
        .unwrap();
    assert_eq!(rules(&control, id).keys_at(world.clock.now()).count(), 0);
    let retired = control.retire_api_key(&operator(), id, key_id).await;
    assert_eq!(states(&retired.unwrap()), [ApiKeyState::Retired]);
    assert!(rules(&control, id).keys.is_empty());
    let set = control.set_api_encryption(&operator(), id, required).await;
    assert_eq!(set.unwrap_err().kind(), ErrorKind::Conflict);

    let key = AnswerKey {
        public_key: made.keys[0].public_key,
        prefix: Some(u32::MAX),
    };
    let nothing = AnswerKey {
        public_key: [0; 32],
        ..key
    };
    let refused = control.set_answer_key(&operator(), id, Some(nothing)).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    control
        .set_answer_key(&operator(), id, Some(key))
        .await
        .unwrap();
    assert_eq!(rules(&control, id).answer_key, Some(key));
    control.set_answer_key(&operator(), id, None).await.unwrap();
    assert_eq!(rules(&control, id).answer_key, None);

    let log = control
        .audit_log(&operator(), id, &AuditFilter::default())
        .await
        .unwrap();
    let mut names: Vec<_> = log.iter().map(|entry| entry.action.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    for name in [
        "account.api_encryption_changed",
        "api_key.created",
        "api_key.retired",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
}

#[tokio::test]
async fn no_more_keys_are_accepted_at_a_time_than_may_be() {
    let world = World::new(412);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let id = account(&control).await;
    control.create_api_key(&operator(), id).await.unwrap();
    for _ in 0..3 {
        control.rotate_api_key(&operator(), id, DAY).await.unwrap();
    }
    let many = control.rotate_api_key(&operator(), id, DAY).await;
    assert_eq!(many.unwrap_err().kind(), ErrorKind::Conflict);
    let long = control.rotate_api_key(&operator(), id, DAY * 91).await;
    assert_eq!(long.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn keys_are_rotated_for_ever_and_the_newest_retired_ones_are_kept() {
    let world = World::new(413);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let id = account(&control).await;
    let mut view = control.create_api_key(&operator(), id).await.unwrap();
    let mut made = Vec::new();
    for _ in 0..105 {
        made.insert(0, view.keys[0].key_id);
        world.clock.advance(DAY);
        let rotated = control
            .rotate_api_key(&operator(), id, Duration::ZERO)
            .await;
        view = rotated.unwrap();
    }
    let retired = |key: &&ApiKeyView| key.state == ApiKeyState::Retired;
    let kept: Vec<_> = view
        .keys
        .iter()
        .filter(retired)
        .map(|it| it.key_id)
        .collect();
    assert_eq!(kept, made[..100]);
    assert_eq!(view.keys.len(), 101);
    assert_eq!(rules(&control, id).keys.len(), 1);
}
