//! The first bytes of a connection, and the headers that say whom a request is for and from whom it is.

use http::{HeaderMap, HeaderValue, Request};
use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};

use crate::listen::address::Names;
use crate::listen::hello::{BYTES, Hello, rest_of_record};
use crate::listen::proxies::client;

/// The start of a TLS record with a client hello in it (RFC 8446 §4.1.2 and §5.1).
fn hello(minor: u8, length: u16, handshake: [u8; 3], version: (u8, u8)) -> [u8; BYTES] {
    let [high, low] = length.to_be_bytes();
    let [a, b, c] = handshake;
    [22, 3, minor, high, low, 1, a, b, c, version.0, version.1]
}

fn forwarded(values: &[String]) -> HeaderMap {
    let values = values.iter().map(|it| HeaderValue::from_str(it).unwrap());
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append("x-forwarded-for", value);
    }
    headers
}

/// Why a request for `host` is dropped, in a session that asked for this name.
fn judge(asked: Option<&str>, host: &str) -> Option<&'static str> {
    let names = Names {
        asked: asked.map(Box::from),
        covered: ["localhost", "*.shop.example"].map(Box::from).into(),
    };
    let request = Request::get("/").header("Host", host);
    names.judge(&request.body(()).unwrap())
}

/// A text with some letters in upper case.
fn raised(text: &str, is_upper: &[bool]) -> String {
    let letters = text.chars().zip(is_upper.iter().cycle());
    let raise = |(letter, is_upper): (char, &bool)| match is_upper {
        true => letter.to_ascii_uppercase(),
        false => letter,
    };
    letters.map(raise).collect()
}

fn with_port(host: &str, port: Option<u16>) -> String {
    match port {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

proptest! {
    #[test]
    fn a_hello_is_read_as_it_was_written(
        minor: u8, length: u16, handshake: [u8; 3], major in 2_u8..5, version: u8,
    ) {
        let bytes = hello(minor, length, handshake, (major, version));
        let read = Hello::read(&bytes);
        // Of the shortest records the version stands in the next one.
        let is_told = !(1..=5).contains(&length);
        let expected = match (major, version) {
            _ if !is_told => "unknown",
            (3, 0) => "ssl3",
            (3, 1) => "1.0",
            (3, 2) => "1.1",
            (3, _) => "1.2",
            _ => "unknown",
        };
        prop_assert_eq!(read.version(), expected);
        prop_assert_eq!(read.is_too_old(), is_told && major == 3 && version < 3);
        // Six bytes of the record have been read, or all of it.
        prop_assert_eq!(rest_of_record(&bytes), u64::from(length.saturating_sub(6)));
    }

    #[test]
    fn what_begins_in_another_way_is_no_hello(
        minor: u8, length: u16, handshake: [u8; 3], version: (u8, u8),
        place in prop::sample::select(vec![0_usize, 1, 5]), by in 1_u8..,
    ) {
        let mut bytes = hello(minor, length, handshake, version);
        bytes[place] ^= by;
        let read = Hello::read(&bytes);
        prop_assert_eq!((read, read.version(), read.is_too_old()), (Hello::NotTls, "", false));
    }

    #[test]
    fn the_client_is_who_the_proxies_say_whatever_it_has_said_itself(
        said in prop::collection::vec("[a-z0-9.: \"\\[\\]]{0,20}", 0..4),
        v4: u32,
        v6: u128,
        is_v6: bool,
        proxies in prop::collection::vec((any::<u32>(), any::<Option<u16>>()), 0..4),
        port in any::<Option<u16>>(),
        cuts in prop::collection::vec(any::<bool>(), 1..4),
    ) {
        let sender = if is_v6 { IpAddr::V6(v6.into()) } else { IpAddr::V4(v4.into()) };
        let sender = sender.to_canonical();
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        prop_assume!(!trusted.iter().any(|it: &governance::Network| it.contains(sender)));
        let hop = |address: IpAddr, port: Option<u16>| match port {
            Some(port) => SocketAddr::new(address, port).to_string(),
            None => address.to_string(),
        };
        let own = |(host, port): &(u32, Option<u16>)| {
            let address = IpAddr::V4((0x0a00_0000 | (host & 0x00ff_ffff)).into());
            hop(address, *port)
        };
        let behind: Vec<String> = proxies.iter().map(own).collect();
        // The hops in one header or in several: which, makes no difference.
        let headers = |hops: &[String]| {
            let mut values: Vec<String> = Vec::new();
            for (hop, is_cut) in hops.iter().zip(cuts.iter().cycle()) {
                match values.last_mut().filter(|_| !is_cut) {
                    Some(value) => *value = format!("{value}, {hop}"),
                    None => values.push(hop.clone()),
                }
            }
            forwarded(&values)
        };
        let hops = [said, vec![hop(sender, port)], behind.clone()].concat();
        prop_assert_eq!(client(&headers(&hops), &trusted), Some(sender), "{:?}", hops);
        // Where a proxy of ours says nothing that is an address, nobody is known.
        let unknown = [hops, vec!["unknown".to_owned()], behind.clone()].concat();
        prop_assert_eq!(client(&headers(&unknown), &trusted), None, "{:?}", unknown);
        prop_assert_eq!(client(&headers(&behind), &trusted), None, "{:?}", behind);
    }

    #[test]
    fn a_request_is_for_a_name_of_the_certificate_that_the_session_asked_for(
        asked in "[a-z0-9-]{1,12}",
        other in "[a-z0-9-]{1,12}",
        elsewhere in "[a-z0-9-]{1,12}(\\.[a-z0-9-]{1,12}){0,3}",
        is_upper in prop::collection::vec(any::<bool>(), 1..9),
        has_dot: bool,
        port in any::<Option<u16>>(),
    ) {
        let asked = format!("{asked}.shop.example");
        let written = |host: &str| {
            let host = if has_dot { format!("{host}.") } else { host.to_owned() };
            with_port(&raised(&host, &is_upper), port)
        };
        for good in [&*asked, &format!("{other}.shop.example"), "localhost"] {
            prop_assert_eq!(judge(Some(&asked), &written(good)), None, "{}", good);
        }
        prop_assume!(elsewhere != "localhost");
        for bad in [
            elsewhere.clone(),
            format!("{asked}.{elsewhere}"),
            format!("{other}.{asked}"),
            "shop.example".to_owned(),
        ] {
            prop_assert_eq!(judge(Some(&asked), &written(&bad)), Some("host"), "{}", bad);
        }
        // A session that asked for another name is for that one alone.
        let stranger = format!("{elsewhere}.test");
        prop_assert_eq!(judge(Some(&stranger), &written(&stranger)), None);
        prop_assert_eq!(judge(Some(&stranger), &written(&asked)), Some("host"));
    }

    #[test]
    fn a_session_without_a_name_is_for_any_address(
        v4: u32, v6: u128, port in any::<Option<u16>>(), is_upper in prop::collection::vec(any::<bool>(), 1..9),
    ) {
        let v4 = IpAddr::V4(v4.into()).to_string();
        let v6 = format!("[{}]", raised(&IpAddr::V6(v6.into()).to_string(), &is_upper));
        for host in [v4, v6] {
            prop_assert_eq!(judge(None, &with_port(&host, port)), None, "{}", host);
            let below = format!("{host}.evil.test");
            prop_assert_eq!(judge(None, &with_port(&below, port)), Some("host"), "{}", below);
        }
    }
}
