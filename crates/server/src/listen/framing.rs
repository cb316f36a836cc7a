//! The framing of HTTP/1, judged before the HTTP library sees a byte of it.
//!
//! The library forgives what must not be forgiven here (a bare line feed, a length beside chunks) and
//! answers by itself what it does not forgive. So heads are held back until they are complete and
//! sound, bodies are followed to their end to know where the next head begins, and whatever is not
//! exactly HTTP/1.0 or HTTP/1.1 is a [`Fault`]. What passes here, the library takes without a word
//! of its own. Stricter than RFC 9112 where it says MAY: one length or one `chunked`, never both,
//! never twice. Nothing here reads, writes or waits.

use http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use model::limit;
use std::mem;

/// Bytes of a request's target that the HTTP library takes.
const TARGET_BYTES_MAX: usize = 65_534;
/// Characters of a method.
const METHOD_BYTES_MAX: usize = 32;
/// Bytes of all extensions of one body's chunks.
const EXTENSION_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a body's trailers.
const TRAILER_BYTES_MAX: usize = 8 * 1024;

model::named! {
    /// Why a connection is cut. Its name is a stable word, as in the log of drops.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum Fault {
        #[cfg(test)]
        const ALL, fn reason;
        /// A carriage return that no line feed follows.
        BareCr = "bare_cr",
        /// A line feed without a carriage return.
        BareLf = "bare_lf",
        /// A chunk's size, extension or end, or a trailer, that is none.
        Chunk = "body_broken",
        /// A length that is no number.
        ContentLength = "content_length",
        /// The end came within a head.
        HeadBroken = "head_broken",
        /// More bytes of headers than are taken.
        HeadTooLarge = "head_too_large",
        /// A line that is no header.
        Header = "header",
        /// A header that goes on in the next line.
        HeaderFolded = "header_folded",
        /// No host, or several.
        Host = "host",
        /// More frames of one head than are taken.
        Http2Continuation = "http2_continuation",
        /// More frames that make no request than are taken.
        Http2Flood = "http2_flood",
        /// Not the words that HTTP/2 begins with.
        Http2Preface = "http2_preface",
        /// More streams given up than are taken.
        Http2Resets = "http2_resets",
        /// Neither HTTP/1.0 nor HTTP/1.1.
        HttpVersion = "http_version",
        /// It says twice, or in two ways, where the body ends.
        LengthAmbiguous = "length_ambiguous",
        /// No method.
        Method = "method",
        /// The HTTP library was about to say something by itself.
        Refused = "refused",
        /// A first line that is none.
        RequestLine = "request_line",
        /// No URL of ours.
        Target = "target",
        /// More headers, or trailers, than are taken.
        TooManyHeaders = "too_many_headers",
        /// A coding other than `chunked`.
        TransferEncoding = "transfer_encoding",
        /// A target that is longer than is taken.
        UriTooLong = "uri_too_long",
    }
}

impl Fault {
    /// What whoever caused it is told, on planes that tell; none where it is no HTTP/1 or no URL of ours.
    pub(super) const fn status(self) -> Option<StatusCode> {
        match self {
            Self::HeadBroken
            | Self::Http2Continuation
            | Self::Http2Flood
            | Self::Http2Preface
            | Self::Http2Resets
            | Self::HttpVersion
            | Self::Refused
            | Self::Target => None,
            Self::HeadTooLarge | Self::TooManyHeaders => {
                Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
            }
            Self::UriTooLong => Some(StatusCode::URI_TOO_LONG),
            Self::BareCr
            | Self::BareLf
            | Self::Chunk
            | Self::ContentLength
            | Self::Header
            | Self::HeaderFolded
            | Self::Host
            | Self::LengthAmbiguous
            | Self::Method
            | Self::RequestLine
            | Self::TransferEncoding => Some(StatusCode::BAD_REQUEST),
        }
    }
}

/// Follows what one peer sends. After a fault it is not used any more.
#[derive(Debug, Default)]
pub(super) struct Framing {
    state: State,
    /// Heads that were complete and sound.
    heads: usize,
    /// The head that is coming in.
    head: Vec<u8>,
    /// Where its current line starts.
    line_start: usize,
    /// Its lines that are complete.
    lines: usize,
    /// Its method and target, once they are known to be sound.
    method: Box<str>,
    target: Box<str>,
    extension_bytes: usize,
    /// What stands after the last chunk.
    trailer: Vec<u8>,
    /// Lines after the last chunk.
    trailers: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// So many bytes of the body are still to come.
    Body(u64),
    /// The line with a chunk's size.
    Size {
        digits: u8,
        size: u64,
        in_extension: bool,
        cr: bool,
    },
    /// So many bytes of a chunk are still to come.
    Chunk(u64),
    /// The line end after a chunk.
    ChunkEnd { cr: bool },
    /// Lines after the last chunk.
    Trailer { is_empty: bool, cr: bool },
}

const SIZE: State = State::Size {
    digits: 0,
    size: 0,
    in_extension: false,
    cr: false,
};

