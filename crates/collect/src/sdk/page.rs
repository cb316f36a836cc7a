//! The web page that a request comes from.
//!
//! A browser says which page it is, and a script cannot make it say otherwise. Programs can: the
//! domains of an account keep other people's pages out, not other people.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use governance::AccountRules;
use http::{HeaderMap, Method, header};

use crate::{Facts, Head, Refusal, reply};

/// What a page may ask for across origins.
const METHODS: [Method; 2] = [Method::GET, Method::POST];

/// Answers a browser that asks whether a page may call. Which account it is for comes with the call.
pub(super) async fn preflight(request: Request) -> Response {
    let headers = request.headers();
    let asks = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD);
    let is_asked = asks.is_some_and(|it| METHODS.iter().any(|ours| it == ours.as_str()));
    if !is_asked || !headers.contains_key(header::ORIGIN) {
        return Refusal::UnknownMethod.in_silence(Facts::default());
    }
    if let Some(head) = request.extensions().get::<Head>() {
        head.keep_network();
    }
    reply::preflight(Facts::default())
}

/// Refuses what comes from a page of a domain that is not one of the account's.
pub(crate) fn check(rules: &AccountRules, headers: &HeaderMap) -> Result<(), Refusal> {
    let host = host(headers);
    if rules.takes_page_of(host.as_deref()) {
        Ok(())
    } else {
        Err(Refusal::ForeignPage)
    }
}

/// As [`check`], where what does not come from a page at all is welcome.
pub(super) fn check_if_any(rules: &AccountRules, headers: &HeaderMap) -> Result<(), Refusal> {
    let is_page = headers.contains_key(header::ORIGIN) || headers.contains_key(header::REFERER);
    if is_page {
        check(rules, headers)
    } else {
        Ok(())
    }
}

/// The host of the page, by its origin or else by its address. Two of either are none.
fn host(headers: &HeaderMap) -> Option<Box<str>> {
    let name = if headers.contains_key(header::ORIGIN) {
        header::ORIGIN
    } else {
        header::REFERER
    };
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (_, rest) = value.split_once("://")?;
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    if authority.contains('@') {
        return None;
    }
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|it| it.is_ascii_digit()) => host,
        Some(_) | None => authority,
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    Some(host.to_ascii_lowercase().into_boxed_str())
}

/// What a page may read: the answer and its status.
pub(super) fn shared(mut response: Response<Body>) -> Response {
    reply::share(&mut response);
    response
}

#[cfg(test)]
mod tests {
    use super::{check, check_if_any};
    use governance::{AccountRules, PasscodeHash};
    use http::HeaderMap;
    use jiff::tz::TimeZone;
    use model::Secret;
    use proptest::prelude::*;

    /// The rules of an account whose pages are these domains'.
    fn rules(domains: &[&str]) -> AccountRules {
        let hash = PasscodeHash::of("token");
        let id = "TEST-1".parse().unwrap();
        let mut rules = AccountRules::new(id, "", TimeZone::UTC, Secret::new([1; 32]), hash);
        rules.web_domains = domains.iter().map(|it| Box::from(*it)).collect();
        rules
    }

    #[test]
    fn pages_of_the_account_s_domains_may_send_and_no_others() {
        assert!(check(&rules(&[]), &HeaderMap::new()).is_ok());
        let rules = rules(&["example.com", "127.0.0.1"]);
        let check = |name: &'static str, value: &str, expect: bool| {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
            assert_eq!(check(&rules, &headers).is_ok(), expect, "{name}: {value}");
            assert_eq!(check_if_any(&rules, &headers).is_ok(), expect);
        };
        for origin in [
            "https://example.com",
            "http://WWW.example.com:8080",
            "https://example.com.",
            "http://127.0.0.1:4711",
        ] {
            check("origin", origin, true);
            check("referer", &format!("{origin}/a/b?c#d"), true);
        }
        for origin in [
            "null",
            "",
            "example.com",
            "https://evil.test",
            "https://example.com.evil.test",
            "https://notexample.com",
            "https://shop.example.com",
            "https://www.www.example.com",
            "https://evil.test/example.com",
            "https://example.com@evil.test",
            "https://evil.test?https://example.com",
            "https://evil.test\\example.com",
            "https://[::1]:80",
            "https://xn--exmple-cua.com",
        ] {
            check("origin", origin, false);
            check("referer", origin, false);
        }
        assert!(super::check(&rules, &HeaderMap::new()).is_err());
        assert!(check_if_any(&rules, &HeaderMap::new()).is_ok());
        let origin = |text: &str| (http::header::ORIGIN, text.parse().unwrap());
        let mut two = HeaderMap::from_iter([origin("https://example.com")]);
        two.append("origin", "https://evil.test".parse().unwrap());
        assert!(super::check(&rules, &two).is_err());
        let mut both = HeaderMap::from_iter([origin("https://evil.test")]);
        both.append("referer", "https://example.com/".parse().unwrap());
        assert!(super::check(&rules, &both).is_err());
    }

    proptest! {
        #[test]
        fn a_page_is_the_domain_s_by_its_host_alone(
            domain in "[a-z]{1,8}(\\.[a-z]{1,8}){1,2}",
            label in "[a-z]{1,6}",
            scheme in "https?",
            port in any::<Option<u16>>(),
            tail in prop_oneof!["", "[/?#\\\\][a-z.:@/?#]{0,20}"],
            is_upper: bool,
            name in prop::sample::select(vec!["origin", "referer"]),
        ) {
            prop_assume!(label != "www");
            let rules = rules(&[&domain]);
            let port = port.map(|it| format!(":{it}")).unwrap_or_default();
            let passes = |authority: &str, tail: &str| {
                let page = format!("{scheme}://{authority}{port}{tail}");
                let page = if is_upper { page.to_uppercase() } else { page };
                let name: http::HeaderName = name.parse().unwrap();
                let headers = HeaderMap::from_iter([(name, page.parse().unwrap())]);
                let passes = check(&rules, &headers).is_ok();
                assert_eq!(check_if_any(&rules, &headers).is_ok(), passes, "{page}");
                passes
            };
            for own in [domain.clone(), format!("www.{domain}"), format!("{domain}.")] {
                prop_assert!(passes(&own, &tail), "{}", own);
                // Whoever stands before an `@` is no host, and no browser says it.
                prop_assert!(!passes(&format!("{label}@{own}"), &tail), "{}", own);
            }
            for other in [
                format!("{label}.{domain}"),
                format!("www.{label}.{domain}"),
                format!("{domain}.{label}"),
                format!("{label}{domain}"),
                format!("{domain}@{label}"),
                label,
            ] {
                prop_assert!(!passes(&other, &tail), "{}", other);
                // Nor does it help to name the domain further on.
                prop_assert!(!passes(&other, &format!("/{domain}?{domain}#{domain}")), "{}", other);
            }
        }
    }
}
