//! A request's body that must keep coming: a slow sender does not hold a slot for ever.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// The slowest that a body may be, after the time to begin.
const BYTES_PER_SECOND_MIN: u64 = 16 * 1024;

/// See the file's head.
#[derive(Debug)]
pub(super) struct Timed {
    body: Incoming,
    /// When all of it is too late; moves on with every byte.
    overall: Instant,
    stall: Duration,
    deadline: Pin<Box<Sleep>>,
}

impl Timed {
    /// Fails once nothing has come for `stall`, or less than the slowest rate after it.
    pub(super) fn new(body: Incoming, stall: Duration) -> Self {
        let overall = Instant::now() + stall;
        Self {
            body,
            overall,
            stall,
            deadline: Box::pin(tokio::time::sleep_until(overall)),
        }
    }
}

impl Body for Timed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                this.overall += Duration::from_micros(bytes * 1_000_000 / BYTES_PER_SECOND_MIN);
                let next = this.overall.min(Instant::now() + this.stall);
                this.deadline.as_mut().reset(next);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(Error::Broken(error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if this.deadline.as_mut().poll(cx).is_ready() => {
                Poll::Ready(Some(Err(Error::TooSlow(collect::TooSlow))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Why a body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The sender stopped sending.
    #[error("the sender stopped sending")]
    TooSlow(#[source] collect::TooSlow),
    /// The connection or the framing broke.
    #[error("the body broke off")]
    Broken(#[source] hyper::Error),
}
