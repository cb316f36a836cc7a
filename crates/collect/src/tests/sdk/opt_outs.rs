//! Of a device that has opted out nothing is kept, whichever of its tabs and processes has heard of it.

use futures::FutureExt as _;
use model::opt_out::OptOut;
use model::record::{Peer, RequestLine};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::mobile::{PHONE, TAKEN, android};
use super::web::{EVENT, envelope, script, script_at};
use super::{kept, send};
use crate::tests::harness::{ACCOUNT, Room};

const OUT: &str = r#"{"type":"profile","profile":{"ct_optout":true},"id":"TEST-1","g":"abc"}"#;
const IN: &str = r#"{"type":"profile","profile":{"ct_optout":false},"id":"TEST-1","g":"abc"}"#;

/// When the browser opts in again.
const BACK: u32 = 1_789_999_992;

async fn opt_out(room: &Room) {
    let out = script(room, OUT, "&type=push&optOut=true").await.unwrap();
    assert!(out.body.ends_with(",3,true);"), "{}", out.body);
}

/// The lines of requests of which nothing was kept because of an opting out.
async fn refused(room: &Room) -> Vec<RequestLine> {
    let lines = room.lines().await.into_iter().map(|(_, line)| line);
    lines.filter(|it| &*it.reason == "opted_out").collect()
}

