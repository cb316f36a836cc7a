//! A TLS stream that follows the frames of HTTP/2 in both directions.
//!
//! Inwards it bounds what costs us more than it costs the peer: blocks of headers, resets, and frames
//! that carry nothing. The library is given one head at a time, so that it is known which streams are
//! requests ([`Streams`]). Outwards no head of an answer passes but on one of these: the library would
//! answer a head that is too large by itself. A connection that breaks a bound is told to calm down
//! (GOAWAY) and cut; nothing here looks into a header or a body. The end of a peer is kept from the library
//! until the requests that have come whole are answered: it would give them up.

use bytes::Bytes;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

use super::busy::Busy;
use super::flood::{Inbound, Out, Outbound};
use super::framing::Fault;
use super::heads::Room;
use super::report::{Report, TOO_MANY_STREAMS};
use super::stream::{Patient, farewell};
use super::streams::Streams;

/// See the file's head.
#[derive(Debug)]
pub(super) struct Frames {
    tls: TlsStream<Patient>,
    /// What has come behind a head, and waits until the library has taken that.
    held: Bytes,
    /// The library has been given a head and has not asked for more since.
    is_paused: bool,
    streams: Streams,
    inbound: Inbound,
    /// Of the block of headers that is coming in.
    room: Room,
    outbound: Outbound,
    fault: Option<Fault>,
    /// How the peer has ended.
    end: Option<io::Result<()>>,
    busy: Busy,
    /// The library has said that the connection is at fault.
    is_ended: bool,
    report: Report,
}

impl Frames {
    pub(super) fn new(
        tls: TlsStream<Patient>,
        room: Room,
        busy: Busy,
        report: Report,
        streams: Streams,
    ) -> Self {
        Self {
            tls,
            held: Bytes::new(),
            is_paused: false,
            streams,
            inbound: Inbound::new(Instant::now()),
            room,
            outbound: Outbound::default(),
            fault: None,
            end: None,
            busy,
            is_ended: false,
            report,
        }
    }

    fn fail(&mut self, fault: Fault) -> io::Error {
        if self.fault.replace(fault).is_none() && !self.is_ended {
            self.report.refuse(fault.reason());
        }
        self.report.set_in_head(false);
        io::Error::new(
            io::ErrorKind::InvalidData,
            "not HTTP/2 as it is spoken here",
        )
    }

    /// How many of the next bytes the library may be given now.
    fn admit(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let mut rest = bytes;
        let opened = self.inbound.push(&mut rest, Instant::now())?;
        if !self.room.set(self.inbound.block_bytes()) {
            return Err(Fault::HeadTooLarge);
        }
        self.report.set_in_head(self.inbound.is_in_head());
        if let Some(stream) = opened {
            self.streams.give(stream);
            self.is_paused = true;
        }
        Ok(bytes.len().saturating_sub(rest.len()))
    }

    /// Gives the library more of what has come before.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        let held = mem::take(&mut self.held);
        let come = held.slice(..held.len().min(buffer.remaining()));
        let count = self.admit(&come).map_err(|fault| self.fail(fault))?;
        buffer.put_slice(come.get(..count).unwrap_or_default());
        self.held = held.slice(count..);
        Ok(())
    }

    /// Whether everything of `slices` may be written.
    fn judge(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<()> {
        let mut trial = self.outbound;
        let mut are_ours = true;
        for slice in slices {
            trial.push(slice, |out| {
                if let Out::Head(stream) = out {
                    are_ours &= self.streams.is_request(stream);
                }
            });
        }
        if !are_ours {
            return Err(self.fail(Fault::HeadTooLarge));
        }
        Ok(())
    }

    /// What a write came to. Nobody hears it where the peer has gone, which the library need not know while
    /// requests that have come whole are in progress.
    fn or_unheard<T>(&mut self, written: io::Result<T>, unheard: T) -> io::Result<T> {
        let is_needed = self.busy.in_progress() > self.inbound.unended();
        match written {
            Err(error) if is_needed && error.kind() != io::ErrorKind::TimedOut => {
                self.end.get_or_insert(Err(error));
                Ok(unheard)
            }
            written => written,
        }
    }

    /// So many bytes of `slices` have been written.
    fn written(&mut self, slices: &[io::IoSlice<'_>], mut count: usize) {
        let Self {
            streams,
            inbound,
            outbound,
            is_ended,
            report,
            ..
        } = self;
        let mut paid = Ok(());
        for slice in slices {
            let part = slice.get(..count.min(slice.len())).unwrap_or_default();
            count -= part.len();
            outbound.push(part, |out| match out {
                Out::Head(_) => {
                    report.moved(1);
                    inbound.answered();
                }
                Out::Data(bytes) => {
                    report.moved(bytes.into());
                    inbound.progressed();
                }
                Out::Reset { stream, code } => {
                    inbound.closed(stream);
                    // A request has its line already, or gets it when its body breaks off or it is given up.
                    let was_request = streams.reset(stream);
                    if let Some(reason) = reset_reason(code).filter(|_| !was_request) {
                        report.refuse(reason);
                    }
                    if is_fault(code) {
                        paid = paid.and_then(|()| inbound.reset(Instant::now()));
                    }
                }
                Out::GoAway(code) => {
                    if let Some(reason) = go_away_reason(code)
                        && !mem::replace(is_ended, true)
                    {
                        report.refuse(reason);
                    }
                }
            });
        }
        if let Err(fault) = paid {
            // It ends with what the library reads next.
            drop(self.fail(fault));
        }
    }
}

/// Why the library reset a stream, where that was the peer's fault. Our own resets have their lines
/// already. So has a stream that is over: the library says `STREAM_CLOSED` (5) to each frame of data
/// that still comes in one, or in one that was passed over and never was a request; to nothing else.
const fn reset_reason(code: u32) -> Option<&'static str> {
    match code {
        // No error, internal error (our silence), the stream is over, cancelled.
        0 | 2 | 5 | 8 => None,
        7 => Some(TOO_MANY_STREAMS),
        _ => Some("http2_stream"),
    }
}

