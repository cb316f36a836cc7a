//! Golden files of the byte formats, and what hostile bytes do to their readers.

use bytes::Bytes;
use model::{AccountId, KeyId, Random, Secret, SeededRandom};
use proptest::prelude::*;
use seal::Keyring;

use crate::keys::format as rows;
use crate::shipping::chunk::{self, Header, Kind, Point};

fn golden(name: &str, bytes: &[u8]) -> Vec<u8> {
    let path = format!("testdata/{name}");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, bytes).unwrap();
    }
    std::fs::read(&path).unwrap()
}

fn header() -> Header {
    Header {
        kind: Kind::Log,
        generation: 3,
        number: 7,
        previous: [9; 32],
        point: Point {
            sequence: 41,
            tag: [5; 16],
        },
        offset: 4_152,
    }
}

#[test]
fn the_first_version_of_shipped_control_pieces_is_still_read() {
    let (bytes, digest) = chunk::encode(&header(), b"pages and frames");
    let stored = golden("control-piece-v1.bin", &bytes);
    assert_eq!(stored, bytes);
    let read = chunk::decode(&Bytes::from(stored), 3, 7).unwrap();
    assert_eq!(read.header, header());
    assert_eq!(
        (read.body.as_ref(), read.digest),
        (&b"pages and frames"[..], digest)
    );
}

#[test]
fn no_changed_control_piece_is_read() {
    let (bytes, _) = chunk::encode(&header(), b"pages and frames");
    for place in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[place] ^= 1;
        assert!(
            chunk::decode(&Bytes::from(changed), 3, 7).is_err(),
            "byte {place}"
        );
        let cut = bytes.slice(..place);
        assert!(chunk::decode(&cut, 3, 7).is_err(), "cut at {place}");
    }
    assert!(chunk::decode(&bytes, 3, 8).is_err());
    assert!(chunk::decode(&bytes, 2, 7).is_err());
}

fn place() -> rows::Place {
    rows::Place {
        generation: 2,
        number: 5,
        previous: [7; 32],
    }
}

fn changes() -> Vec<rows::Change> {
    let secret = |byte: u8| Secret::new([byte; 32]);
    let account: AccountId = "4RW-Z6Z-485Z".parse().unwrap();
    let path = Box::from("lake/A/events/mixed/1.parquet");
    vec![
        rows::Change::Put(KeyId([1; 16]), rows::Use::Object(None), secret(11)),
        rows::Change::Put(KeyId([2; 16]), rows::Use::Object(Some(path)), secret(12)),
        rows::Change::Put(
            KeyId([3; 16]),
            rows::Use::Journal {
                sequence: 4,
                hour: 500_000,
            },
            secret(13),
        ),
        rows::Change::Put(KeyId([4; 16]), rows::Use::Person(account), secret(14)),
        rows::Change::Assign(KeyId([1; 16]), Box::from("lake/B")),
        rows::Change::Remove(KeyId([2; 16])),
    ]
}

/// All that changes say, in order.
fn show(changes: &[rows::Change]) -> Vec<String> {
    let show = |change: &rows::Change| match change {
        rows::Change::Put(id, usage, secret) => format!("{id} {usage:?} {:?}", secret.expose()),
        rows::Change::Assign(id, path) => format!("{id} {path}"),
        rows::Change::Remove(id) => id.to_string(),
    };
    changes.iter().map(show).collect()
}

#[test]
fn the_first_version_of_key_table_pieces_is_still_read() {
    let random = SeededRandom::new(80);
    let keyring = Keyring::create(&random);
    let (bytes, digest) = rows::encode(
        rows::Kind::Increment,
        place(),
        &changes(),
        &keyring,
        &random,
    )
    .unwrap();
    let stored = golden("key-table-v1.bin", &bytes);
    let read = rows::decode(&stored, place(), &keyring).unwrap();
    assert_eq!((read.kind, read.digest), (rows::Kind::Increment, digest));
    assert_eq!(show(&read.changes), show(&changes()));
    assert!(
        !stored.windows(16).any(|window| window == [11; 16]),
        "keys are sealed"
    );
}

#[test]
fn no_changed_key_table_piece_is_read() {
    let random = SeededRandom::new(81);
    let keyring = Keyring::create(&random);
    let (bytes, _) = rows::encode(
        rows::Kind::Increment,
        place(),
        &changes(),
        &keyring,
        &random,
    )
    .unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(
            rows::decode(&changed, place(), &keyring).is_err(),
            "byte {at}"
        );
        assert!(
            rows::decode(&bytes[..at], place(), &keyring).is_err(),
            "cut at {at}"
        );
    }
    let stranger = Keyring::create(&SeededRandom::new(random.number()));
    assert!(rows::decode(&bytes, place(), &stranger).is_err());
}

