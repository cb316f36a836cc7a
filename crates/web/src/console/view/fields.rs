//! What a browser asks with: the pairs of a query string or of a form.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::Response;
use form_urlencoded::Serializer;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use std::convert::Infallible;

use crate::console::staff::Staff;
use crate::error::on_form;

/// Bytes of a form.
const FORM_BYTES_MAX: usize = 256 * 1024;
/// Pairs that are looked at.
const PAIRS_MAX: usize = 2_000;
/// The pair that proves that a form is ours.
const CSRF: &str = "csrf";

/// Pairs of names and values, in the order in which they came. A name may stand in several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// From `name=value&…`, percent-encoded.
    pub(crate) fn parse(text: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(text).take(PAIRS_MAX);
        Self(
            pairs
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// The first value of that name without white space around it; empty when there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value.trim())
    }

    /// As [`Fields::text`]; none when it is empty.
    pub(crate) fn some(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|it| !it.is_empty())
    }

    /// The first value of that name as it was sent.
    pub(crate) fn raw(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Every value of that name that is not empty, without white space around it.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(known, _)| known == name);
        let values = named.map(|(_, value)| value.trim());
        values.filter(|it| !it.is_empty()).collect()
    }

    /// Whether a box of that name was ticked.
    pub(crate) fn ticked(&self, name: &str) -> bool {
        self.some(name).is_some()
    }

    /// Every pair.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The same pairs as a link to `path`, without empty ones and those of the names in `without`,
    /// and with `more`.
    pub(crate) fn link(&self, path: &str, without: &[&str], more: &[(&str, &str)]) -> String {
        let kept = self
            .pairs()
            .filter(|(name, value)| !value.is_empty() && !without.contains(name));
        let all: Vec<(&str, &str)> = kept.chain(more.iter().copied()).collect();
        link(path, &all)
    }
}

/// A link to a path of ours with these pairs.
pub(crate) fn link(path: &str, pairs: &[(&str, &str)]) -> String {
    if pairs.is_empty() {
        return path.to_owned();
    }
    let mut query = Serializer::new(String::new());
    query.extend_pairs(pairs);
    format!("{path}?{}", query.finish())
}

/// The pairs of the URL's query string.
#[derive(Debug, Clone)]
pub(crate) struct Asked(pub(crate) Fields);

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self(Fields::parse(query.as_bytes())))
    }
}

/// The pairs of a form of ours: one without the right `csrf` is refused, whatever else has checked
/// where it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Posted(pub(crate) Fields);

impl<S: Send + Sync> FromRequest<S> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let staff = Staff::from_request_parts(&mut parts, state).await?;
        let kind = parts.headers.get(CONTENT_TYPE).map(|it| it.as_bytes());
        let is_form = kind.is_some_and(|it| it.starts_with(b"application/x-www-form-urlencoded"));
        if !is_form {
            return Err(on_form());
        }
        let read = axum::body::to_bytes(body, FORM_BYTES_MAX).await;
        let fields = read.map(|it| Fields::parse(&it)).map_err(|_| on_form())?;
        let is_ours = fields
            .raw(CSRF)
            .is_some_and(|it| same(it.as_bytes(), staff.csrf().as_bytes()));
        if staff.csrf().is_empty() || !is_ours {
            return Err(on_form());
        }
        Ok(Self(fields))
    }
}

/// Whether two texts are the same; the time taken depends on their lengths alone.
fn same(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::{Fields, link};

    #[test]
    fn pairs_are_decoded_and_found_by_name() {
        let fields = Fields::parse(b"a=1&b=+x+y+&a=2&c=%3Cscript%3E&d=&e=%ff");
        assert_eq!(fields.text("a"), "1");
        assert_eq!(fields.all("a"), ["1", "2"]);
        assert_eq!(fields.text("b"), "x y");
        assert_eq!(fields.raw("b"), Some(" x y "));
        assert_eq!(fields.text("c"), "<script>");
        assert_eq!((fields.some("d"), fields.some("z")), (None, None));
        assert_eq!(fields.text("e"), "\u{fffd}");
    }

    #[test]
    fn links_are_encoded() {
        let hostile = [("name", "a&b=c \"<'>#?/"), ("ü", "%")];
        assert_eq!(
            link("/a/X/events", &hostile),
            "/a/X/events?name=a%26b%3Dc+%22%3C%27%3E%23%3F%2F&%C3%BC=%25"
        );
        let fields = Fields::parse(b"a=1&b=&c=3&page=9");
        assert_eq!(
            fields.link("/x", &["page"], &[("d", "4")]),
            "/x?a=1&c=3&d=4"
        );
        assert_eq!(Fields::default().link("/x", &[], &[]), "/x");
    }
}
