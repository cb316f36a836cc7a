//! Who stands behind a proxy.

use governance::Network;
use http::{HeaderMap, HeaderValue};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The client that trusted proxies speak for: the last address of `X-Forwarded-For` that is not one
/// of theirs, because what stands before it the client may have written itself, whatever it is. None
/// when there is none, or what stands in its place is not an address: a proxy wrote that.
pub(super) fn client(headers: &HeaderMap, proxies: &[Network]) -> Option<IpAddr> {
    let values = headers.get_all(FORWARDED_FOR).iter();
    let values: Vec<&[u8]> = values.map(HeaderValue::as_bytes).collect();
    let hops = values.iter().flat_map(|it| it.split(|byte| *byte == b','));
    for hop in hops.rev() {
        let address = address(std::str::from_utf8(hop).ok()?)?.to_canonical();
        if !proxies.iter().any(|it| it.contains(address)) {
            return Some(address);
        }
    }
    None
}

/// The address of a hop, however a proxy writes it: with a port or without, in quotes or not, one of
/// IPv6 in brackets or not.
fn address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let quoted = hop.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    let hop = quoted.unwrap_or(hop);
    let bracketed = hop.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    if let Some(within) = bracketed {
        return within.parse::<Ipv6Addr>().map(IpAddr::V6).ok();
    }
    let alone = hop.parse::<IpAddr>();
    let found = alone.or_else(|_| hop.parse::<SocketAddr>().map(|it| it.ip()));
    found.ok()
}

#[cfg(test)]
mod tests {
    use super::client;
    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};
    use std::net::{IpAddr, SocketAddr};

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append("x-forwarded-for", value);
        }
        headers
    }

    #[test]
    fn the_client_is_the_last_hop_that_is_no_proxy() {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        let cases: [(&[&str], Option<&str>); 18] = [
            (&[], None),
            (&["192.0.2.1"], Some("192.0.2.1")),
            (&["6.6.6.6, 192.0.2.1"], Some("192.0.2.1")),
            (&["6.6.6.6, 192.0.2.1, 10.1.2.3"], Some("192.0.2.1")),
            (&["6.6.6.6", "192.0.2.1,10.1.2.3"], Some("192.0.2.1")),
            (&["10.9.9.9"], None),
            (&["192.0.2.1, unknown"], None),
            (&["::ffff:192.0.2.1"], Some("192.0.2.1")),
            (&["6.6.6.6, 192.0.2.1:5678, 10.1.2.3:80"], Some("192.0.2.1")),
            (&["[2001:db8::1]:443"], Some("2001:db8::1")),
            (&["\"[2001:db8::1]\""], Some("2001:db8::1")),
            (&["[::ffff:192.0.2.1]:443"], Some("192.0.2.1")),
            (&["192.0.2.1:port"], None),
            (&["[192.0.2.1]"], None),
            (&["\"192.0.2.1"], None),
            (&["\u{e9}, 192.0.2.1"], Some("192.0.2.1")),
            (&["\u{e9}", "192.0.2.1, 10.1.2.3"], Some("192.0.2.1")),
            (&["192.0.2.1, \u{e9}"], None),
        ];
        for (values, expected) in cases {
            let found = client(&headers(values), &proxies).map(|it| it.to_string());
            assert_eq!(found.as_deref(), expected, "{values:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn an_address_is_the_same_client_with_a_port_and_without(
            v4 in any::<u32>(),
            v6 in any::<u128>(),
            port in any::<u16>(),
        ) {
            for address in [IpAddr::V4(v4.into()), IpAddr::V6(v6.into())] {
                let alone = address.to_string();
                let with_port = SocketAddr::new(address, port).to_string();
                let (without, _) = with_port.rsplit_once(':').unwrap();
                for hop in [alone.as_str(), without, with_port.as_str()] {
                    for hop in [hop.to_owned(), format!("\"{hop}\"")] {
                        let found = client(&headers(&[&hop]), &[]);
                        prop_assert_eq!(found, Some(address.to_canonical()), "{}", hop);
                    }
                }
            }
        }
    }
}
