//! A TLS stream that hands the HTTP/1 library sound requests only, and lets nothing out that is not
//! an answer of ours. Of what is not sound the collect plane says nothing; the others say a status.

use http::{StatusCode, Uri};
use model::record::Plane;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

use super::body::{LINGER, LINGER_BYTES_MAX};
use super::busy::Busy;
use super::framing::{Fault, Framing};
use super::heads::Room;
use super::report::Report;
use super::stream::{Patient, farewell};

/// What the library writes by itself when a client wants to be asked for its body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// See the file's head.
#[derive(Debug)]
pub(super) struct Strict {
    tls: TlsStream<Patient>,
    framing: Framing,
    /// Of the head that is coming in.
    room: Room,
    /// Sound bytes that the library has not taken yet.
    ready: Vec<u8>,
    given: usize,
    fault: Option<Fault>,
    /// How the peer has ended.
    end: Option<io::Result<()>>,
    /// What is still to be said of the fault.
    last: Vec<u8>,
    /// Reads what is left of a body, once everything has been written.
    linger: Option<Linger>,
    /// Something was written and is not known to have left.
    is_unflushed: bool,
    /// Who waits for that before it reads.
    waiting: Option<Waker>,
    busy: Busy,
    report: Report,
}

impl Strict {
    pub(super) fn new(tls: TlsStream<Patient>, room: Room, busy: Busy, report: Report) -> Self {
        Self {
            tls,
            framing: Framing::default(),
            room,
            ready: Vec::new(),
            given: 0,
            fault: None,
            end: None,
            last: Vec::new(),
            linger: None,
            is_unflushed: false,
            waiting: None,
            busy,
            report,
        }
    }

    /// Gives the library what waits for it; false when nothing does.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let rest = self.ready.get(self.given..).unwrap_or_default();
        if rest.is_empty() {
            self.ready = Vec::new();
            self.given = 0;
            return false;
        }
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(rest.get(..count).unwrap_or_default());
        self.given += count;
        true
    }

    /// Remembers a fault, and says it where it is no request's own.
    fn fail(&mut self, fault: Fault) {
        if self.fault.replace(fault).is_some() {
            return;
        }
        let status = fault.status().filter(|_| self.may_tell());
        if let Some(status) = status {
            self.last = told(status);
        }
        if !self.framing.is_in_body() {
            let status = status.map_or(0, |it| it.as_u16());
            let (method, target) = self.framing.asked();
            let (method, path) = (Box::from(method), path_of(target));
            self.report
                .refuse_head(fault.reason(), status, method, path);
        }
        self.report.set_in_head(false);
    }

    /// Whether a fault may be told: a peer that has asked for something before would take it for the
    /// answer to that.
    fn may_tell(&self) -> bool {
        let is_silent = self.report.about().plane == Plane::Collect;
        !is_silent && self.framing.requests_before() == 0 && !self.report.is_answered()
    }

    /// Whether there was a fault between requests, after one that was answered: what the library has
    /// not written of that answer it still writes.
    fn has_answered(&self) -> bool {
        self.fault.is_some() && !self.framing.is_in_body() && self.report.is_answered()
    }

    /// Ready when everything that was asked before has been answered, and the answers have left.
    fn poll_answered(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.busy.poll_ended(self.framing.requests_before(), cx));
        if self.is_unflushed {
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Says what is to be said of a fault, and reads what the peer still sends: closed with bytes
    /// unread, the connection would be reset, and the words be lost.
    fn poll_told(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.last.is_empty() && self.linger.is_none() {
            return Poll::Ready(Ok(()));
        }
        while !self.last.is_empty() {
            let count = ready!(Pin::new(&mut self.tls).poll_write(cx, &self.last))?;
            self.last.drain(..count);
        }
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.tls).poll_shutdown(cx))?;
        }
        self.poll_linger(cx).map(Ok)
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let linger = self.linger.get_or_insert_with(Linger::new);
        linger.poll_end(&mut self.tls, cx)
    }

    /// How many of the first of `bytes` are not written and look as if they had been.
    fn judge(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.starts_with(CONTINUE) {
            // An answer may stand behind it.
            let is_withheld = self.fault.is_some() || !self.report.may_go_on();
            return Ok(if is_withheld { CONTINUE.len() } else { 0 });
        }
        if self.fault.is_some() && !self.report.is_answered() {
            return Err(broken());
        }
        if self.report.is_answered() || self.report.may_go_on() {
            return Ok(0);
        }
        // The library would say something by itself: nothing that passes `Framing` makes it.
        self.fail(Fault::Refused);
        Err(broken())
    }
}

