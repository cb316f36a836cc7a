//! Whether a request was meant for this server, and has no more parts than a client of ours sends.
//!
//! One certificate, one set of names, one service: no content depends on the host, and no link is
//! built from it. A request that names another host than its TLS session did was sent by somebody
//! who tries something, and is dropped, unless both are names of ours.

use http::{HeaderName, Request, header};
use model::limit;
use std::net::IpAddr;
use std::sync::Arc;

/// Parameters of a query string.
const PARAMETERS_MAX: usize = 1_000;
/// The protocol's own domains: clients that cannot be told another host are led here by DNS, to a name in
/// one of them or, those that speak of `wzrkt.com`, to the domain itself.
const PROTOCOL_DOMAINS: [&str; 3] = ["clevertap.com", "clevertap-prod.com", "wzrkt.com"];

/// The names of one connection.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// The one that the TLS session asked for, in lower case; none when it asked for none.
    pub(super) asked: Option<Box<str>>,
    /// Those in the plane's certificates, in lower case.
    pub(super) covered: Arc<[Box<str>]>,
}

impl Names {
    /// Why a request is dropped before anything looks at it; none when it is not.
    pub(super) fn judge<B>(&self, request: &Request<B>) -> Option<&'static str> {
        if headers_count(request) > limit::HEADERS_MAX {
            return Some("too_many_headers");
        }
        let query = request.uri().query().unwrap_or_default();
        if query.bytes().filter(|byte| *byte == b'&').count() >= PARAMETERS_MAX {
            return Some("too_many_parameters");
        }
        let is_doubled = |name: HeaderName| request.headers().get_all(name).iter().nth(1).is_some();
        if is_doubled(header::CONTENT_LENGTH) {
            return Some("length_ambiguous");
        }
        if is_doubled(header::HOST) {
            return Some("host");
        }
        let named = request.headers().get(header::HOST);
        let named = named.map(|it| it.to_str().unwrap_or_default());
        let in_target = request.uri().authority().map(http::uri::Authority::as_str);
        let mut hosts = in_target.into_iter().chain(named).map(host);
        let is_meant = match (hosts.next(), hosts.next()) {
            (Some(first), Some(second)) => first == second && self.is_meant(&first),
            (Some(only), None) => self.is_meant(&only),
            // HTTP/1.0 knows no hosts.
            (None, _) => request.version() == http::Version::HTTP_10,
        };
        (!is_meant).then_some("host")
    }

    fn is_meant(&self, host: &str) -> bool {
        match &self.asked {
            Some(asked) => host == &**asked || (self.is_ours(asked) && self.is_ours(host)),
            None => {
                let address = host.trim_start_matches('[').trim_end_matches(']');
                address.parse::<IpAddr>().is_ok() || self.is_ours(host)
            }
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        self.covers(host) || is_protocol_name(host)
    }

    fn covers(&self, host: &str) -> bool {
        self.covered
            .iter()
            .any(|name| match name.strip_prefix("*.") {
                Some(domain) => host
                    .split_once('.')
                    .is_some_and(|(label, rest)| !label.is_empty() && rest == domain),
                None => **name == *host,
            })
    }
}

/// How many headers a request has. Over HTTP/2 browsers send each cookie as a field of its own, to pack
/// them better; together they are one header (RFC 9113 §8.2.3). Their size counts with the head's.
fn headers_count<B>(request: &Request<B>) -> usize {
    let all = request.headers().len();
    if request.version() != http::Version::HTTP_2 {
        return all;
    }
    let cookies = request.headers().get_all(header::COOKIE).iter().count();
    all - cookies.saturating_sub(1)
}

