//! The first bytes of a connection, in every form. What they must not do, `fuzz` asserts of any bytes.

use proptest::prelude::*;

use crate::listen::hello::{BYTES, Hello, rest_of_record};

/// The start of a TLS record with a client hello in it (RFC 8446 §4.1.2 and §5.1).
fn hello(minor: u8, length: u16, handshake: [u8; 3], version: (u8, u8)) -> [u8; BYTES] {
    let [high, low] = length.to_be_bytes();
    let [a, b, c] = handshake;
    [22, 3, minor, high, low, 1, a, b, c, version.0, version.1]
}

#[test]
fn the_offered_version_is_read_from_the_first_bytes() {
    let hello = |minor: u8| [22, 3, 1, 0, 200, 1, 0, 0, 196, 3, minor];
    let cases: [([u8; BYTES], &str); 7] = [
        (hello(0), "ssl3"),
        (hello(1), "1.0"),
        (hello(2), "1.1"),
        (hello(3), "1.2"),
        // The first three bytes of a hello, and the head of the record with the rest.
        ([22, 3, 1, 0, 3, 1, 0, 1, 22, 3, 1], "unknown"),
        (*b"GET / HTTP/", ""),
        ([128, 46, 1, 0, 2, 0, 21, 0, 0, 0, 16], ""),
    ];
    for (bytes, version) in cases {
        assert_eq!(Hello::read(&bytes).version(), version, "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn a_hello_is_read_as_it_was_written(
        minor in any::<u8>(),
        // The shortest records and the oldest versions, as often as all others.
        length in prop_oneof![0_u16..9, any::<u16>()],
        handshake in any::<[u8; 3]>(),
        major in 2_u8..5,
        version in prop_oneof![0_u8..5, any::<u8>()],
    ) {
        let bytes = hello(minor, length, handshake, (major, version));
        let read = Hello::read(&bytes);
        // Of the shortest records the version stands in the next one.
        let is_told = !(1..=5).contains(&length);
        let expected = match (major, version) {
            _ if !is_told => "unknown",
            (3, 0) => "ssl3",
            (3, 1) => "1.0",
            (3, 2) => "1.1",
            (3, _) => "1.2",
            _ => "unknown",
        };
        prop_assert_eq!(read.version(), expected);
        prop_assert_eq!(read.is_too_old(), is_told && major == 3 && version < 3);
        // Six bytes of the record have been read, or all of it.
        prop_assert_eq!(rest_of_record(&bytes), u64::from(length.saturating_sub(6)));
    }

    #[test]
    fn what_begins_in_another_way_is_no_hello(
        minor in any::<u8>(),
        length in any::<u16>(),
        handshake in any::<[u8; 3]>(),
        version in any::<(u8, u8)>(),
        place in prop::sample::select(vec![0_usize, 1, 5]),
        by in 1_u8..,
    ) {
        let mut bytes = hello(minor, length, handshake, version);
        bytes[place] ^= by;
        let read = Hello::read(&bytes);
        prop_assert_eq!((read, read.version(), read.is_too_old()), (Hello::NotTls, "", false));
    }
}
