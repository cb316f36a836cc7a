//! Decoders of the SDKs' dialects.

use model::record::Source;
use model::submission::{Batch, Content, Submission};
use wire::mobile_sdk::{self, Hello};
use wire::web_sdk::{self, Message, Query, Subscription};

/// What unpacks is bounded, and unpacks to the same again.
pub(crate) fn packed(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let unpacked = web_sdk::decompress_from_base64(&text);
    let units = unpacked.as_ref().map_or(0, |it| it.encode_utf16().count());
    assert!(units <= web_sdk::UNITS_MAX);
    assert_eq!(unpacked, web_sdk::decompress_from_base64(&text));
}

/// The first line is the query string, the rest the message, unpacked. A message is at most two
/// records, each taken or refused.
pub(crate) fn web(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (query, text) = text.split_once('\n').unwrap_or((&text, ""));
    let Some(query) = Query::decode(query) else {
        return;
    };
    assert!(!query.remembers_discarded() || query.remembered.is_some());
    let Ok(message) = Message::decode(text) else {
        return;
    };
    drop(message.sealed());
    let device = message.device(&query).unwrap_or_else(|| Box::from("d"));
    assert!(!device.is_empty() && !device.ends_with(":OO"));
    let batch = message.batch(&query, &device);
    assert!(batch.records.len() + batch.rejections.len() <= 2);
    check(&batch);
}

/// What a body gives is of its elements, in order, and they are not more than may be. Written in one way,
/// it stays as it is.
pub(crate) fn mobile(input: &[u8]) {
    let text = std::str::from_utf8(input).ok();
    if let Some(written) = text.and_then(wire::canonical) {
        assert_eq!(wire::canonical(&written).as_ref(), Some(&written));
    }
    let Ok(mobile_sdk::Body::Plain(upload)) = mobile_sdk::decode(input) else {
        return;
    };
    for source in [Source::Android, Source::Ios] {
        let batch = upload.batch(source);
        check(&batch);
        let taken = batch.records.iter().map(|it| it.position);
        let mut all = taken.chain(batch.rejections.iter().map(|it| it.position));
        assert!(all.all(|it| (1..=mobile_sdk::ITEMS_MAX).contains(&(it as usize))));
    }
    drop((upload.account(), upload.token(), upload.os()));
}

/// What phones say in the query string of `/hello`, and pages in that of `/e`: it is the same when each
/// byte of it is encoded, and who asks about subscriptions sends what a message needs.
pub(crate) fn query(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let hello = Hello::decode(&text);
    let mut again = String::new();
    for (key, value) in [("z", &hello.account), ("os", &hello.os)] {
        if let Some(value) = value {
            for part in ["&", key, "="] {
                again.push_str(part);
            }
            again.extend(value.bytes().map(|byte| format!("%{byte:02x}")));
        }
    }
    assert_eq!(Hello::decode(&again), hello);
    if let Some((_, data)) = Subscription::decode(&text) {
        assert!(!data.is_empty());
        let message = Query::decode(&text).map(|it| it.data);
        assert_eq!(message, Some(data));
    }
}

/// What was refused is kept so that it is read again as what it was. The first line is a query string, the
/// rest a browser's message, a phone's body, or what was kept of either.
pub(crate) fn kept(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (query, text) = text.split_once('\n').unwrap_or(("", &text));
    if let Ok(batch) = web_sdk::reread(text) {
        assert!(batch.records.len() + batch.rejections.len() <= 2);
        check(&batch);
    }
    // White space around a message is no part of it.
    let message = text.trim_matches([' ', '\n', '\r', '\t']);
    kept_of_browser(query, message);
    kept_of_phone(text.as_bytes());
}

fn kept_of_browser(query: &str, text: &str) {
    let (Some(query), Ok(message)) = (Query::decode(query), Message::decode(text)) else {
        return;
    };
    let kept = web_sdk::keep(text, &query, "d");
    assert_eq!(web_sdk::reread(&kept), Ok(message.batch(&query, "d")));
}

fn kept_of_phone(body: &[u8]) {
    let Ok(mobile_sdk::Body::Plain(upload)) = mobile_sdk::decode(body) else {
        return;
    };
    let meta = upload.kept_meta(&upload.device());
    for record in &upload.batch(Source::Android).records {
        let kept = mobile_sdk::keep(record.text, &meta);
        let Ok(mobile_sdk::Body::Plain(again)) = mobile_sdk::decode(kept.as_bytes()) else {
            unreachable!("what is kept cannot be read: {kept}");
        };
        let again = again.batch(Source::Android);
        let is_same = |it: &Submission<'_>| {
            it.ts == record.ts && it.names == record.names && it.content == record.content
        };
        // Of what an app says when it starts, ids for advertising are left out.
        let is_whole = kept.ends_with(&format!("{}]", record.text));
        if is_whole && matches!(record.content, Content::Event { .. }) {
            assert!(again.records.iter().any(is_same), "{kept}");
        }
    }
}

fn check(batch: &Batch<'_>) {
    let positions = batch.records.iter().map(|it| it.position);
    assert!(positions.is_sorted());
    assert!(batch.records.iter().all(|it| it.names.primary().is_some()));
}
