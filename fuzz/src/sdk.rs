//! Decoders of the SDKs' dialects.

use model::record::Source;
use model::submission::Batch;
use wire::mobile_sdk;
use wire::web_sdk::{self, Message, Query};

/// Bytes that a message may unpack to: what the unpacker allows, in the longest encoding.
const UNPACKED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What unpacks is bounded, and unpacks to the same again.
pub(crate) fn packed(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let unpacked = web_sdk::decompress_from_base64(&text);
    assert!(
        unpacked
            .as_ref()
            .is_none_or(|it| it.len() <= UNPACKED_BYTES_MAX)
    );
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

/// A body gives no more records than it has elements, in order.
pub(crate) fn mobile(input: &[u8]) {
    let Ok(mobile_sdk::Body::Plain(upload)) = mobile_sdk::decode(input) else {
        return;
    };
    for source in [Source::Android, Source::Ios] {
        check(&upload.batch(source));
    }
    drop((upload.account(), upload.token(), upload.os()));
}

fn check(batch: &Batch<'_>) {
    let positions = batch.records.iter().map(|it| it.position);
    assert!(positions.is_sorted());
    assert!(batch.records.iter().all(|it| it.names.primary().is_some()));
}
