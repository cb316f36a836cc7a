//! The request log: one line for each request, whatever became of it.
//!
//! The layer notes the head before anything else looks at the request and writes the line when the
//! answer is ready. What must be in the log after any crash once it was answered (uploads, changes,
//! reads of personal data) is in a commit before the answer goes out; everything else is offered
//! for the next commit. A line never holds a credential, a query string, a body or a header.

use axum::extract::{MatchedPath, Request, State as Of};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governance::{AnswerKey, Permit};
use http::StatusCode;
use http_body::Body as _;
use model::record::{Entry, Outcome, Peer, Plane, Record, RequestLine};
use model::{AccountId, Secret, Timestamp, limit};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::drops::PathOf;
use crate::peer::{hashed_peer, network_peer};
use crate::pieces::in_pieces;
use crate::{Connection, Preset, Refusal, Silence, State};

/// Bytes of an unknown path that are kept.
const PATH_BYTES_MAX: usize = 128;
/// Bytes of a passcode or a token.
const SECRET_BYTES: usize = 35;
/// Characters of a method that are kept.
const METHOD_CHARS_MAX: usize = 16;

/// What the head of a request said. In the extensions of every request that passes the layer.
#[derive(Debug, Clone)]
pub struct Head(Arc<HeadParts>);

#[derive(Debug)]
struct HeadParts {
    at: Timestamp,
    started: Duration,
    plane: Plane,
    peer: Peer,
    /// What is kept of the peer instead of its address, once its dialect is known.
    hashed_peer: OnceLock<Peer>,
    /// The sender has allowed its address to be kept.
    is_peer_kept: AtomicBool,
    tls_version: &'static str,
    method: Box<str>,
    path: Box<str>,
    path_of: PathOf,
    /// Bytes of the body that the head announced, 0 when it announced none.
    announced_bytes: u64,
    /// The caller has shown a credential that is good.
    is_let_in: AtomicBool,
    /// Whether the line is in a commit that the journal has taken: the layer writes none then.
    taken: AtomicBool,
    /// The key that the answer is encrypted to, once the caller is known and has asked for that.
    answer_key: OnceLock<AnswerKey>,
    /// The call's place among those in progress, until its answer has it.
    permit: Mutex<Option<Permit>>,
}

impl Head {
    fn of(state: &State, plane: Plane, request: &Request) -> Self {
        let connection = request.extensions().get::<Connection>();
        let (path, path_of) = match request.extensions().get::<MatchedPath>() {
            Some(pattern) => (Box::from(pattern.as_str()), PathOf::Ours),
            None => (cleaned_path(request.uri().path()), PathOf::Sender),
        };
        // What is more than would be read is a claim that nobody can check.
        let announced = request.body().size_hint().lower();
        Self(Arc::new(HeadParts {
            at: state.clock().now(),
            started: state.clock().monotonic(),
            plane: connection.map_or(plane, |it| it.plane),
            peer: connection.map_or(Peer::Unknown, |it| {
                Peer::Address(it.peer.ip().to_canonical())
            }),
            tls_version: connection.map_or("", |it| it.tls_version),
            method: cleaned_method(request.method().as_str()),
            path,
            path_of,
            announced_bytes: announced.min(limit::BODY_BYTES_MAX as u64),
            hashed_peer: OnceLock::new(),
            is_peer_kept: AtomicBool::new(false),
            is_let_in: AtomicBool::new(false),
            taken: AtomicBool::new(false),
            answer_key: OnceLock::new(),
            permit: Mutex::new(None),
        }))
    }