/// Whether the library reset a stream for what the peer did to it (CVE-2025-8671). One that is refused
/// because there are too many has cost nothing yet.
const fn is_fault(code: u32) -> bool {
    !matches!(code, 0 | 2 | 7 | 8)
}

/// Why the library ends a connection, where that is the peer's fault.
const fn go_away_reason(code: u32) -> Option<&'static str> {
    match code {
        0 => None,
        11 => Some("http2_flood"),
        _ => Some("http2_protocol"),
    }
}

impl AsyncRead for Frames {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.fault.is_some() {
            let error = io::Error::new(io::ErrorKind::InvalidData, "the connection is cut");
            return Poll::Ready(Err(error));
        }
        if mem::take(&mut this.is_paused) {
            // Now it hands the request on, and then it asks again.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        ready!(this.streams.poll_refused(cx));
        this.streams.settle();
        if !this.held.is_empty() {
            return Poll::Ready(this.give(buffer));
        }
        if this.end.is_some() {
            ready!(this.busy.poll_left(this.inbound.unended(), cx));
            return Poll::Ready(this.end.replace(Ok(())).unwrap_or(Ok(())));
        }
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut this.tls).poll_read(cx, buffer));
        let came = buffer.filled().get(before..).unwrap_or_default();
        if came.is_empty() {
            if this.inbound.is_in_head() && !this.is_ended {
                this.is_ended = true;
                this.report.set_in_head(false);
                this.report.refuse("head_broken");
            }
            this.end = Some(read);
            // Now the library hears of it, or waits for those that are in progress.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match this.admit(came) {
            Ok(count) => {
                this.held = Bytes::copy_from_slice(came.get(count..).unwrap_or_default());
                buffer.set_filled(before.saturating_add(count));
                Poll::Ready(Ok(()))
            }
            Err(fault) => {
                buffer.set_filled(before);
                Poll::Ready(Err(this.fail(fault)))
            }
        }
    }
}

impl AsyncWrite for Frames {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.judge(slices)?;
        let written = ready!(Pin::new(&mut this.tls).poll_write_vectored(cx, slices));
        let count = this.or_unheard(written, slices.iter().map(|it| it.len()).sum())?;
        this.written(slices, count);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.tls).poll_flush(cx));
        Poll::Ready(self.or_unheard(flushed, ()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        let calm_down = self.fault.is_some() && self.outbound.is_between_frames();
        let last = if calm_down {
            self.inbound.go_away()
        } else {
            Vec::new()
        };
        farewell(&mut self.tls, &last);
    }
}

#[cfg(test)]
mod tests {
    use super::{is_fault, reset_reason};

    #[test]
    fn data_after_the_end_of_a_stream_is_a_fault_and_no_drop_of_its_own() {
        let cases = [
            (0, None, false),
            (1, Some("http2_stream"), true),
            (2, None, false),
            (3, Some("http2_stream"), true),
            (5, None, true),
            (7, Some("http2_too_many_streams"), false),
            (8, None, false),
        ];
        for (code, reason, fault) in cases {
            let found = (reset_reason(code), is_fault(code));
            assert_eq!(found, (reason, fault), "{code}");
        }
    }
}