impl Framing {
    /// Takes the next bytes. What may be handed on is added to `out`.
    ///
    /// # Errors
    /// Why the connection is to be cut; what is in `out` belongs to earlier requests, or to the body
    /// of this one.
    pub(super) fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        while let Some((first, rest)) = bytes.split_first() {
            if let State::Body(left) | State::Chunk(left) = self.state {
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let (data, rest) = bytes.split_at(count);
                out.extend_from_slice(data);
                self.skip(count as u64);
                bytes = rest;
                continue;
            }
            if self.state == State::Head {
                self.head_byte(*first, out)?;
            } else {
                self.chunk_byte(*first)?;
                out.push(*first);
            }
            bytes = rest;
        }
        Ok(())
    }

    /// Takes the next bytes when all of them are a body's and none needs to be looked at.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> bool {
        let count = bytes.len() as u64;
        match self.state {
            State::Body(left) | State::Chunk(left) if count <= left => {
                self.skip(count);
                true
            }
            _ => false,
        }
    }

    /// Whether a head has begun and is not complete. An empty line before it is nobody's request.
    pub(super) fn is_in_head(&self) -> bool {
        !self.head.is_empty() && (self.lines > 0 || self.head.len() > self.line_start)
    }

    /// Bytes of the head that is coming in.
    pub(super) fn head_bytes(&self) -> usize {
        self.head.len()
    }

    /// Whether a body is coming in: its faults are told by the request that reads it.
    pub(super) fn is_in_body(&self) -> bool {
        self.state != State::Head
    }

    /// How many requests came before the one that is coming in.
    pub(super) fn requests_before(&self) -> usize {
        self.heads - usize::from(self.is_in_body())
    }

    /// The method and the target of the head that is coming in, as far as they are known.
    pub(super) const fn asked(&self) -> (&str, &str) {
        (&self.method, &self.target)
    }

    fn skip(&mut self, count: u64) {
        self.state = match self.state {
            State::Body(left) if left == count => State::Head,
            State::Body(left) => State::Body(left - count),
            State::Chunk(left) if left == count => State::ChunkEnd { cr: false },
            State::Chunk(left) => State::Chunk(left - count),
            other => other,
        };
    }

    fn head_byte(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<(), Fault> {
        let previous = self.head.last().copied();
        if previous.is_none() {
            (self.line_start, self.lines) = (0, 0);
            (self.method, self.target) = (Box::default(), Box::default());
            if !is_token(byte) && byte != b'\r' && byte != b'\n' {
                return Err(Fault::RequestLine);
            }
        }
        if self.head.len() >= limit::HEAD_BYTES_MAX {
            return Err(Fault::HeadTooLarge);
        }
        self.head.push(byte);
        match (previous, byte) {
            (_, 0) => Err(Fault::Header),
            (Some(b'\r'), b'\n') => self.line(out),
            (Some(b'\r'), _) => Err(Fault::BareCr),
            (_, b'\n') => Err(Fault::BareLf),
            _ => Ok(()),
        }
    }

    /// A line of the head is complete.
    fn line(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let end = self.head.len().saturating_sub(2);
        let line = self.head.get(self.line_start..end).unwrap_or_default();
        if line.is_empty() && self.lines == 0 {
            // One empty line before a request is what old clients leave behind a body.
            if self.line_start > 0 {
                return Err(Fault::RequestLine);
            }
            self.line_start = self.head.len();
            return Ok(());
        }
        if line.is_empty() {
            self.state = self.judge()?;
            // A body of no bytes is none.
            self.skip(0);
            (self.extension_bytes, self.trailers) = (0, 0);
            self.trailer = Vec::new();
            self.heads += 1;
            out.append(&mut mem::take(&mut self.head));
            return Ok(());
        }
        if self.lines == 0 {
            let (method, target) = request_line(line)?;
            (self.method, self.target) = (Box::from(method), Box::from(target));
        } else if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(Fault::HeaderFolded);
        }
        self.lines += 1;
        self.line_start = self.head.len();
        if self.lines > limit::HEADERS_MAX + 1 {
            return Err(Fault::TooManyHeaders);
        }
        Ok(())
    }

    /// Judges a complete head; says what follows it.
    fn judge(&self) -> Result<State, Fault> {
        let mut headers = [httparse::EMPTY_HEADER; limit::HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        // The library's own parser, with the library's own settings.
        if !matches!(request.parse(&self.head), Ok(httparse::Status::Complete(_))) {
            return Err(Fault::Header);
        }
        let is_11 = request.version == Some(1);
        let (mut lengths, mut codings, mut hosts) = (Vec::new(), Vec::new(), 0);
        for header in request.headers.iter() {
            let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| Fault::Header)?;
            HeaderValue::from_bytes(header.value).map_err(|_| Fault::Header)?;
            match name {
                http::header::CONTENT_LENGTH => lengths.push(header.value),
                http::header::TRANSFER_ENCODING => codings.push(header.value),
                http::header::HOST => hosts += 1,
                _ => {}
            }
        }
        if hosts > 1 || (is_11 && hosts == 0) {
            return Err(Fault::Host);
        }
        match (lengths.as_slice(), codings.as_slice()) {
            ([], []) => Ok(State::Body(0)),
            ([length], []) => content_length(length).map(State::Body),
            ([], [coding]) if is_11 && coding.eq_ignore_ascii_case(b"chunked") => Ok(SIZE),
            ([], _) => Err(Fault::TransferEncoding),
            (_, _) => Err(Fault::LengthAmbiguous),
        }
    }

    fn chunk_byte(&mut self, byte: u8) -> Result<(), Fault> {
        const FAULT: Fault = Fault::Chunk;
        self.state = match self.state {
            State::Size {
                digits,
                size,
                in_extension,
                cr,
            } => match byte {
                b'\n' if cr && digits > 0 && size == 0 => State::Trailer {
                    is_empty: true,
                    cr: false,
                },
                b'\n' if cr && digits > 0 => State::Chunk(size),
                b'\n' => return Err(FAULT),
                _ if cr => return Err(FAULT),
                b'\r' if digits > 0 => State::Size {
                    digits,
                    size,
                    in_extension,
                    cr: true,
                },
                _ if in_extension || (byte == b';' && digits > 0) => {
                    self.extension_bytes += 1;
                    if self.extension_bytes > EXTENSION_BYTES_MAX || byte == 0 {
                        return Err(FAULT);
                    }
                    State::Size {
                        digits,
                        size,
                        in_extension: true,
                        cr,
                    }
                }
                _ => {
                    let digit = char::from(byte).to_digit(16).ok_or(FAULT)?;
                    if digits >= 15 {
                        return Err(FAULT);
                    }
                    State::Size {
                        digits: digits + 1,
                        size: size * 16 + u64::from(digit),
                        in_extension,
                        cr,
                    }
                }
            },
            State::ChunkEnd { cr: false } if byte == b'\r' => State::ChunkEnd { cr: true },
            State::ChunkEnd { cr: true } if byte == b'\n' => SIZE,
            State::ChunkEnd { .. } => return Err(FAULT),
            State::Trailer { is_empty, cr } => {
                self.trailer.push(byte);
                match byte {
                    _ if self.trailer.len() > TRAILER_BYTES_MAX => return Err(FAULT),
                    b'\n' if cr && is_empty && are_headers(&self.trailer) => State::Head,
                    b'\n' if is_empty => return Err(FAULT),
                    b'\n' if cr && self.trailers < limit::HEADERS_MAX => {
                        self.trailers += 1;
                        State::Trailer {
                            is_empty: true,
                            cr: false,
                        }
                    }
                    b'\n' | 0 => return Err(FAULT),
                    _ if cr => return Err(FAULT),
                    b'\r' => State::Trailer { is_empty, cr: true },
                    _ => State::Trailer {
                        is_empty: false,
                        cr,
                    },
                }
            }
            State::Head | State::Body(_) | State::Chunk(_) => return Err(FAULT),
        };
        Ok(())
    }
}

