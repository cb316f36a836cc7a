//! What goes through the socket arrives as it was sent, and users have their names.

use super::execute::day_start;
use super::frame::{self, Frame, Progress};
use super::{AuditRequest, AuditWanted, Request, Whom, user_name};
use crate::failure::{Failure, Kind};
use bytes::Bytes;
use jiff::tz::TimeZone;
use model::Timestamp;
use std::time::Duration;

#[tokio::test]
async fn frames_arrive_as_they_were_sent() {
    let (mut near, mut far) = tokio::io::duplex(4 * 1024 * 1024);
    let long = Bytes::from(vec![7; 1024 * 1024 + 5]);
    let frames = [
        Frame::Data(long.clone()),
        Frame::Progress(Progress {
            done: 3,
            total: None,
        }),
        Frame::Done(serde_json::json!({"a": 1})),
        Frame::Failed(Failure::new(Kind::NotFound, "no such account")),
    ];
    for frame in &frames {
        frame.write(&mut near).await.unwrap();
    }
    drop(near);
    let mut data = Vec::new();
    let mut rest = Vec::new();
    while let Ok(frame) = Frame::read(&mut far).await {
        match frame {
            Frame::Data(bytes) => data.extend_from_slice(&bytes),
            other => rest.push(other),
        }
    }
    assert_eq!(data, long);
    let [
        Frame::Progress(progress),
        Frame::Done(value),
        Frame::Failed(failure),
    ] = &rest[..]
    else {
        panic!("{rest:?}");
    };
    assert_eq!((progress.done, progress.total), (3, None));
    assert_eq!(value["a"], 1);
    assert_eq!(
        (failure.kind, failure.to_string().as_str()),
        (Kind::NotFound, "no such account")
    );
}

#[tokio::test]
async fn requests_arrive_as_they_were_sent() {
    let (mut near, mut far) = tokio::io::duplex(4096);
    let requests = [
        Request::PersonShow {
            account: "A".to_owned(),
            whom: Whom::Email("a@b.c".to_owned()),
        },
        Request::Audit(AuditRequest::Key),
        Request::Audit(AuditRequest::List {
            account: "A".to_owned(),
            wanted: AuditWanted::default(),
            after: Some(1),
            limit: 2,
        }),
    ];
    for request in requests {
        frame::write_request(&mut near, &request).await.unwrap();
        let read = frame::read_request::<_, Request>(&mut far).await.unwrap();
        assert_eq!(read, request);
    }
}

#[tokio::test]
async fn a_message_that_announces_too_much_is_refused() {
    let mut bytes: &[u8] = &[b'd', 0xff, 0xff, 0xff, 0xff, 1];
    Frame::read(&mut bytes).await.unwrap_err();
}

#[test]
fn a_user_has_a_name_or_a_number() {
    let passwd = "root:x:0:0:root:/root:/bin/sh\nanna:x:1000:1000::/home/anna:/bin/sh\n";
    assert_eq!(user_name(passwd, 1000), "anna");
    assert_eq!(user_name(passwd, 0), "root");
    assert_eq!(user_name(passwd, 7), "uid 7");
}

#[test]
fn a_query_that_finds_no_memory_or_time_ends_as_unavailable() {
    let limit = Duration::from_secs(300);
    for beyond in [
        query::Error::Memory { limit_bytes: 1_000 },
        query::Error::Time { limit },
    ] {
        let failure = Failure::of(&anyhow::Error::from(beyond));
        assert_eq!(failure.kind.exit_code(), 5, "{failure}");
    }
}

#[test]
fn the_last_day_of_the_calendar_is_a_day_and_has_no_end() {
    let last = Timestamp::from_ms(jiff::Timestamp::MAX.as_millisecond());
    for name in ["UTC", "Asia/Kolkata", "America/Los_Angeles"] {
        let zone = TimeZone::get(name).unwrap();
        assert_eq!(
            day_start("9999-12-31", true, &zone).unwrap(),
            last,
            "{name}"
        );
        assert!(day_start("9999-12-30", true, &zone).unwrap() <= last);
        for wrong in ["9999-12-32", "10000-01-01", ""] {
            day_start(wrong, true, &zone).unwrap_err();
        }
    }
    let next = day_start("2026-09-21", true, &TimeZone::UTC).unwrap();
    assert_eq!(next, Timestamp::from_seconds(1_790_035_200));
}
