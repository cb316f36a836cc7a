//! How much of a peer's address is kept.

use model::Secret;
use model::record::Peer;
use std::net::IpAddr;

/// The peer of an SDK's request that did not allow more (`useIP` was not sent): a keyed hash, so
/// that requests of one client can be told to belong together, and the network.
pub(crate) fn hashed_peer(key: &Secret<[u8; 32]>, address: IpAddr) -> Peer {
    let address = address.to_canonical();
    let digest = match address {
        IpAddr::V4(v4) => blake3::keyed_hash(key.expose(), &v4.octets()),
        IpAddr::V6(v6) => blake3::keyed_hash(key.expose(), &v6.octets()),
    };
    let mut hash = [0; 8];
    hash.iter_mut()
        .zip(digest.as_bytes())
        .for_each(|(to, from)| *to = *from);
    Peer::Hashed {
        hash,
        network: network(address),
    }
}

/// The peer of a request of which it is not known whose SDK sends it: the network alone.
pub(crate) fn network_peer(address: IpAddr) -> Peer {
    Peer::Hashed {
        hash: [0; 8],
        network: network(address),
    }
}

/// The network that an address is in, as it is kept and shown: `203.0.113.0/24`, `2001:db8:7::/48`.
#[must_use]
pub fn network(address: IpAddr) -> Box<str> {
    let network = match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    };
    network.into_boxed_str()
}
