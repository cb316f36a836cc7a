//! The requests that are in progress on one plane, beside the first of each connection: over HTTP/2 a
//! peer opens many for a few bytes each, and may leave all answers lying until its time is over.

use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::peers::{Counted, Peers};

/// Requests beside the first of each connection.
const REQUESTS_MAX: u32 = 4_096;

/// The requests of one plane. A cheap handle.
#[derive(Debug, Clone)]
pub(super) struct Crowd {
    places: Arc<Semaphore>,
    peers: Peers,
}

/// The place of one request; given back on drop.
#[derive(Debug)]
pub(super) struct Place {
    _place: OwnedSemaphorePermit,
    _counted: Counted,
}

impl Default for Crowd {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(REQUESTS_MAX as usize)),
            peers: Peers::default(),
        }
    }
}

impl Crowd {
    /// A place for one more request of a peer; none when all are taken, or half of them by the peer. A
    /// proxy stands for many.
    pub(super) fn enter(&self, peer: IpAddr, is_proxy: bool) -> Option<Place> {
        let most = if is_proxy {
            REQUESTS_MAX
        } else {
            REQUESTS_MAX / 2
        };
        Some(Place {
            _counted: self.peers.enter(peer, most)?,
            _place: Arc::clone(&self.places).try_acquire_owned().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Crowd, REQUESTS_MAX};

    #[test]
    fn one_peer_takes_half_of_the_places_and_all_together_no_more_than_there_are() {
        let crowd = Crowd::default();
        let enter = |peer: u8| crowd.enter([203, 0, 113, peer].into(), false);
        let taken = |peer: u8| {
            (0..REQUESTS_MAX)
                .map_while(|_| enter(peer))
                .collect::<Vec<_>>()
        };
        let (one, two) = (taken(1), taken(2));
        assert_eq!([one.len(), two.len()], [REQUESTS_MAX as usize / 2; 2]);
        assert!(enter(3).is_none(), "all are taken");
        drop(one);
        assert!(enter(2).is_none(), "half of them by the peer");
        assert!(enter(3).is_some());
        drop(two);
        assert_eq!(crowd.places.available_permits(), REQUESTS_MAX as usize);
        let by_proxy = (0..=REQUESTS_MAX).map_while(|_| crowd.enter([203, 0, 113, 4].into(), true));
        assert_eq!(by_proxy.collect::<Vec<_>>().len(), REQUESTS_MAX as usize);
    }
}
