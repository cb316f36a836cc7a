//! Decoders of the REST dialect.

use governance::{AccountRules, Announced, Arrival};
use jiff::tz::TimeZone;
use model::record::Source;
use model::{AccountId, RecordId, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::LazyLock;
use wire::rest::cursor::{Cursor, CursorKind};
use wire::rest::{Refusal, delete, export, lookup, report, subscription, upload};

const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

static RULES: LazyLock<AccountRules> = LazyLock::new(crate::stored::rules);

/// Whatever is taken is JSON by another reader's judgement too; every record is either taken or
/// refused, once; the answer is JSON and echoes what was refused.
pub(crate) fn upload(input: &[u8]) {
    let Ok(batch) = upload::decode(input) else {
        return;
    };
    let body: Box<RawValue> = parsed(wire::without_byte_order_mark(input));
    drop(body);
    let (taken, refused) = (batch.records.len(), batch.rejections.len());
    let mut positions: Vec<u32> = batch.records.iter().map(|it| it.position).collect();
    positions.extend(batch.rejections.iter().map(|it| it.position));
    positions.sort_unstable();
    let expected: Vec<u32> = (1..=u32::try_from(taken + refused).unwrap_or(0)).collect();
    assert_eq!(positions, expected, "a record is lost or doubled");

    let ids = |ordinal: u32| RecordId(u128::from(ordinal).to_be_bytes());
    let arrival = Arrival {
        source: Source::Rest,
        received_at: NOW,
        ids: &ids,
    };
    let admitted = governance::admit(&RULES, batch, &arrival, &Announced::default());
    let judged = admitted.processed() as usize + admitted.rejections().len();
    assert_eq!(judged, taken + refused, "a record is lost on the way");
    let text = upload::answer(admitted.processed(), admitted.rejections());
    let answer: Answer = parsed(text.as_bytes());
    assert_eq!(answer.unprocessed.len(), admitted.rejections().len());
}

/// Only as far as JSON's grammar goes: half a surrogate pair is echoed as it was sent.
#[derive(Debug, Deserialize)]
struct Answer {
    unprocessed: Vec<Box<RawValue>>,
}

/// The first line is the query string, the rest the body. What is asked has a range of days in order.
pub(crate) fn question(input: &[u8]) {
    let (query, body) = split(input);
    if let Ok(asked) = export::decode(&query, body) {
        assert!(asked.from <= asked.to && (1..=5_000).contains(&asked.batch_size));
        if let Ok((from, until)) = asked.bounds(&TimeZone::UTC) {
            assert!(from < until);
        }
        drop(report::decode_top(&query, body));
        if let Ok(trends) = report::decode_trends(&query, body) {
            for (_, period) in &trends.groups {
                let starts = period.starts(trends.events.from, trends.events.to);
                assert!(starts.is_sorted() && starts.len() <= 366);
            }
        }
    } else {
        assert!(report::decode_top(&query, body).is_err());
    }
    let _cursor = export::cursor_of(&query, body);
}

/// Names of people in query strings and bodies; none of them is empty.
pub(crate) fn names(input: &[u8]) {
    let (query, body) = split(input);
    if let Ok(readings) = lookup::decode(&query) {
        assert!((1..=2).contains(&readings.len()));
        for lookup::Lookup::Identity(name)
        | lookup::Lookup::Email(name)
        | lookup::Lookup::ObjectId(name) in readings
        {
            assert!(!name.is_empty());
        }
    }
    if let Ok(names) = delete::decode(body) {
        assert!((1..=100).contains(&names.len()));
        assert!(names.iter().all(|(_, name)| !name.is_empty()));
    }
    drop(delete::decode_demerge(body));
    if let Ok((wishes, refused)) = subscription::decode_subscribe(body) {
        assert!(wishes.len() + refused.len() <= 1_000);
    }
    drop(subscription::decode_disassociate(body));
}

/// A cursor that was not made here is refused, and one that was opens only as it was made.
pub(crate) fn cursor(input: &[u8]) {
    let Ok(account) = "TEST-ACC-123Z".parse::<AccountId>() else {
        return;
    };
    let key = [7; 32];
    let text = String::from_utf8_lossy(input);
    let opened = Cursor::open(&key, CursorKind::Events, account, NOW, &text);
    assert_eq!(opened, Err(Refusal::IncorrectUsage));

    let body = r#"{"event_name":"x","from":20260701,"to":20260702}"#;
    let Ok(asked) = export::decode("", body.as_bytes()) else {
        return;
    };
    let mut bytes = Cursor::new(CursorKind::Events, account, asked, NOW)
        .seal(&key)
        .into_bytes();
    let mut changed = false;
    for pair in input.chunks_exact(2) {
        let place = usize::from(pair[0]) % bytes.len();
        changed |= bytes[place] != pair[1];
        bytes[place] = pair[1];
    }
    let text = String::from_utf8_lossy(&bytes);
    let opened = Cursor::open(&key, CursorKind::Events, account, NOW, &text);
    assert!(opened.is_ok() || changed);
}

fn split(input: &[u8]) -> (String, &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n');
    let (query, body) = match end {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, &[][..]),
    };
    (String::from_utf8_lossy(query).into_owned(), body)
}

fn parsed<T: serde::de::DeserializeOwned>(text: &[u8]) -> T {
    match serde_json::from_slice(text) {
        Ok(value) => value,
        Err(error) => unreachable!("what was taken is not JSON: {error}"),
    }
}
