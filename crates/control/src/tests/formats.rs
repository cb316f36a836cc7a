//! Golden files of the byte formats, and what hostile bytes do to their readers.

use bytes::Bytes;
use model::{AccountId, KeyId, Random, Secret, SeededRandom};
use seal::Keyring;

use crate::keys::format as rows;
use crate::shipping::chunk::{self, Header, Kind, Point};

fn golden(name: &str, bytes: &[u8]) -> Vec<u8> {
    let path = format!("{}/testdata/{name}", env!("CARGO_MANIFEST_DIR"));
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
    let show = |changes: &[rows::Change]| -> Vec<String> {
        changes
            .iter()
            .map(|change| match change {
                rows::Change::Put(id, usage, secret) => {
                    format!("{id} {usage:?} {:?}", secret.expose())
                }
                rows::Change::Assign(id, path) => format!("{id} {path}"),
                rows::Change::Remove(id) => id.to_string(),
            })
            .collect()
    };
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
