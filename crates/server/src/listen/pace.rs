//! How slow a peer may be. It may keep us waiting for so long in all; every byte that it moves gives
//! back the time that the byte takes at the slowest rate. So neither silence nor a byte now and then
//! holds a connection, and whoever keeps to the rate is waited for as long as it takes.

use std::time::Duration;

/// The slowest that a peer may send a body or take an answer, after the time to begin.
const BYTES_PER_SECOND_MIN: u64 = 16 * 1024;

/// How long so many bytes may take at the slowest rate.
pub(super) const fn time_of(bytes: u64) -> Duration {
    Duration::from_micros(bytes.saturating_mul(1_000_000) / BYTES_PER_SECOND_MIN)
}

/// How long a peer may still be waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    left: Duration,
    most: Duration,
}

impl Patience {
    pub(super) const fn new(most: Duration) -> Self {
        Self { left: most, most }
    }

    /// How long the peer may still be waited for.
    pub(super) const fn left(self) -> Duration {
        self.left
    }

    /// The peer was waited for.
    pub(super) fn waited(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
    }

    /// The peer has moved so many bytes.
    pub(super) fn moved(&mut self, bytes: u64) {
        self.left = self.left.saturating_add(time_of(bytes)).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::Patience;
    use std::time::Duration;

    /// After how many waits of a second, each of which ends with so many bytes, the patience is used up.
    fn waits(bytes: u64) -> Option<usize> {
        let mut patience = Patience::new(Duration::from_secs(15));
        (1..=100_000).find(|_| {
            patience.waited(Duration::from_secs(1));
            let is_used_up = patience.left().is_zero();
            patience.moved(bytes);
            is_used_up
        })
    }

    #[test]
    fn who_keeps_to_the_slowest_rate_is_waited_for_and_nobody_else() {
        let cases = [
            (0, Some(15)),
            (1, Some(16)),
            (8 * 1024, Some(29)),
            (16 * 1024, None),
            (1 << 30, None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(waits(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn no_more_patience_is_saved_up_than_there_was_at_first() {
        let mut patience = Patience::new(Duration::from_secs(15));
        patience.moved(u64::MAX);
        patience.waited(Duration::from_secs(14));
        assert_eq!(patience.left(), Duration::from_secs(1));
        patience.moved(16 * 1024);
        assert_eq!(patience.left(), Duration::from_secs(2));
    }
}
