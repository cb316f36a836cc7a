//! The frames of HTTP/2 as far as floods are concerned: their kinds, lengths and error codes.
//!
//! RFC 9113 §4.1: a frame has 9 bytes of head (length 3, kind 1, flags 1, stream 4). Inwards, every
//! frame that makes us work without bringing a request further is paid for from a budget that
//! requests, answers and time fill again. So a flood of resets (CVE-2023-44487), also of those that the
//! peer makes us send (CVE-2025-8671), CONTINUATION (CVE-2024-27316), SETTINGS or PING frames ends
//! after a bounded number, and what honest clients do never comes near. Nothing here reads, writes or
//! waits.

use model::limit;
use std::collections::BTreeSet;
use tokio::time::Instant;

use super::framing::Fault;

/// How a client begins.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD_BYTES: usize = 9;
/// Frames of one block of headers that do not end it. The library takes as many, and would speak for itself.
const CONTINUATIONS_MAX: u32 = 10;
/// Streams that a peer may reset, or make us reset, at once and a second.
const RESETS: (u32, u32) = (100, 10);
/// Frames that carry nothing of a request, at once and a second.
const CONTROL: (u32, u32) = (1_000, 100);
/// What the head of a request or a frame of data is worth in such frames.
const CONTROL_FOR_PROGRESS: u32 = 8;
/// What an answer is worth in resets.
const RESETS_FOR_ANSWER: u32 = 1;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ENHANCE_YOUR_CALM: u32 = 11;

/// So many at once, and so many more each second.
#[derive(Debug, Clone, Copy)]
struct Budget {
    left: u32,
    most: u32,
    a_second: u32,
    filled: Instant,
}

impl Budget {
    const fn new((most, a_second): (u32, u32), now: Instant) -> Self {
        Self {
            left: most,
            most,
            a_second,
            filled: now,
        }
    }

    /// Takes one.
    ///
    /// # Errors
    /// The fault, when there is none left.
    fn take(&mut self, now: Instant, fault: Fault) -> Result<(), Fault> {
        let seconds = now.saturating_duration_since(self.filled).as_secs();
        if seconds > 0 {
            let more = u32::try_from(seconds).unwrap_or(u32::MAX);
            self.add(more.saturating_mul(self.a_second));
            self.filled = now;
        }
        self.left = self.left.checked_sub(1).ok_or(fault)?;
        Ok(())
    }

    fn add(&mut self, count: u32) {
        self.left = self.left.saturating_add(count).min(self.most);
    }
}

/// The head of a frame, as it comes in pieces, and how much of the frame is still to come.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    left: usize,
}

/// A frame's head.
#[derive(Debug, Clone, Copy)]
struct FrameHead {
    kind: u8,
    flags: u8,
    stream: u32,
    bytes: u32,
}

impl Cursor {
    /// Takes bytes of heads until one is complete.
    fn head(&mut self, bytes: &mut &[u8]) -> Option<FrameHead> {
        while let Some((first, rest)) = bytes.split_first() {
            *bytes = rest;
            if let Some(place) = self.head.get_mut(self.head_bytes) {
                *place = *first;
            }
            self.head_bytes += 1;
            if self.head_bytes == HEAD_BYTES {
                self.head_bytes = 0;
                let [a, b, c, kind, flags, s0, s1, s2, s3] = self.head;
                let bytes = u32::from_be_bytes([0, a, b, c]);
                self.left = usize::try_from(bytes).unwrap_or(usize::MAX);
                return Some(FrameHead {
                    kind,
                    flags,
                    stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
                    bytes,
                });
            }
        }
        None
    }

    /// Whether the last frame has come to its end, and no other has begun.
    const fn is_between_frames(&self) -> bool {
        self.left == 0 && self.head_bytes == 0
    }

    /// Takes what has come of the frame.
    fn payload<'a>(&mut self, bytes: &mut &'a [u8]) -> &'a [u8] {
        let (payload, rest) = bytes.split_at(self.left.min(bytes.len()));
        *bytes = rest;
        self.left -= payload.len();
        payload
    }
}

