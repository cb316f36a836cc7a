//! What is answered: the only place of this crate that chooses status codes.
//!
//! The words are the protocol's, which `wire` knows. A refusal says nothing of what is inside.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use wire::rest::Refusal as Words;

use crate::{Facts, Line, Silence};

/// Seconds after which to try again what could not be done now.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("2");
/// The type of every answer of the protocol.
const JSON: HeaderValue = HeaderValue::from_static("application/json;charset=utf-8");
/// What the protocol has no words for.
const UNSUPPORTED: &str =
    r#"{"status":"fail","error":"Content encoding is not supported","code":415}"#;
/// What an SDK does not read: it goes by the status, which the protocol has for this.
const NOT_ENCRYPTED: &str =
    r#"{"status":"fail","error":"Encryption in transit is not enabled","code":402}"#;
/// The type of an answer that a browser runs.
const SCRIPT: HeaderValue = HeaderValue::from_static("application/javascript;charset=utf-8");
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const ANY_ORIGIN: HeaderValue = HeaderValue::from_static("*");
/// The protocol's headers of answers to mobile SDKs.
const ENCRYPTED: HeaderName = HeaderName::from_static("x-clevertap-encryption-enabled");
const DOMAIN: HeaderName = HeaderName::from_static("x-wzrk-rd");
const IMPRESSIONS_DOMAIN: HeaderName = HeaderName::from_static("x-wzrk-spiky-rd");
const KEY_REUSED: &str =
    r#"{"status":"fail","error":"Idempotency-Key was used for another request","code":422}"#;
const ENCRYPTION_NOT_ENABLED: &str =
    r#"{"status":"fail","error":"API encryption is not enabled","code":415}"#;
const NOT_DECRYPTED: &str =
    r#"{"status":"fail","error":"Request could not be decrypted","code":400}"#;
const ENCRYPTION_REQUIRED: &str =
    r#"{"status":"fail","error":"API encryption is required","code":403}"#;
const NO_ANSWER_KEY: &str =
    r#"{"status":"fail","error":"No public key to encrypt the response to","code":406}"#;
/// The type of an answer that is encrypted to the caller's key.
const ENCRYPTED_TYPE: HeaderValue = HeaderValue::from_static(wire::rest::hpke::MEDIA_TYPE);
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

model::named! {
    /// A request that is not served, and how that is said. Its name is a stable word for the request log and
    /// the metrics; a page of `docs/wire/` has each.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Refusal {
        const ALL, fn reason;
        /// The account does not exist, or no account is named.
        UnknownAccount = "unknown_account",
        /// The passcode is not one of the account's.
        InvalidCredentials = "invalid_credentials",
        /// The passcode is right and not good for this call.
        OutOfScope = "out_of_scope",
        /// The request cannot be decoded, or a mandatory parameter is missing.
        Malformed = "malformed",
        /// There is no such URL; said to authenticated callers only.
        NotFound = "not_found",
        /// The URL does not take this method; said to authenticated callers only.
        WrongMethod = "wrong_method",
        /// The body is larger than the limit, as it came or unpacked.
        TooLarge = "too_large",
        /// The body is encoded in a way, or more often, than is undone here.
        UnsupportedEncoding = "unsupported_encoding",
        /// The `Idempotency-Key` was used for another request within a day.
        KeyReused = "key_reused",
        /// The account has as many calls in progress as it may.
        TooManyCalls = "too_many_calls",
        /// The memory for bodies, or the account's part of it, is in use.
        Busy = "busy",
        /// What was asked could not be made durable, or read; the outcome of a write is unknown.
        Unavailable = "unavailable",
        /// A bug of ours.
        Internal = "internal",
        /// In silence: the URL is not one of ours.
        UnknownUrl = "unknown_url",
        /// In silence: the URL does not take this method.
        UnknownMethod = "unknown_method",
        /// In silence: the request is in no format of ours.
        Undecodable = "undecodable",
        /// In silence: the body did not come to its end.
        Broken = "body_broken",
        /// In silence: the page is of a domain that is not one of the account's.
        ForeignPage = "foreign_page",
        /// The account does not take what is encrypted in transit: the SDK is to send it plain.
        EncryptionOff = "encryption_off",
        /// In silence: the body came too slowly.
        TooSlow = "body_too_slow",
        /// The body is encrypted, and the account has no key for that, or does not want it.
        EncryptionNotEnabled = "encryption_not_enabled",
        /// The body was not encrypted to a key of the account that is in force, or is not whole.
        NotDecrypted = "not_decrypted",
        /// The account takes encrypted calls alone.
        EncryptionRequired = "encryption_required",
        /// An encrypted answer was asked for, and there is no key to encrypt it to.
        NoAnswerKey = "no_answer_key",
    }
}

