//! The sessions of browsers.

use model::record::Record;
use std::time::Duration;

use super::web::{EVENT, script, script_at};
use crate::tests::harness::{NOW, Room};

#[tokio::test]
async fn an_event_is_of_the_session_that_its_answer_tells() {
    let room = Room::new().await;
    let early = EVENT.replace(",\"s\":1789999000", "");
    let answer = script(&room, &early, "&type=push").await.unwrap();
    let begins = NOW.seconds();
    let told = format!("s('abc',{begins},false,3)");
    assert!(answer.body.contains(&told), "{}", answer.body);
    let other = EVENT.replace("Viewed", "Later");
    assert!(script(&room, &other, "&type=push").await.is_some());
    assert_eq!(sessions(&room).await, [Some(begins), Some(1_789_999_000)]);
}

/// The sessions of the events that are kept.
async fn sessions(room: &Room) -> Vec<Option<i64>> {
    let entries = room.entries().await.into_iter();
    let sessions = entries.filter_map(|it| match it.record {
        Record::Event(event) => Some(event.session.map(i64::from)),
        _ => None,
    });
    sessions.collect()
}

#[tokio::test]
async fn an_event_that_comes_late_is_of_the_session_in_which_it_was_made() {
    let room = Room::new().await;
    let bare = EVENT.replace(",\"s\":1789999000", "");
    // The session in the message, or beside it, as the SDK names it when it sends again.
    for (hours, message, parameters) in [(1, EVENT, ""), (2, &*bare, "&s=1789999000")] {
        room.clock.advance(Duration::from_hours(1));
        let parameters = format!("&type=push{parameters}");
        let answer = script_at(&room, 1_789_999_000 + hours, message, &parameters).await;
        let anew = NOW.seconds() + i64::from(hours) * 3_600;
        let told = format!("s('abc',{anew},false,3)");
        assert!(answer.body.contains(&told), "{}", answer.body);
    }
    assert_eq!(sessions(&room).await, [Some(1_789_999_000); 2]);
}

#[tokio::test]
async fn a_session_is_over_when_nothing_was_heard_for_20_minutes() {
    let room = Room::new().await;
    let mut sessions = Vec::new();
    for minutes in [0, 19, 19, 20, 0] {
        room.clock.advance(Duration::from_secs(minutes * 60));
        let answer = script(&room, EVENT, "&type=push").await.unwrap();
        let told = answer.body.split(',').nth(1).unwrap().parse::<i64>();
        sessions.push(told.unwrap());
    }
    // The last is of a page that has not heard of the new one yet.
    let anew = NOW.seconds() + 58 * 60;
    let goes_on = 1_789_999_000;
    assert_eq!(sessions, [goes_on, goes_on, goes_on, anew, goes_on]);
}