/// Whether a block of lines is one of headers, by the library's own parser.
fn are_headers(block: &[u8]) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; limit::HEADERS_MAX];
    let Ok(httparse::Status::Complete((_, found))) = httparse::parse_headers(block, &mut headers)
    else {
        return false;
    };
    found.iter().all(|it| {
        HeaderName::from_bytes(it.name.as_bytes()).is_ok()
            && HeaderValue::from_bytes(it.value).is_ok()
    })
}

/// The method and the target of a request line.
fn request_line(line: &[u8]) -> Result<(&str, &str), Fault> {
    const FAULT: Fault = Fault::RequestLine;
    let line = std::str::from_utf8(line).map_err(|_| Fault::Target)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(FAULT);
    };
    if method.len() > METHOD_BYTES_MAX || Method::from_bytes(method.as_bytes()).is_err() {
        return Err(Fault::Method);
    }
    match (words.next(), words.next()) {
        (Some("HTTP/1.0" | "HTTP/1.1"), None) => {}
        // HTTP/0.9 has none.
        (None, _) => return Err(Fault::HttpVersion),
        (Some(version), None) if version.starts_with("HTTP/") => {
            return Err(Fault::HttpVersion);
        }
        _ => return Err(FAULT),
    }
    if target.len() > TARGET_BYTES_MAX {
        return Err(Fault::UriTooLong);
    }
    // The library takes a fragment off and serves the rest; no target has one (RFC 9112 §3.2).
    if target.contains('#') || Uri::try_from(target).is_err() {
        return Err(Fault::Target);
    }
    Ok((method, target))
}

fn content_length(value: &[u8]) -> Result<u64, Fault> {
    const FAULT: Fault = Fault::ContentLength;
    let digits = std::str::from_utf8(value).map_err(|_| FAULT)?;
    let is_number =
        (1..=18).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_digit());
    if !is_number {
        return Err(FAULT);
    }
    digits.parse().map_err(|_| FAULT)
}

/// Whether a byte may stand in a method (RFC 9110, tchar).
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}
