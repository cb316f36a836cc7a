//! How many requests of one connection are in progress: from their head to the last byte of their
//! answer. When the server stops, it waits for these and not for peers that are merely connected.

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

/// How often a connection is looked at while the server stops.
const PAUSE: Duration = Duration::from_millis(50);
/// Looks in a row at which nothing was in progress: time for the last bytes to leave.
const QUIET_LOOKS: u32 = 8;

/// The count of one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Busy(Arc<AtomicUsize>);

/// One request in progress, until it is dropped.
#[derive(Debug)]
pub(super) struct Token(Busy);

impl Busy {
    /// Counts a request.
    pub(super) fn begin(&self) -> Token {
        self.0.fetch_add(1, Ordering::Relaxed);
        Token(self.clone())
    }

    /// How many there are now.
    pub(super) fn in_progress(&self) -> usize {
        self.0.load(Ordering::Relaxed)
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
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Token {
    /// The answer's body, which holds the token until it has been sent or given up.
    pub(super) fn hold(self, body: Body) -> Body {
        Body::new(Held { body, _token: self })
    }
}

struct Held {
    body: Body,
    _token: Token,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