#[tokio::test]
async fn another_tab_of_a_browser_that_has_opted_out_is_out_as_well() {
    let room = Room::new().await;
    opt_out(&room).await;
    let before = kept(&room).await;
    let said = String::from("abc put ct_optout true");
    assert!(before.contains(&said), "{before:?}");
    let nameless = EVENT.replace("\"Viewed\"", "\"\"");
    let sealed = envelope(EVENT);
    let cases = [
        (EVENT, "&type=push&useIP=true"),
        (&nameless, "&type=push&useIP=true"),
        (&sealed, "&type=push&useIP=true"),
        (r#"{"id":"TEST-1","g":"abc"}"#, "&type=page&useIP=true"),
        (
            r#"{"id":"TEST-1","encrypted":true,"itp":"AAAA"}"#,
            "&gc=abc",
        ),
    ];
    for (message, parameters) in cases {
        let answer = script(&room, message, parameters).await.unwrap();
        assert!(answer.body.contains("s('abc:OO',"), "{}", answer.body);
        assert!(answer.body.ends_with(",false,3);"), "{}", answer.body);
    }
    assert_eq!(kept(&room).await, before);
    let lines = refused(&room).await;
    assert_eq!(lines.len(), 5);
    for line in lines {
        assert_eq!((line.status, line.accepted), (200, 0));
        assert!(matches!(&line.peer, Peer::Hashed { .. }), "{line:?}");
    }
    // Another browser is not out.
    let other = EVENT.replace("\"abc\"", "\"abd\"");
    let answer = script(&room, &other, "&type=push").await.unwrap();
    assert!(answer.body.contains("s('abd',"), "{}", answer.body);
    assert!(kept(&room).await.len() > before.len());
}

#[tokio::test]
async fn a_browser_that_opts_in_again_is_kept_from_that_on() {
    let room = Room::new().await;
    opt_out(&room).await;
    // What was on its way before, and is sent again now, opts nobody in; nor does what says no such thing.
    // The browser is told so.
    let opt_in = "&type=push&optOut=false";
    let told = "s('abc:OO',1789999000,false,3,true);";
    let of_session = IN.replace("\"g\"", "\"s\":1789999000,\"g\"");
    for second in [1_789_999_980, 1_789_999_989] {
        let stale = script_at(&room, second, &of_session, opt_in).await;
        assert!(stale.body.ends_with(told), "{}", stale.body);
    }
    let event = script_at(&room, BACK, EVENT, opt_in).await;
    assert!(event.body.ends_with(told), "{}", event.body);
    script(&room, EVENT, "&type=push").await.unwrap();
    assert_eq!(refused(&room).await.len(), 4);
    // One that cannot be read is kept for review, and its browser is out until somebody has looked at it.
    let sealed = r#"{"id":"TEST-1","encrypted":true,"itp":"AAAA"}"#;
    let unread = "&gc=abc&s=1789999000&optOut=false";
    let unread = script_at(&room, BACK, sealed, unread).await;
    assert!(unread.body.ends_with(told), "{}", unread.body);
    assert_eq!(refused(&room).await.len(), 4);

    let back = script_at(&room, BACK, IN, opt_in).await;
    assert!(back.body.contains("s('abc',"), "{}", back.body);
    assert!(back.body.ends_with(",false,3,false);"), "{}", back.body);
    script(&room, EVENT, "&type=push&useIP=true").await.unwrap();
    let kept = kept(&room).await;
    let (back, viewed) = ("abc put ct_optout false", "web abc Viewed {\"n\":1.50}");
    assert!(kept.iter().any(|it| it == back), "{kept:?}");
    assert!(kept.iter().any(|it| it == viewed), "{kept:?}");
    assert_eq!(refused(&room).await.len(), 4);
    assert_eq!(whole_addresses(&room).await, 1);
}

#[tokio::test]
async fn a_browser_that_opts_out_again_is_not_brought_back_by_what_it_said_between() {
    let room = Room::new().await;
    opt_out(&room).await;
    let marked = OUT.replace("\"abc\"", "\"abc:OO\"");
    let again = "&type=push&useIP=true&optOut=true";
    let again = script_at(&room, 1_789_999_995, &marked, again).await;
    assert!(again.body.contains("s('abc:OO',"), "{}", again.body);
    let delayed = "&type=push&optOut=false";
    let delayed = script_at(&room, 1_789_999_993, IN, delayed).await;
    assert!(delayed.body.contains("s('abc:OO',"), "{}", delayed.body);
    assert!(delayed.body.ends_with(",3,true);"), "{}", delayed.body);
    script(&room, EVENT, "&type=push&useIP=true").await.unwrap();
    assert_eq!(refused(&room).await.len(), 2);
    assert_eq!(whole_addresses(&room).await, 0);
    // With the mark alone, and without it in the request, the answer has it too.
    let other = marked.replace("abc", "abd");
    let other = script(&room, &other, "&type=push").await.unwrap();
    assert!(other.body.contains("s('abd:OO',"), "{}", other.body);
    // An event that says so is none the less an event.
    let before = kept(&room).await;
    let event = EVENT.replace("\"abc\"", "\"abf:OO\"");
    script(&room, &event, "&type=push&optOut=true")
        .await
        .unwrap();
    assert_eq!(kept(&room).await, before);
}

#[tokio::test]
async fn of_a_marked_browser_an_opting_out_of_before_the_one_that_holds_is_not_kept() {
    let room = Room::new().await;
    opt_out(&room).await;
    let before = kept(&room).await;
    let marked = OUT.replace("\"abc\"", "\"abc:OO\"");
    let earlier = "&type=push&optOut=true";
    let earlier = script_at(&room, 1_789_999_980, &marked, earlier).await;
    assert!(earlier.body.ends_with(",3,true);"), "{}", earlier.body);
    assert_eq!(kept(&room).await, before);
    assert_eq!(refused(&room).await.len(), 1);
}

/// How many requests have left a whole address.
async fn whole_addresses(room: &Room) -> usize {
    let lines = room.lines().await.into_iter();
    lines
        .filter(|(_, it)| matches!(it.peer, Peer::Address(_)))
        .count()
}

/// A phone's batch: whether it opts out, if it says so, and a tap.
fn batch(opts_out: Option<bool>, second: u32) -> String {
    let meta = json!({"type":"meta","g":PHONE,"id":ACCOUNT,"af":{"OS":"Android","useIP":true}});
    let tap = json!({"type":"event","evtName":"Tap","evtData":{"n":second},"ep":second});
    let mut items = vec![meta, tap];
    if let Some(is_out) = opts_out {
        let profile = json!({"Identity":"u1","ct_optout":is_out});
        items.push(json!({"type":"profile","profile":profile,"ep":second}));
    }
    Value::from(items).to_string()
}

#[tokio::test]
async fn a_phone_is_out_from_the_batch_that_says_so_to_the_one_that_opts_in() {
    let room = Room::new().await;
    let sends = [
        (Some(true), 1_789_999_990),
        (None, 1_789_999_991),
        (Some(false), 1_789_999_980),
        (Some(true), 1_789_999_992),
        (Some(false), 1_789_999_993),
        (None, 1_789_999_994),
    ];
    for (opts_out, second) in sends {
        let request = android(&room).body(batch(opts_out, second).into());
        let answer = send(&room, request.unwrap()).await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, TAKEN));
    }
    let kept = kept(&room).await;
    let taps = kept.iter().filter(|it| it.contains("Tap"));
    let taps: Vec<_> = taps.map(String::as_str).collect();
    let tap = |second: u32| format!("android {PHONE} Tap {{\"n\":{second}}}");
    assert_eq!(taps, [1_789_999_990, 1_789_999_993, 1_789_999_994].map(tap));
    // Of the batch that opts out once more that is kept.
    let said = format!("{PHONE} put ct_optout true");
    let said = kept.iter().filter(|it| it.ends_with(&said));
    assert_eq!(said.count(), 2, "{kept:?}");
    let refused = refused(&room).await;
    assert_eq!(refused.len(), 3);
    let is_hashed = |it: &RequestLine| matches!(it.peer, Peer::Hashed { .. });
    assert!(refused.iter().all(is_hashed), "{refused:?}");
}