/// What the peer sends.
#[derive(Debug)]
pub(super) struct Inbound {
    /// Bytes of the preface that have come.
    preface: usize,
    cursor: Cursor,
    /// Bytes and frames of the block of headers that is coming in; none between blocks.
    block: Option<(usize, u32)>,
    /// The last frame that began is part of a block of headers.
    is_of_block: bool,
    last_stream: u32,
    /// The stream that a head opens, until all of it has come.
    opening: Option<u32>,
    /// Streams that are open and whose end has not come.
    unended: BTreeSet<u32>,
    resets: Budget,
    control: Budget,
}

impl Inbound {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            preface: 0,
            cursor: Cursor {
                head: [0; HEAD_BYTES],
                head_bytes: 0,
                left: 0,
            },
            block: None,
            is_of_block: false,
            last_stream: 0,
            opening: None,
            unended: BTreeSet::new(),
            resets: Budget::new(RESETS, now),
            control: Budget::new(CONTROL, now),
        }
    }

    /// Takes the next bytes, at most to the end of a head that opens a stream; says which one. Who
    /// gives it up in the same breath is taken at his word.
    ///
    /// # Errors
    /// Why the connection is to be cut.
    pub(super) fn push(&mut self, bytes: &mut &[u8], now: Instant) -> Result<Option<u32>, Fault> {
        while let (Some(wanted), Some((first, rest))) =
            (PREFACE.get(self.preface), bytes.split_first())
        {
            if first != wanted {
                return Err(Fault::Http2Preface);
            }
            self.preface += 1;
            *bytes = rest;
        }
        while !bytes.is_empty() {
            if self.cursor.left > 0 {
                self.cursor.payload(bytes);
            } else if let Some(head) = self.cursor.head(bytes) {
                self.frame(head, now)?;
            }
            let opened = self.opened(bytes);
            if opened.is_some() {
                return Ok(opened);
            }
        }
        Ok(None)
    }

    /// The stream whose head has come to its end, where `rest` does not begin with its reset.
    fn opened(&mut self, rest: &[u8]) -> Option<u32> {
        let is_complete = self.block.is_none() && self.cursor.is_between_frames();
        let stream = self.opening.filter(|_| is_complete)?;
        if is_reset(rest, stream) {
            return None;
        }
        self.opening.take()
    }

    /// Whether a block of headers has begun and is not complete, or the preface.
    pub(super) const fn is_in_head(&self) -> bool {
        let is_in_preface = self.preface > 0 && self.preface < PREFACE.len();
        is_in_preface || self.block.is_some() || (self.is_of_block && self.cursor.left > 0)
    }

    /// How many streams are open of which more is to come.
    pub(super) fn unended(&self) -> usize {
        self.unended.len()
    }

    /// Bytes of the block of headers that is coming in.
    pub(super) const fn block_bytes(&self) -> usize {
        match self.block {
            Some((bytes, _)) => bytes,
            None => 0,
        }
    }

    /// An answer has gone out.
    pub(super) fn answered(&mut self) {
        self.resets.add(RESETS_FOR_ANSWER);
        self.control.add(CONTROL_FOR_PROGRESS);
    }

    /// A part of an answer has gone out.
    pub(super) fn progressed(&mut self) {
        self.control.add(CONTROL_FOR_PROGRESS);
    }

    /// We have reset a stream.
    pub(super) fn closed(&mut self, stream: u32) {
        self.unended.remove(&stream);
    }

    /// A stream is reset: by the peer, or by us for the peer's fault. However many it opens, that does
    /// not make up for it.
    ///
    /// # Errors
    /// Why the connection is to be cut.
    pub(super) fn reset(&mut self, now: Instant) -> Result<(), Fault> {
        self.resets.take(now, Fault::Http2Resets)
    }

    /// The frame that says: no more, and calm down.
    pub(super) fn go_away(&self) -> Vec<u8> {
        let mut frame = vec![0, 0, 8, GOAWAY, 0, 0, 0, 0, 0];
        frame.extend_from_slice(&self.last_stream.to_be_bytes());
        frame.extend_from_slice(&ENHANCE_YOUR_CALM.to_be_bytes());
        frame
    }

    fn frame(&mut self, head: FrameHead, now: Instant) -> Result<(), Fault> {
        let bytes = usize::try_from(head.bytes).unwrap_or(usize::MAX);
        self.is_of_block = matches!(head.kind, HEADERS | CONTINUATION);
        if matches!(head.kind, HEADERS | DATA) && head.flags & END_STREAM != 0 {
            self.unended.remove(&head.stream);
        }
        match head.kind {
            HEADERS => {
                if head.stream > self.last_stream {
                    if head.flags & END_STREAM == 0 {
                        self.unended.insert(head.stream);
                    }
                    self.last_stream = head.stream;
                    self.opening = Some(head.stream);
                    self.control.add(CONTROL_FOR_PROGRESS);
                } else {
                    // At most the end of a body: it brings no request further.
                    self.control.take(now, Fault::Http2Flood)?;
                }
                self.block(head, (bytes, 0))
            }
            CONTINUATION => {
                let (before, frames) = self.block.unwrap_or_default();
                self.block(head, (before.saturating_add(bytes), frames + 1))
            }
            RST_STREAM => {
                self.unended.remove(&head.stream);
                self.reset(now)
            }
            DATA if bytes > 0 || head.flags & END_STREAM != 0 => {
                self.control.add(CONTROL_FOR_PROGRESS);
                Ok(())
            }
            _ => self.control.take(now, Fault::Http2Flood),
        }
    }

    fn block(&mut self, head: FrameHead, (bytes, frames): (usize, u32)) -> Result<(), Fault> {
        self.block = (head.flags & END_HEADERS == 0).then_some((bytes, frames));
        if bytes > limit::HEAD_BYTES_MAX {
            return Err(Fault::HeadTooLarge);
        }
        if frames > CONTINUATIONS_MAX && self.block.is_some() {
            return Err(Fault::Http2Continuation);
        }
        Ok(())
    }
}