    /// When the head had been read.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.0.at
    }

    /// Which listener the request came to.
    #[must_use]
    pub fn plane(&self) -> Plane {
        self.0.plane
    }

    /// The peer's address, where it is known whole.
    #[must_use]
    pub fn peer_address(&self) -> Option<IpAddr> {
        match self.0.peer {
            Peer::Address(address) => Some(address),
            Peer::Unknown | Peer::Hashed { .. } => None,
        }
    }

    /// Appends the entries and this request's line, in one commit. Until the journal has taken the line
    /// it is the layer's, and it is the layer's again if the commit was not made; so it stands in the
    /// commit, or is offered, or is counted as lost, whenever the peer goes away.
    ///
    /// # Errors
    /// As [`journal::Journal::append`].
    pub(crate) async fn append_line(
        &self,
        state: &State,
        mut entries: Vec<Entry>,
        line: Entry,
    ) -> journal::Result<()> {
        entries.push(line);
        let taken = || self.0.taken.store(true, Ordering::Relaxed);
        let appended = state.journal().append_telling(entries, taken).await;
        if appended.is_err() {
            self.0.taken.store(false, Ordering::Relaxed);
        }
        appended
    }

    /// Keeps no more of the peer's address than a hash under `key`, and the network.
    pub(crate) fn hash_peer(&self, key: &Secret<[u8; 32]>) {
        if let Peer::Address(address) = self.0.peer {
            self.0.hashed_peer.get_or_init(|| hashed_peer(key, address));
        }
    }

    /// Keeps no more of the peer's address than the network.
    pub(crate) fn keep_network(&self) {
        if let Peer::Address(address) = self.0.peer {
            self.0.hashed_peer.get_or_init(|| network_peer(address));
        }
    }

    /// Keeps the address after all: the sender has allowed it.
    pub(crate) fn keep_peer(&self) {
        self.0.is_peer_kept.store(true, Ordering::Relaxed);
    }

    /// The caller is no stranger: its line is not gathered with those of strangers.
    pub fn let_in(&self) {
        self.0.is_let_in.store(true, Ordering::Relaxed);
    }

    /// From now on the answer is encrypted, whatever it says.
    pub(crate) fn encrypt_answer(&self, key: AnswerKey) {
        self.0.answer_key.get_or_init(|| key);
    }

    /// The key that the answer is encrypted to; none when it goes out as it is.
    pub(crate) fn answer_key(&self) -> Option<&AnswerKey> {
        self.0.answer_key.get()
    }

    /// Whether the answer is encrypted: it is in memory as a whole then.
    #[must_use]
    pub fn is_answer_encrypted(&self) -> bool {
        self.answer_key().is_some()
    }

    /// The call is one of those in progress until the last piece of its answer goes out.
    pub(crate) fn hold(&self, permit: Permit) {
        *self.permit() = Some(permit);
    }

    fn permit(&self) -> MutexGuard<'_, Option<Permit>> {
        self.0.permit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As much of the peer as may be kept.
    fn peer(&self) -> &Peer {
        if self.0.is_peer_kept.load(Ordering::Relaxed) {
            return &self.0.peer;
        }
        self.0.hashed_peer.get().unwrap_or(&self.0.peer)
    }

    /// The line of this request, as an entry of whose it is.
    pub(crate) fn line(&self, state: &State, status: Option<StatusCode>, facts: &Facts) -> Entry {
        entry(facts.owner(), self.request_line(state, status, facts))
    }

    fn request_line(
        &self,
        state: &State,
        status: Option<StatusCode>,
        facts: &Facts,
    ) -> RequestLine {
        let head = &*self.0;
        let elapsed = state.clock().monotonic().saturating_sub(head.started);
        let outcome = outcome(status);
        RequestLine {
            id: state.record_ids().batch()(0),
            at: head.at,
            plane: head.plane,
            peer: self.peer().clone(),
            tls_version: Box::from(head.tls_version),
            method: head.method.clone(),
            path: head.path.clone(),
            status: status.map_or(0, |status| status.as_u16()),
            outcome,
            reason: Box::from(facts.reason),
            // Of what is dropped, hardly ever anything is read.
            size_bytes: match outcome {
                Outcome::Dropped => facts.size_bytes.max(head.announced_bytes),
                Outcome::Answered | Outcome::Refused => facts.size_bytes,
            },
            accepted: facts.accepted,
            // Of what was not served it says for how many more a line stands.
            rejected: match outcome {
                Outcome::Answered => facts.rejected,
                Outcome::Refused | Outcome::Dropped => 0,
            },
            duration_us: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

fn entry(account: AccountId, line: RequestLine) -> Entry {
    Entry {
        account,
        record: Record::Request(Box::new(line)),
    }
}

/// What a handler knows of its request beyond the head. Handlers put one in the extensions of
/// every response; the layer makes the line from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// Whose request it was, where that is known.
    pub account: Option<AccountId>,
    /// Why it was refused, dropped, or answered with a failure: a stable word; empty when served.
    pub reason: &'static str,
    /// Bytes of the body that were read, as they came.
    pub size_bytes: u64,
    /// Records accepted.
    pub accepted: u32,
    /// Records rejected.
    pub rejected: u32,
    /// When the line is written.
    pub line: Line,
}

impl Facts {
    /// Whose log the line is in.
    fn owner(&self) -> AccountId {
        self.account.unwrap_or_else(AccountId::installation)
    }
}

/// When the line of a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Line {
    /// With the next commit; the answer does not wait.
    #[default]
    Offered,
    /// Before the answer: uploads, changes and reads of personal data.
    Awaited,
}

