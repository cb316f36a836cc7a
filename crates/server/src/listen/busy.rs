//! How many requests of one connection are in progress: from their head to the last byte of their
//! answer. When the server stops, it waits for these and not for peers that are merely connected.

use axum::body::{Body, Bytes};
use futures::task::AtomicWaker;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use super::body::{Left, Reading};
use super::crowd::Place;
use super::pace::Patience;

/// How often a connection is looked at while the server stops.
const PAUSE: Duration = Duration::from_millis(50);
/// Looks in a row at which nothing was in progress: time for the last bytes to leave.
const QUIET_LOOKS: u32 = 8;

/// The count of one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Busy(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Requests that have begun and have not ended.
    in_progress: AtomicUsize,
    /// Those whose answers wait for the peer to take them.
    offered: AtomicUsize,
    /// Requests that have ever begun.
    begun: AtomicUsize,
    /// Who waits for requests to end.
    waiting: AtomicWaker,
}

/// Why a connection is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idle {
    /// No request for too long.
    Nothing,
    /// Nobody takes the answers.
    NotTaken,
}

/// One request in progress, until it is dropped.
#[derive(Debug)]
pub(super) struct Token {
    busy: Busy,
    /// Given back with the token.
    _place: Option<Place>,
}

impl Busy {
    /// Counts a request, and keeps its place.
    pub(super) fn begin(&self, place: Option<Place>) -> Token {
        self.0.in_progress.fetch_add(1, Ordering::Relaxed);
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        Token {
            busy: self.clone(),
            _place: place,
        }
    }

    /// How many there are now.
    pub(super) fn in_progress(&self) -> usize {
        self.0.in_progress.load(Ordering::Relaxed)
    }

    /// Ready once so many requests have begun and ended.
    pub(super) fn poll_ended(&self, count: usize, cx: &Context<'_>) -> Poll<()> {
        self.0.waiting.register(cx.waker());
        let begun = self.0.begun.load(Ordering::Relaxed);
        if begun.saturating_sub(self.in_progress()) < count {
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Ready once no more than `count` are in progress.
    pub(super) fn poll_left(&self, count: usize, cx: &Context<'_>) -> Poll<()> {
        self.0.waiting.register(cx.waker());
        match self.in_progress() > count {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }

    /// Returns once no request has come for `idle`, or the peer has taken nothing of what is ready
    /// for it for `stall`: `sent` says how much it has taken. Whoever takes something has longer, as long as
    /// that takes at the slowest rate.
    pub(super) async fn idle(
        &self,
        idle: Duration,
        stall: Duration,
        sent: impl Fn() -> u64,
    ) -> Idle {
        let pause = idle.min(stall) / 4;
        let state = || (self.0.begun.load(Ordering::Relaxed), sent());
        let mut before = state();
        let (mut quiet, mut patience) = (Patience::new(idle), Patience::new(stall));
        let mut was_waiting = false;
        loop {
            tokio::time::sleep(pause).await;
            let now = state();
            let taken = now.1.saturating_sub(before.1);
            // What the library holds of an answer that has ended goes out without a request in progress.
            if self.in_progress() == 0 && now.0 == before.0 {
                quiet.moved(taken);
                quiet.waited(pause);
            } else {
                quiet = Patience::new(idle);
            }
            // An answer that is ready waits for the peer, whatever else is being worked on: one body that
            // drips would hold the others for ever.
            let is_waiting = self.0.offered.load(Ordering::Relaxed) > 0;
            if is_waiting && was_waiting {
                patience.moved(taken);
                patience.waited(pause);
            } else {
                patience = Patience::new(stall);
            }
            (before, was_waiting) = (now, is_waiting);
            if quiet.left().is_zero() {
                return Idle::Nothing;
            }
            if patience.left().is_zero() {
                return Idle::NotTaken;
            }
        }
    }

    /// Returns once nothing has been in progress for a moment.
    pub(super) async fn quiet(&self) {
        let mut looks = 0;
        while looks < QUIET_LOOKS {
            tokio::time::sleep(PAUSE).await;
            looks = if self.in_progress() == 0 {
                looks + 1
            } else {
                0
            };
        }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.busy.0.in_progress.fetch_sub(1, Ordering::Relaxed);
        self.busy.0.waiting.wake();
    }
}

impl Token {
    /// The answer's body, which holds the token until it has been sent or given up, and does not end
    /// before what is `left` of the request's has been read.
    pub(super) fn hold(self, body: Body, left: Left) -> Body {
        self.busy.0.offered.fetch_add(1, Ordering::Relaxed);
        Body::new(Held {
            body,
            left,
            reading: None,
            token: self,
            is_offered: true,
        })
    }
}

struct Held {
    body: Body,
    left: Left,
    /// The body has ended, and what is left of the request's is read.
    reading: Option<Reading>,
    token: Token,
    /// Whether the next piece waits for the peer, and not the peer for it.
    is_offered: bool,
}

impl Held {
    /// Reads what is left of the request's body.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.reading.is_none() {
            self.reading = self.left.read();
        }
        match &mut self.reading {
            Some(reading) => reading.poll_end(cx),
            None => Poll::Ready(()),
        }
    }

    fn set_offered(&mut self, is_offered: bool) {
        if self.is_offered == is_offered {
            return;
        }
        self.is_offered = is_offered;
        let offered = &self.token.busy.0.offered;
        if is_offered {
            offered.fetch_add(1, Ordering::Relaxed);
        } else {
            offered.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set_offered(false);
    }
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut polled = match self.reading {
            Some(_) => Poll::Ready(None),
            None => Pin::new(&mut self.body).poll_frame(cx),
        };
        if matches!(polled, Poll::Ready(None)) && self.poll_left(cx).is_pending() {
            polled = Poll::Pending;
        }
        self.set_offered(polled.is_ready());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.reading.is_none() && !self.left.is_some()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
