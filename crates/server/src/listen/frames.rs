//! A TLS stream that follows the frames of HTTP/2 in both directions.
//!
//! Inwards it bounds what costs us more than it costs the peer: blocks of headers, resets, and frames
//! that carry nothing. Outwards it lets no head of an answer pass that is not an answer of ours: the
//! library would answer a head that is too large by itself. A connection that breaks a bound is told
//! to calm down (GOAWAY) and cut; nothing here looks into a header or a body.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

use super::flood::{Inbound, Out, Outbound};
use super::framing::Fault;
use super::heads::Room;
use super::report::Report;
use super::stream::{Patient, farewell};

/// See the file's head.
#[derive(Debug)]
pub(super) struct Frames {
    tls: TlsStream<Patient>,
    inbound: Inbound,
    /// Of the block of headers that is coming in.
    room: Room,
    outbound: Outbound,
    fault: Option<Fault>,
    /// The library has said that the connection is at fault.
    is_ended: bool,
    report: Report,
}

impl Frames {
    pub(super) fn new(tls: TlsStream<Patient>, room: Room, report: Report) -> Self {
        Self {
            tls,
            inbound: Inbound::new(Instant::now()),
            room,
            outbound: Outbound::default(),
            fault: None,
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

    /// Whether everything of `slices` may be written.
    fn judge(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<()> {
        let mut trial = self.outbound;
        let mut heads = 0;
        for slice in slices {
            trial.push(slice, |out| heads += usize::from(out == Out::Head));
        }
        if heads > self.report.answers() {
            return Err(self.fail(Fault::HeadTooLarge));
        }
        Ok(())
    }

    /// So many bytes of `slices` have been written.
    fn written(&mut self, slices: &[io::IoSlice<'_>], mut count: usize) {
        let Self {
            inbound,
            outbound,
            is_ended,
            report,
            ..
        } = self;
        for slice in slices {
            let part = slice.get(..count.min(slice.len())).unwrap_or_default();
            count -= part.len();
            outbound.push(part, |out| match out {
                Out::Head => {
                    report.heads_sent(1);
                    inbound.answered();
                }
                Out::Data(bytes) => {
                    report.moved(bytes.into());
                    inbound.progressed();
                }
                Out::Reset(code) => {
                    if let Some(reason) = reset_reason(code) {
                        report.refuse(reason);
                    }
                }
                Out::GoAway(code) => {
                    if let Some(reason) = go_away_reason(code)
                        && !std::mem::replace(is_ended, true)
                    {
                        report.refuse(reason);
                    }
                }
            });
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
        7 => Some("http2_too_many_streams"),
        _ => Some("http2_stream"),
    }
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
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut this.tls).poll_read(cx, buffer));
        let came = buffer.filled().get(before..).unwrap_or_default();
        if came.is_empty() {
            if this.inbound.is_in_head() && !this.is_ended {
                this.is_ended = true;
                this.report.set_in_head(false);
                this.report.refuse("head_broken");
            }
            return Poll::Ready(read);
        }
        let mut judged = this.inbound.push(came, Instant::now());
        if judged.is_ok() && !this.room.set(this.inbound.block_bytes()) {
            judged = Err(Fault::HeadTooLarge);
        }
        this.report.set_in_head(this.inbound.is_in_head());
        if let Err(fault) = judged {
            buffer.set_filled(before);
            return Poll::Ready(Err(this.fail(fault)));
        }
        Poll::Ready(Ok(()))
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
        let count = ready!(Pin::new(&mut this.tls).poll_write_vectored(cx, slices))?;
        this.written(slices, count);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
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
    use super::reset_reason;

    #[test]
    fn data_after_the_end_of_a_stream_is_no_drop_of_its_own() {
        let cases = [
            (0, None),
            (1, Some("http2_stream")),
            (2, None),
            (3, Some("http2_stream")),
            (5, None),
            (7, Some("http2_too_many_streams")),
            (8, None),
        ];
        for (code, reason) in cases {
            assert_eq!(reset_reason(code), reason, "{code}");
        }
    }
}