/// The layer: see the file's head. `plane` is for requests that come without a [`Connection`].
pub async fn log_requests(
    Of((state, plane)): Of<(State, Plane)>,
    request: Request,
    next: Next,
) -> Response {
    let head = Head::of(&state, plane, &request);
    let response = logged(&state, &head, request, next).await;
    let permit = head.permit().take();
    in_pieces(response, permit)
}

async fn logged(state: &State, head: &Head, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(head.clone());
    let mut open = Open {
        state,
        head,
        is_closed: false,
    };
    let mut response = match request.extensions().get::<Preset>() {
        Some(preset) => preset.respond(),
        None => next.run(request).await,
    };
    let facts = response
        .extensions()
        .get::<Facts>()
        .copied()
        .unwrap_or_default();
    let is_taken = head.0.taken.load(Ordering::Relaxed);
    if is_taken {
        open.is_closed = true;
        count(head, status(&response), facts.reason);
        return response;
    }
    let mut facts = facts;
    if facts.line == Line::Awaited {
        let line = head.line(state, status(&response), &facts);
        let appended = head.append_line(state, Vec::new(), line).await;
        open.is_closed = true;
        if let Err(error) = appended {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to log a request"
            );
            facts = Facts {
                reason: Refusal::Unavailable.reason(),
                accepted: 0,
                ..facts
            };
            response = Refusal::Unavailable.into_response();
        } else {
            count(head, status(&response), facts.reason);
            return response;
        }
    }
    open.is_closed = true;
    let status = status(&response);
    if status.is_none() {
        let line = head.request_line(state, status, &facts);
        state.drops().record(line, head.0.path_of);
    } else {
        leave(state, head, status, &facts);
    }
    count(head, status, facts.reason);
    response
}

/// A request that is being handled. Dropped before its end (the peer went away), it leaves a line, or
/// the journal has taken one.
struct Open<'a> {
    state: &'a State,
    head: &'a Head,
    is_closed: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if self.is_closed {
            return;
        }
        let facts = Facts {
            reason: "peer_gone",
            ..Facts::default()
        };
        if !self.head.0.taken.load(Ordering::Relaxed) {
            leave(self.state, self.head, None, &facts);
        }
        count(self.head, None, facts.reason);
    }
}

/// Leaves a line that nobody waits for. Those of strangers are gathered when they are many: they push no
/// line of a caller who was let in out of the journal's queue, and fill no volume.
fn leave(state: &State, head: &Head, status: Option<StatusCode>, facts: &Facts) {
    let line = head.request_line(state, status, facts);
    let line = match head.0.is_let_in.load(Ordering::Relaxed) {
        true => Some(line),
        false => state.drops().gather(facts.owner(), line),
    };
    let is_lost = line.is_some_and(|it| !state.journal().offer(&entry(facts.owner(), it)));
    if is_lost {
        metrics::counter!("strongroom_request_lines_lost_total").increment(1);
    }
}

fn count(head: &Head, status: Option<StatusCode>, reason: &'static str) {
    metrics::counter!(
        "strongroom_requests_total",
        "plane" => head.0.plane.as_str(), "outcome" => outcome(status).as_str(), "reason" => reason
    )
    .increment(1);
}