fn is_protocol_name(host: &str) -> bool {
    PROTOCOL_DOMAINS.iter().any(|domain| {
        host.strip_suffix(domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// A host without its port, in lower case.
fn host(text: &str) -> String {
    let name = match text.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|it| it.is_ascii_digit()) && !name.ends_with(':') =>
        {
            name
        }
        _ => text,
    };
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::Names;
    use http::{Request, Version};

    fn judge(asked: Option<&str>, uri: &str, host: Option<&str>) -> Option<&'static str> {
        let names = Names {
            asked: asked.map(Box::from),
            covered: ["localhost", "*.shop.example", "127.0.0.1"]
                .map(Box::from)
                .into(),
        };
        let mut request = Request::get(uri);
        if let Some(host) = host {
            request = request.header("Host", host);
        }
        names.judge(&request.body(()).unwrap())
    }

    /// Those of a session that asked for no name.
    fn unasked() -> Names {
        Names {
            asked: None,
            covered: [Box::from("localhost")].into(),
        }
    }

    #[test]
    fn a_request_names_the_host_that_its_session_named() {
        let cases = [
            (Some("localhost"), "/", Some("localhost:8441"), true),
            (Some("localhost"), "/", Some("LOCALHOST."), true),
            (Some("localhost"), "/", Some("evil.example"), false),
            (Some("evil.example"), "/", Some("localhost"), false),
            (
                Some("sdk.shop.example"),
                "/",
                Some("api.shop.example"),
                true,
            ),
            (
                Some("sdk.shop.example"),
                "/",
                Some("a.b.shop.example"),
                false,
            ),
            (
                Some("eu1.api.clevertap.com"),
                "/",
                Some("eu1.api.clevertap.com"),
                true,
            ),
            (Some("localhost"), "/", Some("eu1.api.clevertap.com"), true),
            (Some("eu1.api.clevertap.com"), "/", Some("localhost"), true),
            (
                Some("evil.example"),
                "/",
                Some("eu1.api.clevertap.com"),
                false,
            ),
            (Some("localhost"), "/", Some("evilclevertap.com"), false),
            (None, "/", Some("127.0.0.1:8441"), true),
            (None, "/", Some("[::1]:8441"), true),
            (None, "/", Some("eu1.api.clevertap.com"), true),
            (None, "/", Some("localhost"), true),
            (None, "/", Some("in1.clevertap-prod.com"), true),
            (None, "/", Some("wzrkt.com"), true),
            (None, "/", Some("WZRKT.com.:443"), true),
            (None, "/", Some("evilclevertap.com"), false),
            (None, "/", Some("evilwzrkt.com"), false),
            (None, "/", Some("wzrkt.com.evil.example"), false),
            (None, "/", Some("evil.example"), false),
            (None, "/", Some(""), false),
            (None, "/", None, false),
            (None, "https://127.0.0.1:8441/", None, true),
            (None, "https://127.0.0.1:8441/", Some("evil.example"), false),
            (Some("localhost"), "https://evil.example/", None, false),
        ];
        for (asked, uri, host, passes) in cases {
            let reason = (!passes).then_some("host");
            assert_eq!(judge(asked, uri, host), reason, "{asked:?} {uri} {host:?}");
        }
    }

    #[test]
    fn two_hosts_are_none_and_neither_are_two_lengths() {
        let judge = |headers: &[(&str, &str)]| {
            let request = Request::post("/").header("Host", "localhost");
            let request = headers.iter().fold(request, |request, (name, value)| {
                request.header(*name, *value)
            });
            unasked().judge(&request.body(()).unwrap())
        };
        assert_eq!(judge(&[("Content-Length", "5")]), None);
        assert_eq!(judge(&[("Host", "localhost")]), Some("host"));
        let ambiguous = Some("length_ambiguous");
        for second in ["5", "6"] {
            let lengths = [("Content-Length", "5"), ("Content-Length", second)];
            assert_eq!(judge(&lengths), ambiguous, "{second}");
        }
    }

    #[test]
    fn headers_are_bounded_and_over_http2_all_cookies_are_one() {
        let many = Some("too_many_headers");
        let cases = [
            (Version::HTTP_2, 0, 100, None),
            (Version::HTTP_2, 0, 101, many),
            (Version::HTTP_2, 1, 99, None),
            (Version::HTTP_2, 200, 99, None),
            (Version::HTTP_2, 200, 100, many),
            (Version::HTTP_11, 1, 99, None),
            (Version::HTTP_11, 2, 99, many),
        ];
        for (version, cookies, others, reason) in cases {
            let request = Request::get("https://localhost/").version(version);
            let request = (0..cookies).fold(request, |it, _| it.header("cookie", "a=b"));
            let request = (0..others).fold(request, |it, _| it.header("x", "y"));
            let judged = unasked().judge(&request.body(()).unwrap());
            assert_eq!(judged, reason, "{version:?}: {cookies} + {others}");
        }
    }

    #[test]
    fn parameters_are_bounded() {
        let uri = |count: usize| format!("/a?{}", vec!["a=1"; count].join("&"));
        assert_eq!(judge(None, &uri(1_000), Some("127.0.0.1")), None);
        let reason = Some("too_many_parameters");
        assert_eq!(judge(None, &uri(1_001), Some("127.0.0.1")), reason);
    }
}