/// The path of a target, cleaned. It may be a whole URL, with a user and a password in it.
fn path_of(target: &str) -> Box<str> {
    let uri = Uri::try_from(target).unwrap_or_default();
    collect::cleaned_path(if target.is_empty() { "" } else { uri.path() })
}

/// An answer that says a status and no more.
fn told(status: StatusCode) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").into_bytes()
}

fn broken() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "not HTTP/1 as it is spoken here",
    )
}

impl AsyncRead for Strict {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if buffer.remaining() == 0 || this.give(buffer) {
                return Poll::Ready(Ok(()));
            }
            if this.fault.is_some() {
                // What was sound is answered.
                ready!(this.busy.poll_ended(this.framing.requests_before(), cx));
                // Said or not: the connection is over.
                drop(ready!(this.poll_told(cx)));
                if this.has_answered() && this.is_unflushed {
                    // An end now would cut the answer off.
                    this.waiting = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                if this.has_answered() {
                    return Poll::Ready(Ok(()));
                }
                return Poll::Ready(Err(broken()));
            }
            if this.end.is_some() {
                // The library gives up what is in progress when it hears of an end. Whoever has asked and
                // gone is not spared: what they sent is kept, or dropped, and has its line.
                ready!(this.poll_answered(cx));
                return Poll::Ready(this.end.replace(Ok(())).unwrap_or(Ok(())));
            }
            let before = buffer.filled().len();
            let read = ready!(Pin::new(&mut this.tls).poll_read(cx, buffer));
            let came = buffer.filled().get(before..).unwrap_or_default();
            if came.is_empty() {
                // Most who close do not say so before, which is an error of TLS.
                if this.framing.is_in_head() {
                    this.fail(Fault::HeadBroken);
                }
                this.end = Some(read);
                continue;
            }
            if this.framing.pass(came) {
                return Poll::Ready(Ok(()));
            }
            let judged = this.framing.push(came, &mut this.ready);
            buffer.set_filled(before);
            let has_room = this.room.set(this.framing.head_bytes());
            match judged {
                Ok(()) if !has_room => this.fail(Fault::HeadTooLarge),
                Ok(()) => this.report.set_in_head(this.framing.is_in_head()),
                Err(fault) => this.fail(fault),
            }
        }
    }
}

impl AsyncWrite for Strict {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.is_unflushed = true;
        match self.judge(bytes)? {
            0 => Pin::new(&mut self.tls).poll_write(cx, bytes),
            withheld => Poll::Ready(Ok(withheld)),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.is_unflushed = true;
        let first = slices.iter().find(|it| !it.is_empty());
        match self.judge(first.map_or(&[], |it| it))? {
            0 => Pin::new(&mut self.tls).poll_write_vectored(cx, slices),
            withheld => Poll::Ready(Ok(withheld)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.tls).poll_flush(cx))?;
        self.is_unflushed = false;
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.tls).poll_shutdown(cx))?;
        }
        let is_cut = this.fault.is_none() && this.framing.is_in_body();
        if is_cut || this.has_answered() {
            // As after a fault.
            ready!(this.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

/// What still comes on a connection that is closed, read and not kept.
#[derive(Debug)]
struct Linger {
    bytes: usize,
    deadline: Pin<Box<Sleep>>,
}

impl Linger {
    fn new() -> Self {
        Self {
            bytes: 0,
            deadline: Box::pin(tokio::time::sleep(LINGER)),
        }
    }

    /// Ready when the peer has ended too, or has gone on for too long.
    fn poll_end(&mut self, tls: &mut TlsStream<Patient>, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; 8 * 1024];
        while self.bytes <= LINGER_BYTES_MAX {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut *tls).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.bytes = self.bytes.saturating_add(buffer.filled().len());
                }
                Poll::Ready(_) => break,
                Poll::Pending => return self.deadline.as_mut().poll(cx),
            }
        }
        Poll::Ready(())
    }
}

impl Drop for Strict {
    fn drop(&mut self) {
        farewell(&mut self.tls, &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::{Framing, path_of};

    #[test]
    fn what_was_asked_is_known_without_its_query_string() {
        let cases = [
            ("/a%20b?token=secret", "/a%20b"),
            ("http://user:secret@other/a?b", "/a"),
            ("http://user:secret@other", "/"),
            ("user:secret@other:443", ""),
        ];
        for (target, path) in cases {
            let mut framing = Framing::default();
            let bytes = format!("GET {target} HTTP/1.1\r\nHost: a\n");
            assert!(framing.push(bytes.as_bytes(), &mut Vec::new()).is_err());
            let (method, asked) = framing.asked();
            assert_eq!((method, &*path_of(asked)), ("GET", path), "{target}");
        }
        assert_eq!(&*path_of(Framing::default().asked().1), "");
    }
}
