//! Networks of addresses, as allowlists name them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network: the addresses that share its first bits. An IPv4 address that comes mapped into IPv6
/// is taken for what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Text that is not a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotANetwork;

impl fmt::Display for NotANetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not a network: write an address, or its first one and a number of bits after `/`",
        )
    }
}

impl std::error::Error for NotANetwork {}

impl Network {
    /// Whether `address` is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let same_kind = address.is_ipv4() == self.address.is_ipv4();
        same_kind && masked(address, self.bits) == number(self.address)
    }
}

/// The address as a number whose first bit is the address's first bit.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn masked(address: IpAddr, bits: u8) -> u128 {
    let kept = u128::MAX
        .checked_shr(bits.into())
        .map_or(u128::MAX, |rest| !rest);
    number(address) & kept
}

impl FromStr for Network {
    type Err = NotANetwork;

    /// An address alone is a network of one. The bits after the prefix must be zero, so that what
    /// is written is what is meant.
    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, bits) = match text.trim().split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) if bits.bytes().all(|it| it.is_ascii_digit()) => {
                bits.parse().map_err(|_| NotANetwork)?
            }
            Some(_) => return Err(NotANetwork),
            None => most,
        };
        let found = Self { address, bits };
        let mapped = address.to_canonical() != address;
        if bits > most || mapped || masked(address, bits) != number(address) {
            return Err(NotANetwork);
        }
        Ok(found)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::Network;
    use std::net::IpAddr;

    #[test]
    fn a_network_holds_the_addresses_that_share_its_first_bits() {
        let cases = [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("192.0.2.7", "::ffff:192.0.2.7", true),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "203.0.113.9", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("2001:db8::1/128", "2001:db8::1", true),
            ("2001:db8::1/128", "2001:db8::2", false),
        ];
        for (network, address, expect) in cases {
            let found: Network = network.parse().unwrap();
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(found.contains(address), expect, "{network} {address}");
            assert_eq!(found.to_string().parse(), Ok(found));
        }
    }

    #[test]
    fn what_is_not_a_network_is_refused() {
        for text in [
            "",
            "/",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "::1/129",
            "10/8",
            "a.b.c.d",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "::ffff:10.0.0.1",
            "10.0.0.0/-1",
            "example.com",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