#[tokio::test]
async fn each_record_that_opts_out_once_more_is_counted_by_however_many_names_it_is_kept() {
    let room = Room::new().await;
    let first = batch(Some(true), 1_789_999_990);
    let mut again: Value = serde_json::from_str(&batch(Some(true), 1_789_999_991)).unwrap();
    let nameless = json!({"type":"profile","profile":{"ct_optout":true},"ep":1_789_999_992});
    again.as_array_mut().unwrap().push(nameless);
    for body in [first, again.to_string()] {
        let request = android(&room).body(body.into()).unwrap();
        assert_eq!(send(&room, request).await.unwrap().status, 200);
    }
    let refused = refused(&room).await;
    let accepted: Vec<u32> = refused.iter().map(|it| it.accepted).collect();
    assert_eq!(accepted, [2]);
}

#[tokio::test]
async fn an_opting_out_that_comes_late_does_not_end_an_opting_in() {
    // A copy of what was known, or what never came before.
    for is_copy in [true, false] {
        let room = Room::new().await;
        if is_copy {
            opt_out(&room).await;
        }
        let back = script_at(&room, BACK, IN, "&type=push&optOut=false").await;
        assert!(back.body.ends_with(",false,3,false);"), "{}", back.body);
        let late = "&type=push&optOut=true&useIP=true";
        let late = script(&room, OUT, late).await.unwrap();
        assert!(late.body.contains("s('abc',"), "{}", late.body);
        assert!(late.body.ends_with(",false,3,false);"), "{}", late.body);
        assert_eq!(whole_addresses(&room).await, 0);
        script(&room, EVENT, "&type=push").await.unwrap();
        assert_eq!(refused(&room).await.len(), 0, "{is_copy}");
        // It is so after a start as well.
        let entries = room.entries().await;
        let said: Vec<OptOut> = entries.iter().filter_map(OptOut::of).collect();
        let after = Room::new().await;
        after.state.remember_opt_outs(&said);
        let rules = after.state.rules();
        let rules = rules.account(ACCOUNT.parse().unwrap()).unwrap();
        assert!(!after.state.is_out(rules, "abc"), "{is_copy}");
        // Later still, it opts out.
        let again = "&type=push&optOut=true";
        let again = script_at(&room, BACK + 1, OUT, again).await;
        assert!(again.body.ends_with(",false,3,true);"), "{}", again.body);
    }
}

#[tokio::test]
async fn who_has_opted_out_is_known_after_a_start_by_what_is_durable() {
    let (before, after) = (Room::new().await, Room::new().await);
    opt_out(&before).await;
    let entries = before.entries().await;
    let said: Vec<OptOut> = entries.iter().filter_map(OptOut::of).collect();
    after.state.remember_opt_outs(&said);
    script(&after, EVENT, "&type=push").await.unwrap();
    assert_eq!(kept(&after).await, Vec::<String>::new());
    assert_eq!(refused(&after).await.len(), 1);
}

#[tokio::test]
async fn who_goes_away_before_the_answer_is_out_all_the_same() {
    let room = Room::new().await;
    let mut asked = Box::pin(script(&room, OUT, "&type=push&optOut=true"));
    assert!(asked.as_mut().now_or_never().is_none());
    drop(asked);
    let rules = room.state.rules();
    let rules = rules.account(ACCOUNT.parse().unwrap()).unwrap();
    let is_known = async {
        while !room.state.is_out(rules, "abc") {
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(10);
    let is_known = tokio::time::timeout(limit, is_known).await;
    assert_eq!(is_known, Ok(()));
    script(&room, EVENT, "&type=push").await.unwrap();
    assert_eq!(refused(&room).await.len(), 1);
}

#[tokio::test]
async fn what_was_not_durable_opts_nobody_out() {
    let room = Room::new().await;
    room.store.is_failing.store(true, Ordering::Relaxed);
    let out = script(&room, OUT, "&type=push&optOut=true").await.unwrap();
    assert_eq!(out.status, 503);
    room.store.is_failing.store(false, Ordering::Relaxed);
    let event = script(&room, EVENT, "&type=push").await.unwrap();
    assert_eq!(event.status, 200);
    assert_eq!(refused(&room).await, []);
}
