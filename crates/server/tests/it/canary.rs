//! Marks that nothing the server writes may contain, whoever reads the disk.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::io::Read as _;
use std::path::Path;

use crate::harness::{Installation, files};

/// How a Parquet file begins: its magic, and the first byte of the first page's head. The magic alone
/// is found in keys and sealed bytes one day.
const PARQUET: &[u8] = b"PAR1\x15";

/// What every canary starts with.
pub(crate) const MARK: &str = "CANARYq7Zx";

/// A form of a mark, and its bytes.
type Needle = (&'static str, Vec<u8>);

pub(crate) fn canary(number: usize) -> String {
    format!("{MARK}{number:06}")
}

/// None of `marks` is in a file below the installation, in any form.
pub(crate) fn assert_none(room: &Installation, marks: &[&str], when: &str) {
    let needles: Vec<_> = marks.iter().flat_map(|mark| needles(mark)).collect();
    let mut searched = 0;
    for path in files(&room.root()) {
        let bytes = match std::fs::read(&path) {
            // The server removes files as well.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            read => read.unwrap(),
        };
        searched += bytes.len();
        assert_free(&path, &bytes, &needles, when);
        for unpacked in unpack(&bytes) {
            assert_free(&path, &unpacked, &needles, when);
        }
    }
    assert!(searched > 10_000, "only {searched} bytes were searched");
}

fn assert_free(path: &Path, bytes: &[u8], needles: &[Needle], when: &str) {
    for (form, needle) in needles {
        let found = memchr::memmem::find(bytes, needle).is_some();
        assert!(!found, "a canary, {form}, in {} ({when})", path.display());
    }
    let parquet = memchr::memmem::find(bytes, PARQUET).is_some();
    assert!(!parquet, "an unsealed part in {} ({when})", path.display());
}

/// The mark as text, as UTF-16, and in the three alignments of base64.
fn needles(mark: &str) -> Vec<Needle> {
    let wide = |order: fn(u16) -> [u8; 2]| mark.encode_utf16().flat_map(order).collect::<Vec<_>>();
    let mark = mark.as_bytes();
    let mut needles = vec![
        ("as text", mark.to_vec()),
        ("as UTF-16LE", wide(u16::to_le_bytes)),
        ("as UTF-16BE", wide(u16::to_be_bytes)),
    ];
    for shift in 0..3_usize {
        let padded = [&vec![0; shift][..], mark].concat();
        let encoded = STANDARD_NO_PAD.encode(&padded);
        // Only the characters that depend on nothing but the mark.
        let from = (shift * 8).div_ceil(6);
        let to = padded.len() * 8 / 6;
        needles.push(("in base64", encoded.as_bytes()[from..to].to_vec()));
    }
    needles
}

/// What can be decoded wherever the magic of zstd or gzip is found.
fn unpack(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut unpacked = Vec::new();
    let read = |mut reader: Box<dyn std::io::Read + '_>| {
        let mut out = Vec::new();
        // An error in the middle leaves what came before it, which is searched too.
        drop(reader.by_ref().take(16 << 20).read_to_end(&mut out));
        out
    };
    for at in memchr::memmem::find_iter(bytes, b"\x28\xb5\x2f\xfd") {
        if let Ok(decoder) = zstd::Decoder::new(&bytes[at..]) {
            unpacked.push(read(Box::new(decoder)));
        }
    }
    for at in memchr::memmem::find_iter(bytes, b"\x1f\x8b\x08") {
        unpacked.push(read(Box::new(flate2::read::GzDecoder::new(&bytes[at..]))));
    }
    unpacked
}
