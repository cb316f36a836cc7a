//! What of a known phone's batch cannot be read, or is too much, takes nothing else with it.

use serde_json::Value;

use super::mobile::{TAKEN, android, batch};
use super::{kept, send};
use crate::tests::harness::Room;

fn count(kept: &[String], what: &str) -> usize {
    kept.iter().filter(|it| it.contains(what)).count()
}

#[tokio::test]
async fn an_element_that_is_none_is_refused_alone() {
    let mut with_null: Value = serde_json::from_str(&batch("")).unwrap();
    with_null.as_array_mut().unwrap().insert(1, Value::Null);
    let told_twice = batch("").replacen("\"af\":", "\"af\":{},\"af\":", 1);
    let cases = [
        (with_null.to_string(), "quarantined 524 type_unknown"),
        (told_twice, "quarantined 512 key_twice"),
    ];
    for (body, refused) in cases {
        let room = Room::new().await;
        for _ in 0..2 {
            let request = android(&room).body(body.clone().into()).unwrap();
            let answer = send(&room, request).await.unwrap();
            assert_eq!((answer.status, answer.body.as_str()), (200, TAKEN));
        }
        let kept = kept(&room).await;
        let told = ["Tap", "u1 incr n 2", refused, "quarantined"].map(|it| count(&kept, it));
        assert_eq!(told, [2, 1, 1, 1], "{kept:?}");
        let (_, line) = &room.lines().await[0];
        assert_eq!((line.accepted, line.rejected), (3, 1));
    }
}