/// The status that goes out; none when nothing does.
fn status(response: &Response) -> Option<StatusCode> {
    let is_silent = response.extensions().get::<Silence>().is_some();
    (!is_silent).then(|| response.status())
}

fn outcome(status: Option<StatusCode>) -> Outcome {
    match status {
        None => Outcome::Dropped,
        Some(status) if status.is_client_error() || status.is_server_error() => Outcome::Refused,
        Some(_) => Outcome::Answered,
    }
}

/// The printable ASCII of a path, percent-escapes as they came, cut. Nobody asks for a known URL so:
/// what stands behind `=` or an escaped `?` may be a credential, a segment with an `@` in it somebody's
/// address, and what follows `link` a token that still opens something. So may what looks like one.
#[must_use]
pub fn cleaned_path(path: &str) -> Box<str> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut is_after_link = false;
    for segment in path.split('/') {
        let characters = unescaped(segment.as_bytes());
        let mut parts = characters.split(|it| it.byte == b'=' || it.is_escaped_question());
        let named = parts.next().unwrap_or_default();
        let name: Vec<u8> = named.iter().map(|it| it.byte).collect();
        let end = named.last().map_or(0, |it| it.end);
        let is_token = holds_token(&name, &mut is_after_link) || holds_secret(&name);
        let shown: &[u8] = if is_token {
            b"(token)"
        } else if is_address(&name) {
            b"(address)"
        } else {
            segment.as_bytes().get(..end).unwrap_or_default()
        };
        kept.push(shown);
        if parts.next().is_some() {
            break;
        }
    }
    kept.join(&b'/')
        .into_iter()
        .map(|byte| {
            if byte.is_ascii_graphic() {
                char::from(byte)
            } else {
                '?'
            }
        })
        .take(PATH_BYTES_MAX)
        .collect::<String>()
        .into_boxed_str()
}

/// A byte of a segment, its escapes undone.
#[derive(Debug, Clone, Copy)]
struct Character {
    byte: u8,
    /// Where in the segment it ends, as it came.
    end: usize,
    is_escaped: bool,
}

impl Character {
    /// One as it came is what is kept of a byte that is none of ASCII.
    const fn is_escaped_question(&self) -> bool {
        self.byte == b'?' && self.is_escaped
    }
}

