//! A TCP stream that reads ahead of a peer that sends much, and that does not wait for ever to be
//! written, nor for a peer that takes a little now and then.

use bytes::{Buf as _, BytesMut};
use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;
use tokio_util::io::poll_read_buf;

use super::hello::BYTES;
use super::pace::Patience;

/// Bytes that are read at once of a peer that sends much. The TLS library asks for 4 KiB at a time.
const AHEAD_BYTES: usize = 32 * 1024;

/// Bytes that are taken at the end of a connection, so that it is not reset.
const DISCARD_BYTES_MAX: usize = 256 * 1024;

/// See the file's head.
#[derive(Debug)]
pub(super) struct Patient {
    tcp: TcpStream,
    /// What has been read and not been asked for yet. Has no room while the peer is silent.
    ahead: BytesMut,
    /// The last read brought all that was asked for: there is more.
    is_busy: bool,
    /// With a peer that takes what is written.
    patience: Patience,
    /// Since when a write waits for the peer.
    since: Option<Instant>,
    /// Runs while one does.
    deadline: Pin<Box<Sleep>>,
}

impl Patient {
    /// A stream that first yields `ahead`, and fails once the peer has taken nothing for `stall`, or less
    /// than the slowest rate for longer.
    pub(super) fn new(tcp: TcpStream, ahead: [u8; BYTES], stall: Duration) -> Self {
        let deadline = Box::pin(tokio::time::sleep(stall));
        Self {
            tcp,
            ahead: BytesMut::from(&ahead[..]),
            is_busy: false,
            patience: Patience::new(stall),
            since: None,
            deadline,
        }
    }

    /// Keeps the time that writes have been waiting.
    fn judge(
        &mut self,
        cx: &mut Context<'_>,
        progress: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = progress {
            if let Some(since) = self.since.take() {
                self.patience.waited(since.elapsed());
            }
            let bytes = written.as_ref().copied().unwrap_or_default();
            self.patience.moved(bytes as u64);
            return Poll::Ready(written);
        }
        if self.since.is_none() {
            let now = Instant::now();
            self.since = Some(now);
            self.deadline.as_mut().reset(now + self.patience.left());
        }
        ready!(self.deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the peer takes too little",
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
        if this.ahead.is_empty() && this.is_busy {
            this.ahead.reserve(AHEAD_BYTES);
            let read = poll_read_buf(Pin::new(&mut this.tcp), cx, &mut this.ahead);
            if !matches!(read, Poll::Ready(Ok(1..))) {
                // A silent peer holds no memory.
                this.ahead = BytesMut::new();
                this.is_busy = false;
            }
            ready!(read)?;
        } else if this.ahead.is_empty() {
            let before = buffer.filled().len();
            let read = Pin::new(&mut this.tcp).poll_read(cx, buffer);
            this.is_busy = buffer.remaining() == 0 && buffer.filled().len() > before;
            return read;
        }
        let count = this.ahead.len().min(buffer.remaining());
        buffer.put_slice(this.ahead.get(..count).unwrap_or_default());
        this.ahead.advance(count);
        Poll::Ready(Ok(()))
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
    discard(&stream.tcp);
}

/// Takes what has come and was not read, without waiting: a connection that is closed with bytes unread
/// is reset, and what was written last may be lost with it.
pub(super) fn discard(tcp: &TcpStream) {
    let mut bytes = [0; 4 * 1024];
    let mut rest = DISCARD_BYTES_MAX;
    while rest > 0 {
        match tcp.try_read(&mut bytes) {
            Ok(count) if count > 0 => rest = rest.saturating_sub(count),
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

#[cfg(test)]
mod tests {
    use super::Patient;
    use crate::listen::hello::BYTES;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;
    use tokio::net::{TcpListener, TcpStream};

    /// Whether a peer is cut off for which every write waits a second, and which then takes so many bytes.
    async fn is_cut_off(bytes: usize) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tcp = TcpStream::connect(address).await.unwrap();
        let mut stream = Patient::new(tcp, [0; BYTES], Duration::from_secs(15));
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..100 {
            for seconds in [0, 1] {
                tokio::time::advance(Duration::from_secs(seconds)).await;
                if stream.judge(&mut cx, Poll::Pending).is_ready() {
                    return true;
                }
            }
            assert!(stream.judge(&mut cx, Poll::Ready(Ok(bytes))).is_ready());
        }
        false
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_too_little_at_each_write_is_cut_off_and_nobody_else() {
        for bytes in [1, 8 * 1024] {
            assert!(is_cut_off(bytes).await, "{bytes}");
        }
        for bytes in [16 * 1024, 1 << 20] {
            assert!(!is_cut_off(bytes).await, "{bytes}");
        }
    }
}
