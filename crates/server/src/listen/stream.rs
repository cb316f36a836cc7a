//! A TCP stream that gives back what was read ahead, and that does not wait for ever to be written.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;

use super::hello::BYTES;

/// See the file's head.
#[derive(Debug)]
pub(super) struct Patient {
    tcp: TcpStream,
    ahead: [u8; BYTES],
    given: usize,
    stall: Duration,
    /// Runs while a write waits for the peer.
    deadline: Pin<Box<Sleep>>,
    waiting: bool,
}

impl Patient {
    /// A stream that first yields `ahead`, and fails once the peer has taken nothing for `stall`.
    pub(super) fn new(tcp: TcpStream, ahead: [u8; BYTES], stall: Duration) -> Self {
        let deadline = Box::pin(tokio::time::sleep(stall));
        Self {
            tcp,
            ahead,
            given: 0,
            stall,
            deadline,
            waiting: false,
        }
    }

    /// Keeps the time that a write has been waiting.
    fn judge<T>(
        &mut self,
        cx: &mut Context<'_>,
        progress: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.waiting = false;
            return progress;
        }
        if !self.waiting {
            self.waiting = true;
            let deadline = Instant::now() + self.stall;
            self.deadline.as_mut().reset(deadline);
        }
        ready!(self.deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the peer takes nothing",
        )))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(rest) = this.ahead.get(this.given..).filter(|rest| !rest.is_empty()) {
            let count = rest.len().min(buffer.remaining());
            buffer.put_slice(rest.get(..count).unwrap_or_default());
            this.given += count;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.judge(cx, progress)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.tcp).poll_write_vectored(cx, slices);
        self.judge(cx, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// Ends a TLS session as well as that can be done without waiting: `last`, which may be nothing, and
/// the notice that no more will come. A client then knows that nothing was cut off by somebody else.
pub(super) fn farewell(tls: &mut TlsStream<Patient>, last: &[u8]) {
    let (stream, session) = tls.get_mut();
    // A peer that takes nothing, or has gone, does not hear it.
    drop(session.writer().write_all(last));
    session.send_close_notify();
    while session.wants_write() {
        match session.write_tls(&mut AtOnce(&stream.tcp)) {
            Ok(count) if count > 0 => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// Writes what the system takes at once.
struct AtOnce<'a>(&'a TcpStream);

impl io::Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