/// Undoes the percent-escapes of a segment, those of `%` itself as well, however often.
fn unescaped(segment: &[u8]) -> Vec<Character> {
    let mut found: Vec<Character> = Vec::with_capacity(segment.len());
    for (end, &byte) in (1..).zip(segment) {
        let is_escaped = false;
        found.push(Character {
            byte,
            end,
            is_escaped,
        });
        // What comes out of an escape may complete another one.
        while let [.., percent, high, low] = found.as_slice()
            && percent.byte == b'%'
            && let (Some(high), Some(low)) = (hex(high.byte), hex(low.byte))
        {
            let byte = high * 16 + low;
            found.truncate(found.len() - 3);
            let is_escaped = true;
            found.push(Character {
                byte,
                end,
                is_escaped,
            });
        }
    }
    found
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

/// Whether a segment is, or has in it, what follows `link`, at whatever distance: our sign-in links have
/// their tokens there.
fn holds_token(name: &[u8], is_after_link: &mut bool) -> bool {
    let mut is_token = false;
    // Whatever stands between two words may have been meant as a slash.
    let words = name.split(|it| !it.is_ascii_alphanumeric() && *it != b'-');
    for word in words.filter(|it| !it.is_empty()) {
        is_token |= *is_after_link;
        *is_after_link |= word.eq_ignore_ascii_case(b"link");
    }
    is_token
}

/// Whether a segment has something in it of the form of our passcodes and tokens: 32 characters of `A-Z`
/// and `2-7`, in groups of eight.
fn holds_secret(name: &[u8]) -> bool {
    name.windows(SECRET_BYTES).any(|it| {
        it.iter().enumerate().all(|(place, byte)| match place % 9 {
            8 => *byte == b'-',
            _ => byte.is_ascii_alphabetic() || matches!(byte, b'2'..=b'7'),
        })
    })
}

/// Whether a segment is `name@host`: there is an `@` that neither begins nor ends it.
fn is_address(name: &[u8]) -> bool {
    matches!(name, [_, between @ .., _] if between.contains(&b'@'))
}

/// A method of letters A to Z; `-` for any other.
#[must_use]
pub fn cleaned_method(name: &str) -> Box<str> {
    let is_legal = (1..=METHOD_CHARS_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_uppercase());
    Box::from(if is_legal { name } else { "-" })
}

#[cfg(test)]
mod tests {
    use super::{cleaned_method, cleaned_path};

    #[test]
    fn an_unknown_path_is_kept_printable_and_short() {
        let long = format!("/{}", "a".repeat(300));
        let cases = [
            ("/1/upload%00", "/1/upload%00"),
            ("/a\u{1b}[2Jb", "/a?[2Jb"),
            ("/é", "/??"),
            (long.as_str(), &long[..128]),
            ("/x;sid=secret", "/x;sid"),
            ("/x%3Ftoken%3dsecret/y", "/x"),
            ("/x/y%253fsecret", "/x/y"),
            ("//user:secret@host/x", "//(address)/x"),
            ("/u/jane%40example.com/é", "/u/(address)/??"),
            ("/@vite/client", "/@vite/client"),
            ("/é=é@é", "/??"),
            ("", ""),
            ("/", "/"),
        ];
        for (path, kept) in cases {
            assert_eq!(&*cleaned_path(path), kept);
        }
    }

    #[test]
    fn no_secret_of_an_unknown_path_is_kept() {
        let token = "JBSWY3DP-EHPK3PXP-MFRGGZDF-ABCDEFGH";
        let cases = [
            (format!("/link/{token}/"), "/link/(token)/"),
            (format!("/link/{token}"), "/link/(token)"),
            ("/LINK/short".to_owned(), "/LINK/(token)"),
            (format!("//link//{token}"), "//link//(token)"),
            (format!("/l%69nk/{token}"), "/l%69nk/(token)"),
            (format!("/%256Cink/{token}"), "/%256Cink/(token)"),
            (format!("/link%2F{token}"), "/(token)"),
            (format!("/link%2f/{token}/x"), "/link%2f/(token)/(token)"),
            (format!("/link/x/{token}"), "/link/(token)/(token)"),
            ("/link;a/short/".to_owned(), "/(token)/(token)/"),
            ("/link%20/short".to_owned(), "/link%20/(token)"),
            ("/link%00/short".to_owned(), "/link%00/(token)"),
            ("/link\\short".to_owned(), "/(token)"),
            (format!("/1/upload/{token}"), "/1/upload/(token)"),
            (format!("/x{}y/z", token.to_lowercase()), "/(token)/z"),
            (format!("/{}", token.replace('-', "%2D")), "/(token)"),
            (
                format!("/{}", &token[1..]),
                "/BSWY3DP-EHPK3PXP-MFRGGZDF-ABCDEFGH",
            ),
            (format!("/link/link/{token}"), "/link/(token)/(token)"),
            ("/link".to_owned(), "/link"),
            ("/links/a".to_owned(), "/links/a"),
            ("/@jane@host/x".to_owned(), "/(address)/x"),
            ("/jane@host@".to_owned(), "/(address)"),
            ("/jane%2540host".to_owned(), "/(address)"),
            ("/us%2Fer:secret@host".to_owned(), "/(address)"),
            ("/x%253Dsecret/y".to_owned(), "/x"),
            ("/x%253dsecret".to_owned(), "/x"),
            ("/x%25253Dsecret".to_owned(), "/x"),
            ("/x%25%33dsecret".to_owned(), "/x"),
            ("/100%/%zz".to_owned(), "/100%/%zz"),
        ];
        for (path, kept) in cases {
            assert_eq!(&*cleaned_path(&path), kept, "{path}");
        }
    }

    #[test]
    fn a_method_is_upper_case_letters_or_a_dash() {
        let cases = [
            ("GET", "GET"),
            ("brew", "-"),
            ("M-SEARCH", "-"),
            ("AAAAAAAAAAAAAAAAA", "-"),
            ("", "-"),
        ];
        for (method, kept) in cases {
            assert_eq!(&*cleaned_method(method), kept);
        }
    }
}
