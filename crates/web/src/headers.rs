//! Headers that every answer of a plane carries.

use axum::extract::Request;
use axum::response::Response;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method};

use crate::error::problem;

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// For every answer of ours.
const COMMON: [(HeaderName, HeaderValue); 3] = [
    (
        header::STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=31536000"),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
];

/// For the API: its answers are data, whoever opens them in a browser. Any page may read them (the
/// protocol says so) because none can make a browser send the credentials: those are headers that
/// only a program that knows them can set, and cookies are never asked for.
const API: [(HeaderName, HeaderValue); 3] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    ),
    (RESOURCE_POLICY, HeaderValue::from_static("cross-origin")),
];

/// For what the console answers without a guard: nothing runs, one file of its own origin styles it.
pub(crate) const BARE: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src 'self'; object-src 'none'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);

/// For the console. The policy of a page is the guard's: it names the answer's nonce.
const CONSOLE: [(HeaderName, HeaderValue); 5] = [
    // Stricter, browsers would not say either where a form of ours comes from.
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (OPENER_POLICY, HeaderValue::from_static("same-origin")),
    (RESOURCE_POLICY, HeaderValue::from_static("same-origin")),
    (
        PERMISSIONS_POLICY,
        HeaderValue::from_static("camera=(), geolocation=(), microphone=()"),
    ),
];

/// What a browser is told before it sends a call from another origin's page.
const PREFLIGHT: [(HeaderName, HeaderValue); 3] = [
    (
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST"),
    ),
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "content-encoding, content-type, idempotency-key, x-clevertap-account-id, \
             x-clevertap-passcode",
        ),
    ),
    (
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("600"),
    ),
];

fn put<const N: usize>(headers: &mut HeaderMap, all: [(HeaderName, HeaderValue); N]) {
    for (name, value) in all {
        headers.insert(name, value);
    }
}

/// What the API's answers carry.
pub(crate) async fn api(mut response: Response) -> Response {
    put(response.headers_mut(), COMMON);
    put(response.headers_mut(), API);
    response
}

/// What the console's answers carry.
pub(crate) async fn console(mut response: Response) -> Response {
    put(response.headers_mut(), COMMON);
    put(response.headers_mut(), CONSOLE);
    let policy = header::CONTENT_SECURITY_POLICY;
    response.headers_mut().entry(policy).or_insert(BARE);
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(no_store);
    response
}

/// The answer to a browser's question before a call from another origin's page, where it is one.
pub(crate) fn preflight(request: &Request) -> Option<Response> {
    let headers = request.headers();
    let is_preflight = request.method() == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    is_preflight.then(|| {
        let mut response = problem::no_content();
        put(response.headers_mut(), PREFLIGHT);
        response
    })
}
