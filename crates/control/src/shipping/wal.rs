//! Finds the commit frames of `SQLite`'s write-ahead log.
//!
//! Only whole transactions are shipped, so somebody has to know where one ends. The log is a header
//! of 32 bytes and frames of 24 bytes and a page; a frame belongs to the log when it carries the
//! header's salts and a checksum that continues the frame before; it ends a transaction when it
//! says how large the database is. Everything is read, nothing is ever written.
//!
//! # Source
//! "Database File Format", section 4, at sqlite.org.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
const MAGIC_LITTLE: u32 = 0x377f_0682;
const MAGIC_BIG: u32 = 0x377f_0683;
const VERSION: u32 = 3_007_000;
const PAGE_BYTES_MAX: u32 = 65_536;

/// Follows one log file from its start.
#[derive(Debug)]
pub(crate) struct Follower {
    path: PathBuf,
    file: Option<File>,
    log: Option<Log>,
}

/// What the header says, and the last commit frame found.
#[derive(Debug, Clone, Copy)]
struct Log {
    big_endian: bool,
    page_bytes: usize,
    salts: [u8; 8],
    /// The checksum up to `end`.
    sum: (u32, u32),
    /// The first byte after the last commit frame; the header's end when there is none.
    end: u64,
}

impl Follower {
    /// Follows the log of the database at `database`.
    pub(crate) fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Self {
            path: PathBuf::from(path),
            file: None,
            log: None,
        }
    }

    /// Forgets what was read: the log has been emptied and starts anew.
    pub(crate) fn restart(&mut self) {
        self.log = None;
    }

    /// The length of the log file.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the file cannot be read.
    pub(crate) fn file_bytes(&mut self) -> Result<u64> {
        let Some(file) = open(&self.path, &mut self.file)? else {
            return Ok(0);
        };
        Ok(file
            .metadata()
            .map_err(Error::file("read", &self.path))?
            .len())
    }

    /// Reads on and returns where the last committed transaction ends: bytes from the file's start,
    /// 0 when there is none.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the file cannot be read;
    /// [`model::ErrorKind::Corrupt`] when its header is not a log's.
    pub(crate) fn advance(&mut self) -> Result<u64> {
        let Some(file) = open(&self.path, &mut self.file)? else {
            return Ok(0);
        };
        let failed = Error::file("read", &self.path);
        let size = match file.metadata() {
            Ok(found) => found.len(),
            Err(error) => return Err(failed(error)),
        };
        let mut log = match self.log {
            Some(log) => log,
            None if size < 32 => return Ok(0),
            None => read_header(file, &self.path)?,
        };
        let mut frame = vec![0; FRAME_HEADER_BYTES.saturating_add(log.page_bytes)];
        let frame_bytes = u64::try_from(frame.len()).unwrap_or(u64::MAX);
        let (mut at, mut sum) = (log.end, log.sum);
        while at.saturating_add(frame_bytes) <= size {
            file.read_exact_at(&mut frame, at)
                .map_err(Error::file("read", &self.path))?;
            let Some((next, commits)) = check_frame(&log, sum, &frame) else {
                break;
            };
            at = at.saturating_add(frame_bytes);
            sum = next;
            if commits {
                log.end = at;
                log.sum = sum;
            }
        }
        self.log = Some(log);
        Ok(if log.end > 32 { log.end } else { 0 })
    }

    /// The bytes of the log between two places.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the file cannot be read.
    pub(crate) fn read(&mut self, from: u64, to: u64) -> Result<Vec<u8>> {
        let length = usize::try_from(to.saturating_sub(from)).unwrap_or(0);
        let mut bytes = vec![0; length];
        if let Some(file) = open(&self.path, &mut self.file)? {
            file.read_exact_at(&mut bytes, from)
                .map_err(Error::file("read", &self.path))?;
        }
        Ok(bytes)
    }
}

fn open<'a>(path: &Path, slot: &'a mut Option<File>) -> Result<Option<&'a File>> {
    if slot.is_none() {
        match File::open(path) {
            Ok(file) => *slot = Some(file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::file("open", path)(error)),
        }
    }
    Ok(slot.as_ref())
}

fn read_header(file: &File, path: &Path) -> Result<Log> {
    let damaged = |reason: &str| Error::damaged(path.display().to_string(), reason);
    let mut header = [0; HEADER_BYTES];
    file.read_exact_at(&mut header, 0)
        .map_err(Error::file("read", path))?;
    let (words, _) = header.as_chunks::<4>();
    let [magic, version, page_bytes, _, salt1, salt2, sum1, sum2] = words else {
        return Err(damaged("its header is cut short"));
    };
    let big_endian = match u32::from_be_bytes(*magic) {
        MAGIC_LITTLE => false,
        MAGIC_BIG => true,
        _ => return Err(damaged("it is not a write-ahead log")),
    };
    let page_bytes = u32::from_be_bytes(*page_bytes);
    let legal = page_bytes.is_power_of_two() && (512..=PAGE_BYTES_MAX).contains(&page_bytes);
    if u32::from_be_bytes(*version) != VERSION || !legal {
        return Err(damaged("its version or page size is unknown"));
    }
    let (covered, _) = header.split_at(24);
    let sum = checksum(big_endian, (0, 0), covered);
    if sum != (u32::from_be_bytes(*sum1), u32::from_be_bytes(*sum2)) {
        return Err(damaged("its header's checksum does not match"));
    }
    let mut salts = [0; 8];
    salts.copy_from_slice([*salt1, *salt2].as_flattened());
    let page_bytes = usize::try_from(page_bytes).unwrap_or(0);
    Ok(Log {
        big_endian,
        page_bytes,
        salts,
        sum,
        end: 32,
    })
}

/// The checksum after the frame, and whether it ends a transaction; none when the frame is not part
/// of this log.
fn check_frame(log: &Log, sum: (u32, u32), frame: &[u8]) -> Option<((u32, u32), bool)> {
    let (head, page) = frame.split_first_chunk::<FRAME_HEADER_BYTES>()?;
    let (words, _) = head.as_chunks::<4>();
    let [_, pages_after, salt1, salt2, sum1, sum2] = words else {
        return None;
    };
    if [*salt1, *salt2].as_flattened() != log.salts {
        return None;
    }
    let (covered, _) = head.split_at(8);
    let sum = checksum(log.big_endian, sum, covered);
    let sum = checksum(log.big_endian, sum, page);
    if sum != (u32::from_be_bytes(*sum1), u32::from_be_bytes(*sum2)) {
        return None;
    }
    Some((sum, u32::from_be_bytes(*pages_after) != 0))
}

fn checksum(big_endian: bool, start: (u32, u32), bytes: &[u8]) -> (u32, u32) {
    let (pairs, _) = bytes.as_chunks::<8>();
    pairs.iter().fold(start, |(s0, s1), pair| {
        let [a, b, c, d, e, f, g, h] = *pair;
        let (x, y) = if big_endian {
            (
                u32::from_be_bytes([a, b, c, d]),
                u32::from_be_bytes([e, f, g, h]),
            )
        } else {
            (
                u32::from_le_bytes([a, b, c, d]),
                u32::from_le_bytes([e, f, g, h]),
            )
        };
        let s0 = s0.wrapping_add(x).wrapping_add(s1);
        (s0, s1.wrapping_add(y).wrapping_add(s0))
    })
}
