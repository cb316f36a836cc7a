//! Which streams of an HTTP/2 connection are requests.
//!
//! The library hands requests on without saying on which streams they came, and answers or resets by
//! itself what it does not hand on. So it is given one head at a time: whether it has handed that one on
//! is known before it is given anything else. And while a request is being refused it is given none: it
//! would hold all that come at once, with a reset for each, and keep that room until the connection ends.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Refused streams that are kept: more than the library lets wait for their resets.
const REFUSED_MAX: usize = 256;

/// Those of one connection. A cheap handle.
#[derive(Debug, Clone, Default)]
pub(super) struct Streams(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The one whose head the library was given last, until it is known what has become of it.
    given: Option<u32>,
    /// The last one that is a request: their numbers grow.
    last: u32,
    /// Those whose heads were refused, until their resets have been written.
    refused: BTreeSet<u32>,
    /// The request that is being refused, until its reset has been written.
    refusing: Option<u32>,
    /// Who waits for that.
    waiting: Option<Waker>,
}

impl Streams {
    /// The library is given a head.
    pub(super) fn give(&self, stream: u32) {
        self.state().given = Some(stream);
    }

    /// The library hands a request on: that of the head that it was given last. Says which; none when
    /// the peer has given it up already.
    pub(super) fn begin(&self) -> Option<u32> {
        let mut state = self.state();
        let stream = state.given.take()?;
        state.last = stream;
        Some(stream)
    }

    /// A request is refused: the library is going to reset its stream.
    pub(super) fn refuse(&self, stream: u32) {
        self.state().refusing = Some(stream);
    }

    /// Ready when no request is being refused.
    pub(super) fn poll_refused(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.refusing.is_none() {
            return Poll::Ready(());
        }
        state.waiting = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The library is done with the head that it was given last; whether it has kept it to itself, and
    /// said nothing of it.
    pub(super) fn settle(&self) -> bool {
        self.state().settle()
    }

    /// Whether a stream is a request.
    pub(super) fn is_request(&self, stream: u32) -> bool {
        let state = self.state();
        stream <= state.last && !state.refused.contains(&stream)
    }

    /// A stream has been reset; whether it was a request.
    pub(super) fn reset(&self, stream: u32) -> bool {
        let mut state = self.state();
        if state.given == Some(stream) {
            state.settle();
        }
        if state.refusing.take_if(|it| *it == stream).is_some()
            && let Some(reader) = state.waiting.take()
        {
            reader.wake();
        }
        let was_refused = state.refused.remove(&stream);
        stream <= state.last && !was_refused
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn settle(&mut self) -> bool {
        let Some(stream) = self.given.take() else {
            return false;
        };
        // So many are only left when the connection is ending: nothing becomes a request any more.
        if self.refused.len() < REFUSED_MAX {
            self.refused.insert(stream);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{REFUSED_MAX, Streams};
    use std::task::{Context, Waker};

    #[test]
    fn what_the_library_keeps_to_itself_is_no_request() {
        let streams = Streams::default();
        streams.give(1);
        assert!(!streams.is_request(1), "not yet");
        streams.begin();
        assert!(!streams.settle(), "it was handed on");
        streams.give(3);
        assert!(streams.settle());
        streams.give(5);
        streams.begin();
        let found = [1, 3, 5, 7].map(|it| streams.is_request(it));
        assert_eq!(found, [true, false, true, false]);
        assert_eq!([3, 5].map(|it| streams.reset(it)), [false, true]);
    }

    #[test]
    fn a_reset_is_what_the_library_says_of_a_head() {
        let streams = Streams::default();
        streams.give(1);
        assert!(!streams.reset(1));
        assert!(!streams.settle());
    }

    #[test]
    fn while_a_request_is_refused_nothing_else_is_read() {
        let streams = Streams::default();
        let cx = Context::from_waker(Waker::noop());
        streams.give(1);
        assert_eq!(streams.begin(), Some(1));
        assert!(streams.poll_refused(&cx).is_ready());
        streams.give(3);
        assert_eq!(streams.begin(), Some(3));
        assert_eq!(streams.begin(), None, "given up by the peer");
        streams.refuse(3);
        assert!(streams.poll_refused(&cx).is_pending());
        assert!(streams.reset(1), "another request");
        assert!(streams.poll_refused(&cx).is_pending());
        assert!(streams.reset(3), "refused, and a request all the same");
        assert!(streams.poll_refused(&cx).is_ready());
    }

    #[test]
    fn what_is_never_reset_is_kept_within_bounds() {
        let streams = Streams::default();
        for stream in 0..10_000 {
            streams.give(2 * stream + 1);
            streams.settle();
        }
        assert_eq!(streams.state().refused.len(), REFUSED_MAX);
        streams.give(20_001);
        streams.begin();
        assert!(!streams.is_request(1) && streams.is_request(20_001));
    }
}
