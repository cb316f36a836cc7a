//! A commit is read as written or refused: never a prefix, never a panic.

use super::*;
use crate::batch::{Batch, Compressors, encode};
use model::record::{
    Change, ChangeOp, Event, Link, LinkKind, Outcome, Peer, Plane, ProfileChange, Quarantined,
    Record, RequestLine, Source,
};
use model::{AccountId, IdentityKind, PersonKey, RawJson, RecordId};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

const WRITER: WriterId = WriterId { node: 7, start: 3 };

/// One entry of each kind, with every field set.
fn samples() -> Vec<Entry> {
    let account: AccountId = "SHOP-1".parse().unwrap();
    let (id, person) = (RecordId([1; 16]), PersonKey([2; 16]));
    let (ts, received_at) = (
        Timestamp::from_ms(1_700_000_000_123),
        Timestamp::from_ms(-5),
    );
    let json = |text| RawJson::parse(text).unwrap();
    let records = [
        Record::Event(Event {
            id,
            person,
            name: "Charged".into(),
            ts,
            received_at,
            ts_sent: Some(ts),
            source: Source::Rest,
            session: Some(1_700_000_000),
            properties: json(r#"{"Amount":1.50,"Items":[1,"zwei",null]}"#),
            context: Some(json(r#"{"make":"Acme"}"#)),
        }),
        Record::ProfileChange(ProfileChange {
            id,
            person,
            ts,
            received_at,
            source: Source::Android,
            changes: vec![
                Change {
                    property: "Plan".into(),
                    op: ChangeOp::Put,
                    value: json("\"gold\""),
                },
                Change {
                    property: "Points".into(),
                    op: ChangeOp::Incr,
                    value: json("10"),
                },
            ],
        }),
        Record::Link(Link {
            id,
            from: person,
            to: PersonKey([3; 16]),
            ts,
            received_at,
            from_kind: IdentityKind::ObjectId,
            kind: LinkKind::Device,
        }),
        Record::Request(Box::new(RequestLine {
            id,
            at: ts,
            plane: Plane::Api,
            peer: Peer::Hashed {
                hash: [9; 8],
                network: "203.0.113.0/24".into(),
            },
            tls_version: "1.3".into(),
            method: "POST".into(),
            path: "/1/upload".into(),
            status: 200,
            outcome: Outcome::Answered,
            reason: "".into(),
            size_bytes: 12_345,
            accepted: 2,
            rejected: 1,
            duration_us: 1_500,
        })),
        Record::Quarantined(Box::new(Quarantined {
            id,
            received_at,
            source: Source::Web,
            person: None,
            code: 509,
            error: "no identity".into(),
            body: b"{\"type\":\"event\"}".to_vec(),
        })),
    ];
    records
        .into_iter()
        .map(|record| Entry { account, record })
        .collect()
}

/// The same, and events of which much has been said before them.
fn repeating() -> Vec<Entry> {
    let mut entries = samples();
    let texts = [
        r#"{"Amount":1.50,"Page":"https://shop.example/a","At":"top"}"#,
        r#"{"Amount":1.50,"Page":"https://shop.example/b","At":"top"}"#,
        r#"{"Amount":1.75,"Page":"https://shop.example/a","At":"to"}"#,
    ];
    for text in texts {
        let mut again = entries[0].clone();
        if let Record::Event(event) = &mut again.record {
            event.ts = Timestamp::from_seconds(1_700_000_000);
            event.properties = RawJson::parse(text).unwrap();
        }
        entries.push(again);
    }
    entries
}

/// The bytes of a commit of `entries`.
fn commit(number: u64, previous: u64, entries: &[Entry]) -> Vec<u8> {
    let batches: Vec<Batch> = encode(entries).unwrap();
    let plain_bytes: usize = batches.iter().map(|it| it.plain_bytes).sum();
    let body = Compressors::default().body(batches).unwrap().concat();
    let header = Header {
        version: VERSION,
        id: CommitId {
            writer: WRITER,
            number,
        },
        previous,
        previous_digest: if previous == 0 { [0; 32] } else { [5; 32] },
        written_at: Timestamp::from_ms(1_700_000_000_000),
        entries: small(entries.len()),
        plain_bytes: small(plain_bytes),
        body_bytes: small(body.len()),
    };
    signed([encode_header(&header), body].concat())
}

fn small(size: usize) -> u32 {
    u32::try_from(size).unwrap()
}

/// `bytes` with the digest that fits them.
fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
    let digest = *blake3::hash(&bytes).as_bytes();
    bytes.extend(digest);
    bytes
}

#[test]
fn a_commit_is_read_as_written() {
    let read = decode(&commit(9, 6, &samples())).unwrap();
    assert_eq!(read.entries, samples());
    assert_eq!(
        read.id,
        CommitId {
            writer: WRITER,
            number: 9
        }
    );
    assert_eq!(read.previous, 6);
}

fn golden(name: &str) -> PathBuf {
    Path::new("testdata").join(name)
}

#[test]
fn the_first_version_stays_readable() {
    let golden = std::fs::read(golden("commit-v1.bin")).unwrap();
    assert_eq!(decode(&golden).unwrap().entries, samples());
}

#[test]
fn the_second_version_stays_readable() {
    let golden = std::fs::read(golden("commit-v2.bin")).unwrap();
    assert_eq!(decode(&golden).unwrap().entries, samples());
}

#[test]
fn the_third_version_stays_readable() {
    let path = golden("commit-v3.bin");
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        std::fs::write(&path, commit(9, 6, &repeating())).unwrap();
    }
    let golden = std::fs::read(path).unwrap();
    assert_eq!(decode(&golden).unwrap().entries, repeating());
    // What is before the body does not depend on the compressor's version.
    assert_eq!(golden[..52], commit(9, 6, &repeating())[..52]);
}

#[test]
fn a_commit_that_is_cut_anywhere_is_refused() {
    let whole = commit(1, 0, &samples());
    for length in 0..whole.len() {
        assert!(decode(&whole[..length]).is_err(), "cut at {length}");
        // Even by somebody who makes the digest fit.
        if length < whole.len() - DIGEST_BYTES {
            assert!(
                decode(&signed(whole[..length].to_vec())).is_err(),
                "cut at {length}"
            );
        }
    }
    assert!(decode(&[whole, vec![0]].concat()).is_err());
}

#[test]
fn a_commit_with_any_flipped_bit_is_refused() {
    let whole = commit(1, 0, &samples());
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn large_batches_are_frames_of_their_own_and_keep_their_order() {
    let many: Vec<Entry> = samples().into_iter().cycle().take(2_000).collect();
    let compressors = Compressors::default();
    let mut batches = Vec::new();
    for entries in [
        &many[..3],
        &many[3..1_500],
        &many[1_500..1_510],
        &many[1_510..1_511],
    ] {
        let mut some = encode(entries).unwrap();
        some.iter_mut()
            .try_for_each(|batch| compressors.compress_large(batch))
            .unwrap();
        batches.append(&mut some);
    }
    let plain_bytes: usize = batches.iter().map(|it| it.plain_bytes).sum();
    let frames = compressors.body(batches).unwrap();
    // The run of small ones in the middle shares a frame; a large one has two of its own.
    assert_eq!(frames.len(), 4);
    let body = frames.concat();
    let header = Header {
        version: VERSION,
        id: CommitId {
            writer: WRITER,
            number: 1,
        },
        previous: 0,
        previous_digest: [0; 32],
        written_at: Timestamp::from_ms(0),
        entries: 1_511,
        plain_bytes: small(plain_bytes),
        body_bytes: small(body.len()),
    };
    assert_eq!(entries(&header, &body).unwrap(), many[..1_511]);
}

#[test]
fn entries_that_no_single_commit_can_hold_are_split() {
    let mut large = samples().pop().unwrap();
    if let Record::Quarantined(it) = &mut large.record {
        it.body = vec![7; limit::BODY_BYTES_MAX];
    }
    let batches = encode(&[large.clone(), samples().remove(0), large.clone()]).unwrap();
    let counts: Vec<u32> = batches.iter().map(|it| it.entries).collect();
    assert_eq!(counts, [1, 1, 1]);
    assert!(
        batches
            .iter()
            .all(|it| it.plain_bytes <= it.size_bytes && it.size_bytes <= ENTRY_BYTES_MAX)
    );
    if let Record::Quarantined(it) = &mut large.record {
        it.body = vec![7; ENTRY_BYTES_MAX];
    }
    assert!(encode(&[large]).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(decode(&bytes).is_err());
        for version in VERSION_POSTCARD..=VERSION {
            let version = version.to_le_bytes();
            let with_magic = [&MAGIC[..], &version[..], &[0; 2][..], &bytes[..]].concat();
            // Nearly always refused; never a panic.
            drop(decode(&signed(with_magic)));
        }
    }

    #[test]
    fn a_forged_body_never_panics(plain in proptest::collection::vec(any::<u8>(), 1..400),
                                  entries_said in 1_u32..500, more in 0_u32..3,
                                  version in VERSION_POSTCARD..=VERSION) {
        let body = zstd::bulk::compress(&plain, 1).unwrap();
        let header = Header {
            version,
            id: CommitId { writer: WRITER, number: 1 },
            previous: 0,
            previous_digest: [0; 32],
            written_at: Timestamp::from_ms(0),
            entries: entries_said,
            plain_bytes: small(plain.len()) + more,
            body_bytes: small(body.len()),
        };
        if let Ok(read) = decode(&signed([encode_header(&header), body].concat())) {
            prop_assert_eq!(read.entries.len(), entries_said as usize);
        }
    }
}
