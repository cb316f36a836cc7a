//! Who stands behind a proxy.

use governance::Network;
use http::{HeaderMap, HeaderValue};
use std::net::IpAddr;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The client that trusted proxies speak for: the last address of `X-Forwarded-For` that is not one
/// of theirs, because what stands before it the client may have written itself, whatever it is. None
/// when there is none, or what stands in its place is not an address: a proxy wrote that.
pub(super) fn client(headers: &HeaderMap, proxies: &[Network]) -> Option<IpAddr> {
    let values = headers.get_all(FORWARDED_FOR).iter();
    let values: Vec<&[u8]> = values.map(HeaderValue::as_bytes).collect();
    let hops = values.iter().flat_map(|it| it.split(|byte| *byte == b','));
    for hop in hops.rev() {
        let hop = std::str::from_utf8(hop).ok()?;
        let address: IpAddr = hop.trim().parse().ok()?;
        let address = address.to_canonical();
        if !proxies.iter().any(|it| it.contains(address)) {
            return Some(address);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::client;
    use http::{HeaderMap, HeaderValue};

    #[test]
    fn the_client_is_the_last_hop_that_is_no_proxy() {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        let cases: [(&[&str], Option<&str>); 11] = [
            (&[], None),
            (&["192.0.2.1"], Some("192.0.2.1")),
            (&["6.6.6.6, 192.0.2.1"], Some("192.0.2.1")),
            (&["6.6.6.6, 192.0.2.1, 10.1.2.3"], Some("192.0.2.1")),
            (&["6.6.6.6", "192.0.2.1,10.1.2.3"], Some("192.0.2.1")),
            (&["10.9.9.9"], None),
            (&["192.0.2.1, unknown"], None),
            (&["::ffff:192.0.2.1"], Some("192.0.2.1")),
            (&["\u{e9}, 192.0.2.1"], Some("192.0.2.1")),
            (&["\u{e9}", "192.0.2.1, 10.1.2.3"], Some("192.0.2.1")),
            (&["192.0.2.1, \u{e9}"], None),
        ];
        for (values, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                headers.append("x-forwarded-for", value);
            }
            let found = client(&headers, &proxies).map(|it| it.to_string());
            assert_eq!(found.as_deref(), expected, "{values:?}");
        }
    }
}