/// Whether the next frame, all of which has come, resets a stream.
fn is_reset(bytes: &[u8], stream: u32) -> bool {
    let [0, 0, 4, RST_STREAM, _, s0, s1, s2, s3, _, _, _, _, ..] = bytes else {
        return false;
    };
    u32::from_be_bytes([*s0 & 0x7f, *s1, *s2, *s3]) == stream
}

/// Something of note that goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Out {
    /// The head of an answer, with its stream.
    Head(u32),
    /// A frame of an answer's body, with its length.
    Data(u32),
    /// A stream is reset, with the error code.
    Reset { stream: u32, code: u32 },
    /// The connection is ended, with the error code.
    GoAway(u32),
}

/// What we send.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outbound {
    cursor: Cursor,
    kind: u8,
    stream: u32,
    /// The last four bytes seen of the frame: an error code stands there, of the first eight.
    code: u32,
    seen: usize,
}

impl Outbound {
    /// Takes the next bytes, and says what is in them.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut on: impl FnMut(Out)) {
        while !bytes.is_empty() {
            if self.cursor.left == 0 {
                let Some(head) = self.cursor.head(&mut bytes) else {
                    return;
                };
                (self.kind, self.stream) = (head.kind, head.stream);
                (self.code, self.seen) = (0, 0);
                match head.kind {
                    HEADERS => on(Out::Head(head.stream)),
                    DATA => on(Out::Data(head.bytes)),
                    _ => {}
                }
                continue;
            }
            let payload = self.cursor.payload(&mut bytes);
            let place = match self.kind {
                RST_STREAM => 4,
                GOAWAY => 8,
                _ => continue,
            };
            for byte in payload {
                self.code = (self.code << 8) | u32::from(*byte);
                self.seen += 1;
                if self.seen == place {
                    on(if self.kind == GOAWAY {
                        Out::GoAway(self.code)
                    } else {
                        Out::Reset {
                            stream: self.stream,
                            code: self.code,
                        }
                    });
                }
            }
        }
    }

    /// Whether a frame of ours may follow.
    pub(super) const fn is_between_frames(&self) -> bool {
        self.cursor.is_between_frames()
    }
}
