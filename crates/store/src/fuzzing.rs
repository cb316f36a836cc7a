//! The laws of this crate's decoders, for whoever feeds them bytes: `fuzz`, which cannot see their
//! types. Each function panics when a law is broken. The bytes on a volume are authenticated before
//! they are decoded; the decoders must hold all the same.

use model::Secret;

use crate::volume::{Header, Label, LabelKey, Reading, ShardKey, ShardName, check_whole};

const KEY: [u8; 32] = [3; 32];
const STORE: [u8; 16] = [5; 16];

/// Bytes where a label should be: without the right check they are nobody's label, and with it a label
/// that is read says the same when it is written and read again.
///
/// # Panics
/// When that is not so.
pub fn label(input: &[u8]) {
    let key = LabelKey::new(Secret::new(KEY), STORE);
    read_again(&key, input);
    let mut whole = input.to_vec();
    whole.extend_from_slice(blake3::keyed_hash(&KEY, input).as_bytes());
    read_again(&key, &whole);
    let stranger = LabelKey::new(Secret::new([4; 32]), STORE);
    let is_theirs = matches!(Label::read(&stranger, &whole), Reading::Ours(_));
    assert!(!is_theirs, "a label opens under another key");
}

fn read_again(key: &LabelKey, bytes: &[u8]) {
    if let Reading::Ours(label) = Label::read(key, bytes) {
        let again = Label::read(key, &label.encode(key));
        assert_eq!(again, Reading::Ours(label), "a label changes when written");
    }
}

/// A shard's bytes, and its header: one that is read says the same when it is written and read again,
/// and a shard is whole only with every piece's check.
///
/// # Panics
/// When that is not so.
pub fn shard(input: &[u8]) {
    let keys = ShardKey::new(Secret::new(KEY), STORE);
    let mut whole = input.to_vec();
    whole.extend_from_slice(blake3::keyed_hash(&KEY, input).as_bytes());
    for bytes in [input, &whole] {
        let at_start = Header::at_start(&keys, bytes);
        let Some((index, header, _)) = Header::decode(&keys, bytes) else {
            continue;
        };
        assert_eq!(at_start, Some((index, header.geometry)));
        let (written, written_check) = header.encode(&keys, index);
        let again = Header::decode(&keys, &written);
        assert_eq!(again, Some((index, header.clone(), written_check)));
        let name = ShardName {
            path: header.path.clone(),
            version: header.version,
            write_id: header.write_id,
            length: header.length,
            created_ms: header.created_ms,
            index,
        };
        let is_whole = check_whole(&keys, &name, bytes).is_ok();
        let is_empty = header
            .layout()
            .is_ok_and(|layout| layout.body_bytes(index) == 0);
        assert!(!is_whole || is_empty, "a shard without its pieces is whole");
    }
    if let Ok(text) = std::str::from_utf8(input)
        && let Some(name) = ShardName::decode(text)
    {
        assert_eq!(ShardName::decode(&name.encode()), Some(name));
    }
}
