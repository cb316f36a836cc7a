//! Reviews of drops and marks of quarantined records: with their entries, and forgotten in time.

use model::{AccountId, ErrorKind, RecordId, Timestamp};
use std::time::Duration;

use super::support::{Faulty, NOON, World, dump, operator};
use crate::{Action, Actor, AuditFilter, QuarantineMark, SeenDrops};

fn seen(path: &str, until: i64) -> SeenDrops {
    SeenDrops {
        reason: "unknown_url".to_owned(),
        path: path.to_owned(),
        until: Timestamp::from_ms(until),
    }
}

#[tokio::test]
async fn a_review_says_who_and_when_and_is_in_the_audit() {
    let world = World::new(70);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let both = vec![seen("/user/peter@example.com", 5), seen("", 7)];
    control.review_drops(&operator(), both).await.unwrap();
    control
        .review_drops(&Actor::os_user("olga"), vec![seen("", 9)])
        .await
        .unwrap();
    let mut reviews = control.drop_reviews(&operator()).await.unwrap();
    reviews.sort_by(|a, b| a.seen.path.cmp(&b.seen.path));
    let told: Vec<_> = reviews
        .iter()
        .map(|it| (&*it.seen.path, it.seen.until.ms(), &*it.reviewer))
        .collect();
    let first = operator();
    let expected = [
        ("", 9, "olga"),
        ("/user/peter@example.com", 5, first.name()),
    ];
    assert_eq!(told, expected);
    assert_eq!(reviews[0].reviewed_at, Timestamp::from_ms(NOON));
    let text = dump(&control).await.join("\n");
    assert!(!text.contains("peter@example.com"), "paths are sealed");

    let filter = AuditFilter {
        actions: vec![Action::DropsReviewed],
        ..AuditFilter::default()
    };
    let entries = control
        .audit_log(&operator(), AccountId::installation(), &filter)
        .await
        .unwrap();
    let told: Vec<_> = entries.iter().map(|it| &*it.description).collect();
    assert_eq!(told, ["2 groups", "path "]);
    let stranger = Actor::passcode("AAA".parse().unwrap(), "first");
    let refused = control.review_drops(&stranger, vec![seen("", 1)]).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn marks_stay_until_they_are_past_their_time() {
    let world = World::new(71);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let made = control.create_account(&operator(), "Shop", "UTC").await;
    let account = made.unwrap().account_id;
    let (one, two) = (RecordId([1; 16]), RecordId([2; 16]));
    for (record, mark) in [
        (one, QuarantineMark::Replayed),
        (two, QuarantineMark::Replayed),
        (two, QuarantineMark::Deleted),
    ] {
        control
            .mark_quarantined(&operator(), account, vec![record], mark)
            .await
            .unwrap();
    }
    let marks = control
        .quarantine_marks(&operator(), account)
        .await
        .unwrap();
    assert_eq!(marks.len(), 2);
    assert_eq!(marks[&one], QuarantineMark::Replayed);
    assert_eq!(marks[&two], QuarantineMark::Deleted);
    let filter = AuditFilter {
        actions: vec![Action::QuarantineReplayed, Action::QuarantineDeleted],
        ..AuditFilter::default()
    };
    let entries = control.audit_log(&operator(), account, &filter).await;
    let objects: Vec<_> = entries
        .unwrap()
        .into_iter()
        .map(|it| it.action_id)
        .collect();
    assert_eq!(objects, [one, two, two].map(|it| it.to_string()));
    let nobody: AccountId = "NOBODY".parse().unwrap();
    let missing = control
        .mark_quarantined(&operator(), nobody, vec![one], QuarantineMark::Deleted)
        .await;
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);

    control
        .review_drops(&operator(), vec![seen("/a", NOON)])
        .await
        .unwrap();
    let job = Actor::system("expiry");
    let now = Timestamp::from_ms(NOON);
    let forgotten = control.forget_marks(&job, now, now).await.unwrap();
    assert_eq!(forgotten, (0, 0));
    let later = now.plus(Duration::from_secs(1));
    assert_eq!(
        control.forget_marks(&job, later, later).await.unwrap(),
        (2, 1)
    );
    let marks = control.quarantine_marks(&operator(), account).await;
    assert!(marks.unwrap().is_empty());
}
