//! Reading a body: never more than the limit, counted before and after decompression.
//!
//! One encoding at most is undone, piece by piece, into a buffer that cannot grow past the limit;
//! a stream that unpacks out of proportion ends early. The bodies of a plane that are in memory share
//! one budget, of which an account has a part, and those of senders that are not known a small one of
//! their own.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use model::{AccountId, limit};
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::upload::UNDECODABLE_BYTES_KEPT_MAX;
use crate::{Facts, Refusal};

/// Bytes of all bodies of one plane that are in memory at a time: what comes to the one, where a token
/// that every app shows is enough, takes nothing from the other.
const PLANE_BYTES_MAX: usize = 96 * 1024 * 1024;
/// Bytes of those of one account. The largest body, and as much again to unpack or decrypt it, must fit.
const ACCOUNT_BYTES_MAX: usize = 48 * 1024 * 1024;
/// Bytes of those whose senders are not known: they take nothing from the others.
const STRANGERS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes that are made room for because they are announced, before as many have come.
const ANNOUNCED_BYTES_MAX: usize = 1024 * 1024;
/// How many times its own size a compressed body may unpack to, once past the floor.
const EXPANSION_MAX: usize = 250;
/// Bytes that any body may unpack to, however small it is.
const EXPANSION_FLOOR_BYTES: usize = 1024 * 1024;

/// A body as it was read.
#[derive(Debug)]
pub struct Received {
    /// The body, decompressed.
    pub bytes: Bytes,
    /// Its size as it came.
    pub size_bytes: u64,
    /// Its share of the memory; given back on drop.
    charge: Charge,
}

impl Received {
    /// The body in another form, which takes at most as much memory: `open` is given its bytes.
    ///
    /// # Errors
    /// [`Refusal::Busy`] when there is no memory for both forms; what `open` says.
    pub(crate) fn unwrapped(
        mut self,
        open: impl FnOnce(&Bytes) -> Result<Vec<u8>, Refusal>,
    ) -> Result<Self, (Self, Refusal)> {
        let both = self.bytes.len().saturating_mul(2);
        if let Err(refusal) = self.charge.hold(both) {
            return Err((self, refusal));
        }
        match open(&self.bytes) {
            Ok(bytes) => {
                self.bytes = bytes.into();
                Ok(self)
            }
            Err(refusal) => Err((self, refusal)),
        }
    }
}

/// A body that was not taken.
#[derive(Debug)]
pub(crate) struct NotTaken {
    /// Why.
    pub(crate) refusal: Refusal,
    /// Bytes that had been read.
    pub(crate) size_bytes: u64,
    /// What came of it does not unpack, whatever it is refused for.
    pub(crate) is_malformed: bool,
    /// Of a body that is malformed or too large, as it came, what is kept for review.
    pub(crate) kept: Bytes,
}

impl NotTaken {
    fn new(refusal: Refusal, size: usize) -> Self {
        Self {
            refusal,
            size_bytes: size as u64,
            is_malformed: refusal == Refusal::Malformed,
            kept: Bytes::new(),
        }
    }

    /// Reads what is too large on to its end, as [`drain`] does, and completes what is kept of it.
    pub(crate) async fn drain(&mut self, body: Body) {
        let mut raw = Raw {
            kept: std::mem::take(&mut self.kept).into(),
            is_broken: false,
        };
        self.size_bytes = drain(body, self.size_bytes, |data| raw.keep(data)).await;
        self.kept = raw.kept.into();
    }

    /// Refuses a stranger's without a word.
    pub(crate) fn in_silence(&self) -> Response {
        self.refusal.in_silence(Facts {
            size_bytes: self.size_bytes,
            ..Facts::default()
        })
    }
}

/// The memory that bodies share. A cheap handle.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bytes_max: usize,
    held: Mutex<Held>,
}

/// What is in memory now.
#[derive(Debug, Default)]
struct Held {
    bytes: usize,
    /// How much of it is whose, of the accounts that hold any.
    of_accounts: HashMap<AccountId, usize>,
}

impl Budget {
    /// For bodies of known senders on one plane.
    pub(crate) fn of_plane() -> Self {
        Self::of(PLANE_BYTES_MAX)
    }

    /// For bodies of all others.
    pub(crate) fn of_strangers() -> Self {
        Self::of(STRANGERS_BYTES_MAX)
    }

