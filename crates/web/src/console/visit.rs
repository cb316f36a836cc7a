//! One request of a browser: its session, where it comes from, and the nonce of its answer.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::Response;
use control::{Client, NewSession, SignedIn};
use http::header::{CONTENT_TYPE, COOKIE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use std::net::IpAddr;
use std::sync::Arc;

use super::view::Fields;
use super::{not_found, refused};
use crate::State;

/// The session's cookie: sent over TLS to this host alone, and hidden from scripts.
const COOKIE_NAME: &str = "__Host-session";
/// Bytes of a form of the sign-in.
const FORM_BYTES_MAX: usize = 64 * 1024;
/// Characters of an address that a redirect is asked for.
const NEXT_CHARS_MAX: usize = 512;

/// One request of a browser.
#[derive(Debug, Clone)]
pub(crate) struct Visit(Arc<VisitParts>);

#[derive(Debug)]
struct VisitParts {
    nonce: String,
    token: Option<String>,
    signed_in: Option<SignedIn>,
    csrf: String,
    client: Client,
}

impl Visit {
    /// Reads the session that the request carries.
    pub(crate) async fn of(
        state: &State,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> control::Result<Self> {
        let client = Client {
            peer,
            agent: headers
                .get(USER_AGENT)
                .and_then(|it| it.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
        };
        let token = session_token(headers);
        let signed_in = match &token {
            Some(token) => state.control().session(token, client.peer).await?,
            None => None,
        };
        let token = token.filter(|_| signed_in.is_some());
        let csrf = match &token {
            Some(token) => state.control().form_token(token),
            None => String::new(),
        };
        Ok(Self(Arc::new(VisitParts {
            nonce: state.control().nonce(),
            token,
            signed_in,
            csrf,
            client,
        })))
    }

    /// Of this answer.
    pub(crate) fn nonce(&self) -> &str {
        &self.0.nonce
    }

    /// The session's token; none for strangers.
    pub(crate) fn token(&self) -> Option<&str> {
        self.0.token.as_deref()
    }

    /// Whose session it is, and how far it reaches.
    pub(crate) fn signed_in(&self) -> Option<&SignedIn> {
        self.0.signed_in.as_ref()
    }

    /// What each form must carry that changes something; empty for strangers.
    pub(crate) fn csrf(&self) -> &str {
        &self.0.csrf
    }

    /// From where, and by what.
    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    /// From where.
    pub(crate) fn peer(&self) -> Option<IpAddr> {
        self.0.client.peer
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        match parts.extensions.get::<Self>() {
            Some(visit) => Ok(visit.clone()),
            None => Err(not_found::absent()),
        }
    }
}

/// A form of the sign-in: one that belongs to a session must carry its `csrf`.
#[derive(Debug, Clone)]
pub(crate) struct Form(pub(crate) Fields);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, state).await?;
        let kind = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let is_form = kind.is_some_and(|it| it.starts_with(b"application/x-www-form-urlencoded"));
        let read = axum::body::to_bytes(body, FORM_BYTES_MAX).await;
        let (true, Ok(bytes)) = (is_form, read) else {
            return Err(refused::foreign(&visit));
        };
        let fields = Fields::parse(&bytes);
        let carried = fields.raw("csrf").unwrap_or_default();
        // The hashes are compared: that takes the same time wherever the two differ.
        let is_ours =
            governance::PasscodeHash::of(carried) == governance::PasscodeHash::of(visit.csrf());
        match is_ours {
            true => Ok(Self(fields)),
            false => Err(refused::foreign(&visit)),
        }
    }
}

/// Puts a session's token into the browser.
pub(crate) fn set_cookie(response: &mut Response, session: &NewSession) {
    let token = session.token.expose();
    put_cookie(
        response,
        &format!("{COOKIE_NAME}={token}; Path=/; Secure; HttpOnly; SameSite=Lax"),
    );
}

/// Takes it away.
pub(crate) fn clear_cookie(response: &mut Response) {
    let gone = format!("{COOKIE_NAME}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
    put_cookie(response, &gone);
}

fn put_cookie(response: &mut Response, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response
            .headers_mut()
            .append(http::header::SET_COOKIE, value);
    }
}

/// The token that a browser sends; none when it sends several, of which one would not be ours.
fn session_token(headers: &HeaderMap) -> Option<String> {
    let mut found = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == COOKIE_NAME)
        .map(|(_, value)| value.to_owned());
    let token = found.next()?;
    found.next().is_none().then_some(token)
}

/// Where to go after a step: a path of ours, whatever was asked for.
pub(crate) fn next(asked: &str) -> &str {
    let is_ours = asked.starts_with('/')
        && !asked.starts_with("//")
        && !asked.starts_with("/\\")
        && asked.chars().count() <= NEXT_CHARS_MAX
        && asked.bytes().all(|it| it.is_ascii_graphic() && it != b'\\');
    if is_ours { asked } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_ours_are_gone_to() {
        for good in ["/", "/me", "/a/ABC/people?by=identity&name=%2F%2Fevil"] {
            assert_eq!(next(good), good);
        }
        for bad in [
            "",
            "//evil",
            "/\\evil",
            "\\evil",
            "https:evil",
            "https://evil",
            "javascript:alert(1)",
            "/x\r\nset-cookie:a",
            "/ü",
            "/a b",
            "evil",
            "/a\\b",
        ] {
            assert_eq!(next(bad), "/", "{bad:?}");
        }
    }

    #[test]
    fn a_second_cookie_of_that_name_is_nobody() {
        let token = |cookies: &[&str]| {
            let mut headers = HeaderMap::new();
            for cookie in cookies {
                headers.append(COOKIE, HeaderValue::from_str(cookie).unwrap());
            }
            session_token(&headers)
        };
        assert_eq!(token(&["a=b; __Host-session=x"]).as_deref(), Some("x"));
        assert_eq!(token(&["__Host-session=x; __Host-session=y"]), None);
        assert_eq!(token(&["__Host-session=x", "__Host-session=y"]), None);
        assert_eq!(token(&["session=x"]), None);
    }
}
