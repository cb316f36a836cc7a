//! Who stands behind a proxy.

use governance::Network;
use http::HeaderMap;
use std::net::IpAddr;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The client that trusted proxies speak for: the last address of `X-Forwarded-For` that is not one
/// of theirs, because what stands before it the client may have written itself. None when there is
/// none, or something there is not an address.
pub(super) fn client(headers: &HeaderMap, proxies: &[Network]) -> Option<IpAddr> {
    let values: Vec<&str> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .map(|it| it.to_str().ok())
        .collect::<Option<_>>()?;
    for hop in values.iter().flat_map(|it| it.split(',')).rev() {
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
        let cases: [(&[&str], Option<&str>); 8] = [
            (&[], None),
            (&["192.0.2.1"], Some("192.0.2.1")),
            (&["6.6.6.6, 192.0.2.1"], Some("192.0.2.1")),
            (&["6.6.6.6, 192.0.2.1, 10.1.2.3"], Some("192.0.2.1")),
            (&["6.6.6.6", "192.0.2.1,10.1.2.3"], Some("192.0.2.1")),
            (&["10.9.9.9"], None),
            (&["192.0.2.1, unknown"], None),
            (&["::ffff:192.0.2.1"], Some("192.0.2.1")),
        ];
        for (values, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("x-forwarded-for", HeaderValue::from_str(value).unwrap());
            }
            let found = client(&headers, &proxies).map(|it| it.to_string());
            assert_eq!(found.as_deref(), expected, "{values:?}");
        }
    }
}