    fn of(bytes_max: usize) -> Self {
        Self(Arc::new(Inner {
            bytes_max,
            held: Mutex::default(),
        }))
    }

    /// What a body of an account is charged to.
    pub(crate) fn for_account(&self, account: AccountId) -> Charge {
        self.charge(Some(account))
    }

    /// What a body of nobody's is charged to.
    pub(crate) fn for_stranger(&self) -> Charge {
        self.charge(None)
    }

    fn charge(&self, account: Option<AccountId>) -> Charge {
        Charge {
            budget: self.clone(),
            account,
            bytes: 0,
        }
    }

    /// Bytes that are held now.
    #[must_use]
    pub fn bytes_held(&self) -> usize {
        self.held().bytes
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Takes `more` bytes for an account, or for nobody; nothing when there is no room.
    fn take(
        &mut self,
        account: Option<AccountId>,
        more: usize,
        bytes_max: usize,
    ) -> Result<(), Refusal> {
        let bytes = self.bytes.saturating_add(more);
        if bytes > bytes_max {
            return Err(Refusal::Busy);
        }
        if let Some(account) = account {
            let before = self.of_accounts.get(&account).copied().unwrap_or_default();
            let of_account = before.saturating_add(more);
            if of_account > ACCOUNT_BYTES_MAX {
                return Err(Refusal::Busy);
            }
            self.of_accounts.insert(account, of_account);
        }
        self.bytes = bytes;
        Ok(())
    }

    fn give_back(&mut self, account: Option<AccountId>, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        let Some(account) = account else {
            return;
        };
        if let Some(of_account) = self.of_accounts.get_mut(&account) {
            *of_account = of_account.saturating_sub(bytes);
            if *of_account == 0 {
                self.of_accounts.remove(&account);
            }
        }
    }
}

/// The memory of one body; given back on drop.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Budget,
    /// Whose it is; none of a sender that is not known.
    account: Option<AccountId>,
    bytes: usize,
}

impl Charge {
    /// Takes as much as is needed to hold `bytes` in all.
    fn hold(&mut self, bytes: usize) -> Result<(), Refusal> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let bytes_max = self.budget.0.bytes_max;
        self.budget.held().take(self.account, more, bytes_max)?;
        self.bytes = self.bytes.saturating_add(more);
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.held().give_back(self.account, self.bytes);
        }
    }
}

/// Reads a body of at most `bytes_max` bytes, as it comes and unpacked. What is left of a body that is
/// not taken can still be read.
///
/// # Errors
/// [`Refusal::TooLarge`], [`Refusal::UnsupportedEncoding`], [`Refusal::Malformed`] (it does not
/// unpack: it is read to its end all the same), [`Refusal::Busy`] (the memory that it is charged to is
/// in use) and [`Refusal::Broken`] (it did not come to its end).
pub(crate) async fn read(
    headers: &HeaderMap,
    body: &mut Body,
    bytes_max: usize,
    mut charge: Charge,
) -> Result<Received, NotTaken> {
    let mut size = 0_usize;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > bytes_max {
        return Err(NotTaken::new(Refusal::TooLarge, 0));
    }
    let encoding = Encoding::of(headers).map_err(|refusal| NotTaken::new(refusal, 0))?;
    let mut raw = Raw::default();
    let mut sink = Sink::new(encoding, bytes_max);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| NotTaken::new(cause(&error), size))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        size = size.saturating_add(data.len());
        if size > bytes_max {
            raw.keep(sink.as_it_came());
            raw.keep(&data);
            return Err(raw.refuse(Refusal::TooLarge, size));
        }
        if encoding != Encoding::Identity {
            raw.keep(&data);
        }
        let held = if raw.is_broken {
            Ok(0)
        } else {
            sink.push(data, size, announced)
        };
        let held = match held {
            Err(Refusal::Malformed) => {
                raw.is_broken = true;
                Ok(0)
            }
            held => held,
        };
        held.and_then(|held| charge.hold(held.saturating_add(raw.kept.len())))
            .map_err(|refusal| raw.refuse(refusal, size))?;
        if encoding != Encoding::Identity {
            // A small piece may unpack to much: others have their turn before the next one.
            tokio::task::yield_now().await;
        }
    }
    let finished = if raw.is_broken {
        Err(Refusal::Malformed)
    } else {
        sink.finish(size)
    };
    let bytes = finished.map_err(|refusal| NotTaken {
        kept: raw.kept.into(),
        ..NotTaken::new(refusal, size)
    })?;
    charge
        .hold(bytes.len())
        .map_err(|refusal| NotTaken::new(refusal, size))?;
    Ok(Received {
        bytes,
        size_bytes: size as u64,
        charge,
    })
}

