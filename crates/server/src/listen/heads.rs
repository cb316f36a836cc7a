//! The memory that heads of requests take on one plane, beside the limit of each: many large ones at a
//! time are no client's habit. Small ones always have room.

use http::Request;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of every head that are not counted.
const SMALL_BYTES: usize = 8 * 1024;
/// Bytes of all heads beyond that.
const HEADS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What a header takes beside its text.
const HEADER_BYTES: usize = 32;

/// All heads of one plane. A cheap handle.
#[derive(Debug, Clone, Default)]
pub(super) struct Heads(Arc<AtomicUsize>);

impl Heads {
    /// The room of one head, which is empty.
    pub(super) fn room(&self) -> Room {
        Room {
            heads: self.clone(),
            bytes: 0,
        }
    }
}

/// The room of one head; given back on drop.
#[derive(Debug)]
pub(super) struct Room {
    heads: Heads,
    bytes: usize,
}

impl Room {
    /// Says how large the head is now; false when there is no room for that much.
    pub(super) fn set(&mut self, bytes: usize) -> bool {
        let counted = bytes.saturating_sub(SMALL_BYTES);
        let all = &self.heads.0;
        if counted <= self.bytes {
            all.fetch_sub(self.bytes - counted, Ordering::Relaxed);
            self.bytes = counted;
            return true;
        }
        let more = counted - self.bytes;
        let before = all.fetch_add(more, Ordering::Relaxed);
        if before.saturating_add(more) > HEADS_BYTES_MAX {
            all.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.bytes = counted;
        true
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.heads.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What the head of a request takes.
pub(super) fn bytes_of<B>(request: &Request<B>) -> usize {
    let target = request.uri().path_and_query();
    let target = target.map_or(0, |it| it.as_str().len());
    let headers = request.headers().iter();
    headers.fold(target, |sum, (name, value)| {
        let text = name.as_str().len().saturating_add(value.len());
        sum.saturating_add(text).saturating_add(HEADER_BYTES)
    })
}

#[cfg(test)]
mod tests {
    use super::{HEADS_BYTES_MAX, Heads, SMALL_BYTES};
    use std::sync::atomic::Ordering;

    #[test]
    fn large_heads_share_what_there_is_and_small_ones_always_have_room() {
        let heads = Heads::default();
        let large = SMALL_BYTES + 100 * 1024;
        let mut rooms: Vec<_> = (0..1_000).map(|_| heads.room()).collect();
        let fit: usize = rooms.iter_mut().map(|it| usize::from(it.set(large))).sum();
        assert_eq!(fit, HEADS_BYTES_MAX / (100 * 1024));
        assert!(heads.room().set(SMALL_BYTES));
        assert!(!heads.room().set(large));
        for room in &mut rooms {
            // The head is complete, and another begins.
            assert!(room.set(0));
        }
        assert!(rooms[0].set(large));
        drop(rooms);
        assert_eq!(heads.0.load(Ordering::Relaxed), 0);
    }
}