fn any_header() -> impl Strategy<Value = Header> {
    let kinds = [Kind::SnapshotPiece, Kind::SnapshotEnd, Kind::Log];
    let numbers = any::<[u64; 4]>();
    let bytes = any::<([u8; 32], [u8; 16])>();
    (prop::sample::select(kinds.to_vec()), numbers, bytes).prop_map(
        |(kind, [generation, number, sequence, offset], (previous, tag))| Header {
            kind,
            generation,
            number,
            previous,
            point: Point { sequence, tag },
            offset,
        },
    )
}

fn any_change() -> impl Strategy<Value = rows::Change> {
    let path = "[a-z0-9/.\u{e9}-]{1,40}";
    let usage = prop_oneof![
        Just(rows::Use::Object(None)),
        path.prop_map(|path| rows::Use::Object(Some(path.into()))),
        any::<(u64, i64)>().prop_map(|(sequence, hour)| rows::Use::Journal { sequence, hour }),
        "[A-Z0-9-]{1,16}".prop_map(|account| rows::Use::Person(account.parse().unwrap())),
    ];
    let id = || any::<[u8; 16]>().prop_map(KeyId);
    prop_oneof![
        (id(), usage, any::<[u8; 32]>()).prop_map(|(id, usage, key)| rows::Change::Put(
            id,
            usage,
            Secret::new(key)
        )),
        (id(), path).prop_map(|(id, path)| rows::Change::Assign(id, path.into())),
        id().prop_map(rows::Change::Remove),
    ]
}

/// A place in an object, and what is done to the byte there.
fn any_fault() -> impl Strategy<Value = (prop::sample::Index, u8)> {
    (any::<prop::sample::Index>(), 1_u8..)
}

proptest! {
    #[test]
    fn every_control_piece_is_read_as_it_was_written_at_its_place_alone(
        header in any_header(),
        body in prop::collection::vec(any::<u8>(), 0..400),
        elsewhere in any::<(u64, u64)>(),
        (at, by) in any_fault(),
    ) {
        let (bytes, digest) = chunk::encode(&header, &body);
        let (generation, number) = (header.generation, header.number);
        let read = chunk::decode(&bytes, generation, number).unwrap();
        prop_assert_eq!((read.header, &read.body[..], read.digest), (header, &body[..], digest));
        if elsewhere != (generation, number) {
            prop_assert!(chunk::decode(&bytes, elsewhere.0, elsewhere.1).is_err());
        }
        let at = at.index(bytes.len());
        let mut changed = bytes.to_vec();
        changed[at] ^= by;
        prop_assert!(chunk::decode(&Bytes::from(changed), generation, number).is_err());
        prop_assert!(chunk::decode(&bytes.slice(..at), generation, number).is_err());
    }

    #[test]
    fn every_key_table_piece_is_read_as_it_was_written_at_its_place_under_its_keyring_alone(
        is_snapshot in any::<bool>(),
        at_place in any::<(u64, u64, [u8; 32])>(),
        elsewhere in any::<(u64, u64, [u8; 32])>(),
        changes in prop::collection::vec(any_change(), 0..12),
        seed in 1_u64..,
        (at, by) in any_fault(),
    ) {
        let place = |(generation, number, previous)| rows::Place { generation, number, previous };
        let kind = if is_snapshot { rows::Kind::Snapshot } else { rows::Kind::Increment };
        let random = SeededRandom::new(seed);
        let keyring = Keyring::create(&random);
        let here = place(at_place);
        let (bytes, digest) = rows::encode(kind, here, &changes, &keyring, &random).unwrap();
        let read = rows::decode(&bytes, here, &keyring).unwrap();
        prop_assert_eq!((read.kind, read.digest), (kind, digest));
        prop_assert_eq!(show(&read.changes), show(&changes));
        // Keys of an epoch that is over open what was sealed in it.
        let later = keyring.with_new_epoch(&random);
        prop_assert_eq!(show(&rows::decode(&bytes, here, &later).unwrap().changes), show(&changes));
        prop_assert!(rows::decode(&bytes, here, &later.without_old_epochs()).is_err());
        if elsewhere != at_place {
            prop_assert!(rows::decode(&bytes, place(elsewhere), &keyring).is_err());
        }
        let at = at.index(bytes.len());
        let mut changed = bytes.clone();
        changed[at] ^= by;
        prop_assert!(rows::decode(&changed, here, &keyring).is_err());
        prop_assert!(rows::decode(&bytes[..at], here, &keyring).is_err());
    }
}