/// A body as it comes.
#[derive(Debug, Default)]
struct Raw {
    /// The first of it, for review.
    kept: Vec<u8>,
    /// It does not unpack.
    is_broken: bool,
}

impl Raw {
    fn keep(&mut self, data: &[u8]) {
        let room = UNDECODABLE_BYTES_KEPT_MAX.saturating_sub(self.kept.len());
        let more = data.get(..room).unwrap_or(data);
        self.kept.extend_from_slice(more);
    }

    fn refuse(&mut self, refusal: Refusal, size: usize) -> NotTaken {
        NotTaken {
            is_malformed: self.is_broken,
            kept: std::mem::take(&mut self.kept).into(),
            ..NotTaken::new(refusal, size)
        }
    }
}

/// What a body of these headers unpacks to that comes in pieces of `piece` bytes; for the laws of `fuzz`.
///
/// # Errors
/// As [`read`], but for memory and the body's own size.
pub(crate) fn unpacked(
    headers: &HeaderMap,
    body: &[u8],
    piece: usize,
    bytes_max: usize,
) -> Result<Bytes, Refusal> {
    let mut sink = Sink::new(Encoding::of(headers)?, bytes_max);
    let mut size = 0_usize;
    for data in body.chunks(piece.max(1)) {
        size = size.saturating_add(data.len());
        sink.push(Bytes::copy_from_slice(data), size, body.len())?;
    }
    sink.finish(size)
}

/// Whether a body of these headers is in an encoding that is undone here, or in none.
pub(crate) fn is_readable(headers: &HeaderMap) -> bool {
    Encoding::of(headers).is_ok()
}

/// Says that a body did not come in time: among the causes of the error that ends it.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the body came too slowly")]
pub struct TooSlow;

/// Why a body did not come to its end.
fn cause(error: &axum::Error) -> Refusal {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<TooSlow>() {
            return Refusal::TooSlow;
        }
        cause = error.source();
    }
    Refusal::Broken
}

/// Reads a body of which `size_bytes` have come on to its end, so that the answer reaches whoever is still
/// sending; `see` is shown each piece. Stops at the limit; how much came in all.
pub(crate) async fn drain(
    mut body: Body,
    mut size_bytes: u64,
    mut see: impl FnMut(&[u8]) + Send,
) -> u64 {
    while size_bytes <= limit::BODY_BYTES_MAX as u64 {
        let Some(Ok(frame)) = body.frame().await else {
            break;
        };
        if let Some(data) = frame.data_ref() {
            see(data);
            size_bytes = size_bytes.saturating_add(data.len() as u64);
        }
    }
    size_bytes
}

/// The one encoding of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    /// What HTTP calls `deflate`: a zlib stream.
    Deflate,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let Some(value) = values.next() else {
            return Ok(Self::Identity);
        };
        if values.next().is_some() {
            return Err(Refusal::UnsupportedEncoding);
        }
        let value = value.as_bytes().trim_ascii();
        let is = |name: &str| value.eq_ignore_ascii_case(name.as_bytes());
        if is("identity") || value.is_empty() {
            Ok(Self::Identity)
        } else if is("gzip") || is("x-gzip") {
            Ok(Self::Gzip)
        } else if is("deflate") {
            Ok(Self::Deflate)
        } else {
            Err(Refusal::UnsupportedEncoding)
        }
    }
}

/// Where the pieces of a body go.
enum Sink {
    /// Nothing yet, or one piece, which needs no copy.
    Whole(Bytes),
    Pieces(Vec<u8>),
    Gzip(MultiGzDecoder<Bounded>),
    Deflate(ZlibDecoder<Bounded>),
}

