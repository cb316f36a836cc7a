//! A request's body that must keep coming: a slow sender does not hold a slot for ever. What a handler
//! leaves of one is read on while its answer goes out: clients that are still sending often do not see an
//! answer whose stream or connection is closed under them.

use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use model::limit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

use super::pace;

/// How long what is left of a body is read after its answer, at most.
pub(super) const LINGER: Duration = Duration::from_secs(5);
/// Bytes of it.
pub(super) const LINGER_BYTES_MAX: usize = limit::BODY_BYTES_MAX;

/// See the file's head.
#[derive(Debug)]
pub(super) struct Timed {
    body: Option<Incoming>,
    version: Version,
    /// Where it goes when nobody reads it any more.
    left: Left,
    /// When all of it is too late; moves on with every byte.
    overall: Instant,
    stall: Duration,
    deadline: Pin<Box<Sleep>>,
}

impl Timed {
    /// Fails once nothing has come for `stall`, or less than the slowest rate after it.
    pub(super) fn new(body: Incoming, version: Version, left: Left, stall: Duration) -> Self {
        let overall = Instant::now() + stall;
        Self {
            body: Some(body),
            version,
            left,
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
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                this.overall += pace::time_of(bytes);
                let next = this.overall.min(Instant::now() + this.stall);
                this.deadline.as_mut().reset(next);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(Error::Broken(error)))),
            // The library takes a stream that is reset without an error for a body that has ended. What
            // it says of HTTP/1 is so, and it cannot tell there that chunks have ended.
            Poll::Ready(None) if this.version == Version::HTTP_2 && !body.is_end_stream() => {
                Poll::Ready(Some(Err(Error::CutOff)))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if this.deadline.as_mut().poll(cx).is_ready() => {
                Poll::Ready(Some(Err(Error::TooSlow(collect::TooSlow))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|it| !it.is_end_stream()) {
            self.left.put(body);
        }
    }
}

/// What is left of the body of one request. A cheap handle.
#[derive(Debug, Clone, Default)]
pub(super) struct Left(Arc<Mutex<Option<Incoming>>>);

impl Left {
    fn put(&self, body: Incoming) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
    }

    fn take(&self) -> Option<Incoming> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether there is something.
    pub(super) fn is_some(&self) -> bool {
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left.is_some()
    }

    /// Begins to read it.
    pub(super) fn read(&self) -> Option<Reading> {
        self.take().map(|body| Reading {
            body,
            bytes: 0,
            deadline: Box::pin(tokio::time::sleep(LINGER)),
        })
    }
}

/// A body that is read and not kept.
#[derive(Debug)]
pub(super) struct Reading {
    body: Incoming,
    bytes: usize,
    deadline: Pin<Box<Sleep>>,
}

impl Reading {
    /// Ready when no more is read: it has ended, or has gone on for too long.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.bytes <= LINGER_BYTES_MAX {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    self.bytes = self.bytes.saturating_add(bytes);
                }
                Poll::Ready(Some(Err(_)) | None) => break,
                Poll::Pending => return self.deadline.as_mut().poll(cx),
            }
        }
        Poll::Ready(())
    }
}

/// Why a body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The sender stopped sending.
    #[error("the sender stopped sending")]
    TooSlow(#[source] collect::TooSlow),
    /// The sender gave its stream up.
    #[error("the sender gave the stream up")]
    CutOff,
    /// The connection or the framing broke.
    #[error("the body broke off")]
    Broken(#[source] hyper::Error),
}