impl Refusal {
    /// The status and the body; none for what is refused in silence.
    fn answer(self) -> Option<(StatusCode, String)> {
        let ours = |status, body: &str| Some((status, String::from(body)));
        let (status, words) = match self {
            Self::UnknownAccount => (StatusCode::UNAUTHORIZED, Words::AccountUnknown),
            Self::InvalidCredentials => (StatusCode::UNAUTHORIZED, Words::CredentialsInvalid),
            Self::OutOfScope => (StatusCode::FORBIDDEN, Words::Forbidden),
            Self::Malformed => (StatusCode::BAD_REQUEST, Words::Malformed),
            Self::NotFound => (StatusCode::NOT_FOUND, Words::NotFound),
            Self::WrongMethod => (StatusCode::METHOD_NOT_ALLOWED, Words::MethodNotAllowed),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, Words::TooLarge),
            Self::UnsupportedEncoding => {
                return ours(StatusCode::UNSUPPORTED_MEDIA_TYPE, UNSUPPORTED);
            }
            Self::KeyReused => return ours(StatusCode::UNPROCESSABLE_ENTITY, KEY_REUSED),
            Self::EncryptionNotEnabled => {
                return ours(StatusCode::UNSUPPORTED_MEDIA_TYPE, ENCRYPTION_NOT_ENABLED);
            }
            Self::NotDecrypted => return ours(StatusCode::BAD_REQUEST, NOT_DECRYPTED),
            Self::EncryptionRequired => return ours(StatusCode::FORBIDDEN, ENCRYPTION_REQUIRED),
            Self::NoAnswerKey => return ours(StatusCode::NOT_ACCEPTABLE, NO_ANSWER_KEY),
            Self::TooManyCalls => (StatusCode::TOO_MANY_REQUESTS, Words::TooManyRequests),
            Self::Busy | Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, Words::Unavailable),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, Words::Internal),
            Self::EncryptionOff => return ours(StatusCode::PAYMENT_REQUIRED, NOT_ENCRYPTED),
            Self::UnknownUrl
            | Self::UnknownMethod
            | Self::Undecodable
            | Self::Broken
            | Self::ForeignPage
            | Self::TooSlow => return None,
        };
        Some((status, words.body()))
    }

    /// The status that goes out; none in silence.
    #[must_use]
    pub fn status(self) -> Option<StatusCode> {
        self.answer().map(|(status, _)| status)
    }

    /// When the line of a request that is refused so is written: before the answer once the caller
    /// has been let in, but never when that is what cannot be done.
    const fn line(self) -> Line {
        match self {
            Self::OutOfScope
            | Self::Malformed
            | Self::NotFound
            | Self::WrongMethod
            | Self::TooLarge
            | Self::UnsupportedEncoding
            | Self::KeyReused
            | Self::EncryptionNotEnabled
            | Self::NotDecrypted
            | Self::EncryptionRequired
            | Self::NoAnswerKey
            | Self::Internal => Line::Awaited,
            Self::UnknownAccount
            | Self::InvalidCredentials
            | Self::TooManyCalls
            | Self::Busy
            | Self::Unavailable
            | Self::UnknownUrl
            | Self::UnknownMethod
            | Self::Undecodable
            | Self::Broken
            | Self::ForeignPage
            | Self::EncryptionOff
            | Self::TooSlow => Line::Offered,
        }
    }

    /// The same without a word, as the collect plane refuses whatever it does not serve.
    #[must_use]
    pub fn in_silence(self, facts: Facts) -> Response {
        let facts = Facts {
            reason: self.reason(),
            line: Line::Offered,
            ..facts
        };
        let mut response = json(StatusCode::BAD_REQUEST, Body::empty(), facts);
        response.extensions_mut().insert(Silence);
        response
    }

    /// The response, with what the log needs to know.
    #[must_use]
    pub fn respond(self, facts: Facts) -> Response {
        let facts = Facts {
            reason: self.reason(),
            line: self.line(),
            ..facts
        };
        let Some((status, body)) = self.answer() else {
            let mut response = json(StatusCode::BAD_REQUEST, Body::empty(), facts);
            response.extensions_mut().insert(Silence);
            return response;
        };
        let mut response = json(status, body.into(), facts);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.respond(Facts::default())
    }
}

/// An answer with status 200: a success, or a failure that the protocol reports so.
#[must_use]
pub fn ok(body: impl Into<Body>, facts: Facts) -> Response {
    json(StatusCode::OK, body.into(), facts)
}

/// A body in JSON with its status.
#[must_use]
pub fn json(status: StatusCode, body: Body, facts: Facts) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, NO_STORE);
    response.extensions_mut().insert(facts);
    response
}

/// The status of everything that is served.
pub(crate) const SERVED: StatusCode = StatusCode::OK;

/// A script for a web page.
pub(crate) fn script(body: String, facts: Facts) -> Response {
    let mut response = json(SERVED, body.into(), facts);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, SCRIPT);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
    response
}

/// Lets a web page of any origin read an answer. No credentials of the browser's are ever read here.
pub(crate) fn share(response: &mut Response) {
    response
        .headers_mut()
        .insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN);
}

/// JSON that is encrypted in transit.
pub(crate) fn sealed(body: String, facts: Facts) -> Response {
    let mut response = json(SERVED, body.into(), facts);
    response
        .headers_mut()
        .insert(ENCRYPTED, HeaderValue::from_static("true"));
    response
}

/// Puts an encrypted body in the place of an answer's own.
pub(crate) fn encrypted(response: &mut Response, body: Vec<u8>) {
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, ENCRYPTED_TYPE);
    *response.body_mut() = Body::from(body);
}

/// A page of any origin may call, with the headers that SDKs send and with any other: what traces calls
/// adds its own to each.
pub(crate) fn preflight(facts: Facts) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN);
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST"),
    );
    let allowed = HeaderValue::from_static(
        "x-clevertap-encryption-enabled, content-type, x-clevertap-account-id, x-clevertap-token, *",
    );
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    headers.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("7200"),
    );
    response.extensions_mut().insert(facts);
    response
}

/// Tells a mobile SDK which domain to send to; without a legal one, none.
pub(crate) fn hello(domain: &str, facts: Facts) -> Response {
    let mut response = json(SERVED, Body::from("{}"), facts);
    if let Ok(domain) = HeaderValue::from_str(domain) {
        response.headers_mut().insert(DOMAIN, domain.clone());
        response.headers_mut().insert(IMPRESSIONS_DOMAIN, domain);
        let shown = HeaderValue::from_static("x-wzrk-rd, x-wzrk-spiky-rd");
        response
            .headers_mut()
            .insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, shown);
    }
    response
}