impl Sink {
    fn new(encoding: Encoding, bytes_max: usize) -> Self {
        let bounded = Bounded {
            bytes: Vec::new(),
            bytes_max,
            allowed: bytes_max,
            is_full: false,
        };
        match encoding {
            Encoding::Identity => Self::Whole(Bytes::new()),
            Encoding::Gzip => Self::Gzip(MultiGzDecoder::new(bounded)),
            Encoding::Deflate => Self::Deflate(ZlibDecoder::new(bounded)),
        }
    }

    /// Takes a piece; how many bytes of memory are held now. `size` is all that has come so far.
    fn push(&mut self, data: Bytes, size: usize, announced: usize) -> Result<usize, Refusal> {
        match self {
            Self::Whole(first) if first.is_empty() => *self = Self::Whole(data),
            Self::Whole(first) => {
                let room = room(first.len().saturating_add(data.len()), announced);
                let mut pieces = Vec::with_capacity(room);
                pieces.extend_from_slice(first);
                pieces.extend_from_slice(&data);
                *self = Self::Pieces(pieces);
            }
            Self::Pieces(pieces) => {
                let length = pieces.len().saturating_add(data.len());
                if length > pieces.capacity() {
                    let more = room(length, announced).saturating_sub(pieces.len());
                    pieces.reserve_exact(more);
                }
                pieces.extend_from_slice(&data);
            }
            Self::Gzip(decoder) => {
                decoder.get_mut().allow(size);
                let written = decoder.write_all(&data);
                written.map_err(|_| decoder.get_ref().refusal())?;
            }
            Self::Deflate(decoder) => {
                decoder.get_mut().allow(size);
                let written = decoder.write_all(&data);
                written.map_err(|_| decoder.get_ref().refusal())?;
            }
        }
        Ok(match self {
            Self::Whole(bytes) => bytes.len(),
            // What has only been made room for is not in memory.
            Self::Pieces(bytes) => bytes.len(),
            Self::Gzip(decoder) => decoder.get_ref().bytes.capacity(),
            Self::Deflate(decoder) => decoder.get_ref().bytes.capacity(),
        })
    }

    /// What has come so far, where nothing is to be unpacked.
    fn as_it_came(&self) -> &[u8] {
        match self {
            Self::Whole(bytes) => bytes,
            Self::Pieces(bytes) => bytes,
            Self::Gzip(_) | Self::Deflate(_) => &[],
        }
    }

    fn finish(self, size: usize) -> Result<Bytes, Refusal> {
        match self {
            Self::Whole(bytes) => Ok(bytes),
            Self::Pieces(bytes) => Ok(bytes.into()),
            Self::Gzip(_) | Self::Deflate(_) if size == 0 => Err(Refusal::Malformed),
            Self::Gzip(mut decoder) => {
                let ended = decoder.try_finish();
                ended.map_err(|_| decoder.get_ref().refusal())?;
                Ok(std::mem::take(&mut decoder.get_mut().bytes).into())
            }
            Self::Deflate(mut decoder) => {
                let ended = decoder.try_finish();
                ended.map_err(|_| decoder.get_ref().refusal())?;
                Ok(std::mem::take(&mut decoder.get_mut().bytes).into())
            }
        }
    }
}

/// How much room is made for a body of which `length` bytes have come. What is announced is not
/// believed before a part of it has come.
fn room(length: usize, announced: usize) -> usize {
    let twice = length.saturating_mul(2);
    if announced < length {
        twice
    } else {
        announced.min(twice.max(ANNOUNCED_BYTES_MAX))
    }
}

/// A buffer that refuses to grow past its limit.
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
    /// The limit at this moment.
    allowed: usize,
    is_full: bool,
}

impl Bounded {
    /// Sets the limit to what `size` bytes may unpack to.
    fn allow(&mut self, size: usize) {
        let proportion = size
            .saturating_mul(EXPANSION_MAX)
            .max(EXPANSION_FLOOR_BYTES);
        self.allowed = proportion.min(self.bytes_max);
    }

    /// Why unpacking stopped.
    fn refusal(&self) -> Refusal {
        if self.is_full {
            Refusal::TooLarge
        } else {
            Refusal::Malformed
        }
    }
}

impl Write for Bounded {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.bytes.len().saturating_add(data.len()) > self.allowed {
            self.is_full = true;
            return Err(io::Error::other("the body unpacks to more than the limit"));
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
