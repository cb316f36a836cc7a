//! Names are read as they are written, and nothing else is a name.

use super::{ShardName, check_path};
use proptest::prelude::*;

fn name(path: &str) -> ShardName {
    ShardName {
        path: path.to_owned(),
        version: 0x12,
        write_id: [0xab; 16],
        length: 300,
        created_ms: 1_700_000_000_000,
        index: 5,
    }
}

#[test]
fn a_name_shows_path_version_write_length_time_and_index() {
    assert_eq!(
        name("journal/deadbeef-00000001/0000000000000001").encode(),
        "objects/journal/deadbeef-00000001/0000000000000001\
         ~12-abababababababababababababababab-12c-18bcfe56800-5"
    );
}

#[test]
fn other_files_are_not_names() {
    let good = name("a").encode();
    for bad in [
        "label".to_owned(),
        "objects/a".to_owned(),
        format!("{good}-1"),
        good.replace("objects/", "object/"),
        good.replace("~12", "~012"),
        good.replace("~12", "~+12"),
        good.replace("abab", "ABAB"),
        format!("{good}.tmp"),
    ] {
        assert_eq!(ShardName::decode(&bad), None, "{bad}");
    }
}

#[test]
fn paths_that_no_file_system_takes_are_refused() {
    check_path("lake/A/events/2026-01-01/0.parquet").unwrap();
    for bad in [
        String::new(),
        "a".repeat(151),
        format!("{}/a", "a".repeat(251)),
        "a/".into(),
    ] {
        check_path(&bad).unwrap_err();
    }
}

proptest! {
    #[test]
    fn names_are_read_as_they_are_written(path in "[^\0]{1,40}", version: u64, write_id: [u8; 16], length: u64, created_ms in 0..i64::MAX, index in 0_usize..32) {
        let name = ShardName { path, version, write_id, length, created_ms, index };
        prop_assert_eq!(ShardName::decode(&name.encode()), Some(name));
    }
}
