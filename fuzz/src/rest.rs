//! Decoders of the REST dialect.

use governance::{AccountRules, Announced, Arrival};
use jiff::tz::TimeZone;
use model::record::Source;
use model::submission::Batch;
use model::{AccountId, RecordId, Timestamp, limit};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::LazyLock;
use wire::rest::cursor::{Cursor, CursorKind};
use wire::rest::{Refusal, delete, export, lookup, report, subscription, upload};

const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

static RULES: LazyLock<AccountRules> = LazyLock::new(crate::stored::rules);

/// Whatever is taken is JSON by another reader's judgement too; every record is either taken or
/// refused, once, and as it is alone; the answer is JSON and echoes what was refused. What is kept is all of
/// the account that sent it.
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
    assert!(positions.len() <= limit::RECORDS_PER_UPLOAD_MAX);
    check_alone(&batch);

    let ids = |ordinal: u32| RecordId(u128::from(ordinal).to_be_bytes());
    let arrival = Arrival {
        source: Source::Rest,
        received_at: NOW,
        ids: &ids,
    };
    let admitted = governance::admit(&RULES, batch, &arrival, &Announced::default());
    let judged = admitted.processed() as usize + admitted.rejections().len();
    assert_eq!(judged, taken + refused, "a record is lost on the way");
    let mut entries = admitted.entries().iter();
    assert!(entries.all(|it| it.account == RULES.id));
    let text = upload::answer(admitted.processed(), admitted.rejections());
    let answer: Answer = parsed(text.as_bytes());
    assert_eq!(answer.unprocessed.len(), admitted.rejections().len());
}

/// What stood beside a record has nothing to do with what is made of it.
fn check_alone(batch: &Batch<'_>) {
    for record in &batch.records {
        decode_alone(record.text, |again| {
            let said = again.records.iter();
            let said: Vec<_> = said.map(|it| (&it.names, it.ts, &it.content)).collect();
            assert_eq!(said, [(&record.names, record.ts, &record.content)]);
        });
    }
    for rejection in &batch.rejections {
        decode_alone(rejection.record.as_str(), |again| {
            let said = again.rejections.iter();
            let said: Vec<_> = said.map(|it| (it.reason, &it.subject)).collect();
            assert_eq!(said, [(rejection.reason, &rejection.subject)]);
        });
    }
}

fn decode_alone(record: &str, check: impl Fn(&Batch<'_>)) {
    let body = format!("{{\"d\":[{record}]}}");
    match upload::decode(body.as_bytes()) {
        Ok(again) => check(&again),
        Err(refusal) => unreachable!("alone it is refused as {refusal:?}: {record}"),
    }
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
        let name_chars = asked.event_name.chars().count();
        assert!((1..=limit::EVENT_NAME_CHARS_MAX).contains(&name_chars));
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

/// Names of people in query strings and bodies; none of them is empty, and none that is to be deleted is
/// longer than a name can be.
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
    let is_name = |name: &str| (1..=limit::IDENTITY_BYTES_MAX).contains(&name.len());
    if let Ok(names) = delete::decode(body) {
        assert!((1..=100).contains(&names.len()));
        assert!(names.iter().all(|(_, name)| is_name(name)));
    }
    if let Ok(names) = delete::decode_demerge(body) {
        assert!((1..=100).contains(&names.len()));
        assert!(names.iter().all(|name| is_name(name)));
    }
    if let Ok((wishes, refused)) = subscription::decode_subscribe(body) {
        assert!(wishes.len() + refused.len() <= 1_000);
    }
    if let Ok((numbers, refused)) = subscription::decode_disassociate(body) {
        assert!(numbers.len() + refused.len() <= 1_000);
        let is_number = |it: &String| {
            let digits = it.strip_prefix('+').unwrap_or_default();
            !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit())
        };
        assert!(numbers.iter().all(is_number));
    }
}

/// A cursor that was not made here is refused, and one that was opens only as it was made, for its account,
/// its call and under its key.
pub(crate) fn cursor(input: &[u8]) {
    let ids = ["TEST-ACC-123Z", "TEST-ACC-124Z"].map(str::parse::<AccountId>);
    let [Ok(account), Ok(other)] = ids else {
        return;
    };
    let key = [7; 32];
    let text = String::from_utf8_lossy(input);
    let opened = Cursor::open(&key, CursorKind::Events, account, NOW, &text);
    assert_eq!(opened, Err(Refusal::IncorrectUsage));

    let body = r#"{"event_name":"x","from":20260701,"to":20260702}"#;
    let asked = export::decode("", input);
    let Ok(asked) = asked.or_else(|_| export::decode("", body.as_bytes())) else {
        return;
    };
    let made = Cursor::new(CursorKind::Events, account, asked, NOW);
    let sealed = made.seal(&key);
    let opened = Cursor::open(&key, CursorKind::Events, account, NOW, &sealed);
    assert_eq!(opened, Ok(made));
    for (key, kind, account) in [
        ([8; 32], CursorKind::Events, account),
        (key, CursorKind::Profiles, account),
        (key, CursorKind::Events, other),
    ] {
        let opened = Cursor::open(&key, kind, account, NOW, &sealed);
        assert_eq!(opened, Err(Refusal::IncorrectUsage));
    }

    let mut bytes = sealed.clone().into_bytes();
    for pair in input.chunks_exact(2) {
        let place = usize::from(pair[0]) % bytes.len();
        bytes[place] = pair[1];
    }
    let text = String::from_utf8_lossy(&bytes);
    let opened = Cursor::open(&key, CursorKind::Events, account, NOW, &text);
    assert_eq!(opened.is_ok(), *text == *sealed, "{text}");
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
