//! How many connections each peer has: one peer cannot take every slot of a plane.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// The connections of one plane, by peer. A cheap handle.
#[derive(Debug, Clone, Default)]
pub(super) struct Peers(Arc<Mutex<HashMap<IpAddr, u32>>>);

/// A connection that is counted, until it is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    peers: Peers,
    peer: IpAddr,
}

impl Peers {
    /// Counts a connection; none when the peer has `most` already.
    pub(super) fn enter(&self, address: IpAddr, most: u32) -> Option<Counted> {
        let peer = group(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(peer).or_insert(0);
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Counted {
            peers: self.clone(),
            peer,
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.peer);
            }
        }
    }
}

/// How many of a plane's connections one peer may have: half of them at most, when `wanted` is more.
pub(super) fn share(wanted: u32, connections: u32) -> u32 {
    wanted.min((connections / 2).max(1))
}

/// Whose connection it is: an IPv4 address, or the /64 that one IPv6 customer has.
fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::{Peers, share};

    #[test]
    fn no_share_is_more_than_half() {
        let cases = [
            (2_048, 4_096, 2_048),
            (2_048, 1_194, 597),
            (2_048, 42, 21),
            (16, 42, 16),
            (2_048, 1, 1),
        ];
        for (wanted, connections, expected) in cases {
            assert_eq!(share(wanted, connections), expected, "{connections}");
        }
    }

    #[test]
    fn a_peer_has_its_share_and_gets_it_back() {
        let peers = Peers::default();
        let enter = |address: &str| peers.enter(address.parse().unwrap(), 2);
        let (one, two) = (enter("203.0.113.9"), enter("::ffff:203.0.113.9"));
        assert!(one.is_some() && two.is_some());
        assert!(enter("203.0.113.9").is_none());
        assert!(enter("203.0.113.10").is_some());
        drop(one);
        assert!(enter("203.0.113.9").is_some());
        let (_three, _four) = (enter("2001:db8::1"), enter("2001:db8::2"));
        assert!(enter("2001:db8:0:0:9::3").is_none(), "the same /64");
        assert!(enter("2001:db8:0:1::3").is_some());
        drop(two);
        assert!(enter("203.0.113.9").is_some());
        assert_eq!(peers.0.lock().unwrap().len(), 1, "only those that are held");
    }
}
