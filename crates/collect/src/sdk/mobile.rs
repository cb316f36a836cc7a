//! `GET /hello` and `POST /a1`: phones.
//!
//! The account is named by a header, by the query string or by the body, and whoever names it shows
//! its SDK token. Names that differ are refused.

use axum::extract::{Request, State as Of};
use axum::response::Response;
use governance::AccountRules;
use http::HeaderMap;
use http::request::Parts;
use model::limit;
use model::record::Source;
use std::borrow::Cow;
use std::cell::LazyCell;
use std::sync::Arc;
use wire::mobile_sdk::{self, Body, Hello, Upload};

use super::intake::{self, Intake, Sent, Standing};
use super::page::{self, shared};
use super::{Dropped, account, discarded, peer_key};
use crate::body::{self, NotTaken, Received};
use crate::{Facts, Head, Refusal, State, Voice, reply};

const ACCOUNT: &str = "x-clevertap-account-id";
const TOKEN: &str = "x-clevertap-token";
/// Bytes of a body whose headers do not show the account's token.
const STRANGER_BODY_BYTES_MAX: usize = 1024 * 1024;

/// Tells an SDK where to send: to the name that the operator has given this plane.
pub(super) async fn hello(Of(state): Of<State>, request: Request) -> Response {
    let Some(head) = request.extensions().get::<Head>().cloned() else {
        return Refusal::Internal.in_silence(Facts::default());
    };
    let headers = request.headers();
    let hello = Hello::decode(request.uri().query().unwrap_or_default());
    let rules = match Claim::of(headers, &hello).account(&state, None) {
        Ok(rules) => rules,
        Err(refusal) => return refusal.in_silence(Facts::default()),
    };
    head.hash_peer(&peer_key(&rules));
    if let Err(refusal) = page::check_if_any(&rules, headers) {
        return Dropped::of(&rules, refusal).respond(0);
    }
    let facts = Facts {
        account: Some(rules.id),
        ..Facts::default()
    };
    // Never what the sender says of itself: an app would keep a name that a stranger has planted.
    match state.public_name() {
        Some(domain) => shared(reply::hello(domain, facts)),
        None => shared(Refusal::Unavailable.respond(facts)),
    }
}

/// Takes one batch. A game in a browser may be what sends it.
pub(super) async fn upload(state: Of<State>, request: Request) -> Response {
    shared(answer(state, request).await)
}

async fn answer(Of(state): Of<State>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some(head) = parts.extensions.get::<Head>().cloned() else {
        return Refusal::Internal.in_silence(Facts::default());
    };
    let hello = Hello::decode(parts.uri.query().unwrap_or_default());
    let claim = Claim::of(&parts.headers, &hello);
    let posted = Posted::read(&state, &head, &parts, &claim, body).await;
    let (came, size_bytes) = match posted.came() {
        Ok(it) => it,
        Err(response) => return *response,
    };
    let taken = match came {
        Came::Whole(bytes) => take(&state, &head, &parts.headers, &claim, bytes),
        Came::Part(bytes, rules) => take_a_part(&state, &parts.headers, &claim, rules, bytes),
    };
    let mut intake = match taken {
        Ok(intake) => intake,
        Err(dropped) => return dropped.respond(size_bytes),
    };
    let facts = match intake.commit(&state, &head, size_bytes).await {
        Ok(facts) => facts,
        Err((refusal, facts)) => return refusal.respond(facts),
    };
    let answer = mobile_sdk::answer(&discarded(&intake.rules), intake.wants_variables);
    match (intake::sealed(&state, &intake, answer), &intake.answer_key) {
        (Ok(body), None) => reply::ok(body, facts),
        (Ok(body), Some(_)) => reply::sealed(body, facts),
        (Err(refusal), _) => refusal.respond(facts),
    }
}

/// A body that was read as far as its sender may be read.
pub(super) struct Posted {
    /// Whose it is, where the headers show the account's token.
    known: Option<Arc<AccountRules>>,
    read: Result<Received, NotTaken>,
}

/// What came of a body that is looked at.
pub(super) enum Came<'a> {
    /// All of it; of a known sender also what does not unpack, as it came.
    Whole(&'a [u8]),
    /// The first bytes of what is too large, and whose it is.
    Part(&'a [u8], &'a Arc<AccountRules>),
}

impl Posted {
    /// Reads a body; that of a known sender to its end, whatever it is.
    pub(super) async fn read(
        state: &State,
        head: &Head,
        parts: &Parts,
        claim: &Claim<'_>,
        mut body: axum::body::Body,
    ) -> Self {
        // Before the body: should its sender go away, the address is not kept either.
        claim.hash_peer(state, head);
        let known = claim.verify(state, None).ok();
        let is_known = known.is_some();
        if is_known {
            head.let_in();
        }
        if let Some(voice) = parts.extensions.get::<Voice>().filter(|_| is_known) {
            voice.allow();
        }
        let (bytes_max, charge) = match &known {
            Some(rules) => (
                limit::BODY_BYTES_MAX,
                state.collect_bodies().for_account(rules.id),
            ),
            None => (STRANGER_BODY_BYTES_MAX, state.strangers().for_stranger()),
        };
        // What a known sender has packed in a way that is not undone here is read as it is.
        let as_it_is = is_known && !body::is_readable(&parts.headers);
        let as_it_is = as_it_is.then(HeaderMap::new);
        let of_body = as_it_is.as_ref().unwrap_or(&parts.headers);
        let mut read = body::read(of_body, &mut body, bytes_max, charge).await;
        if let Err(it) = &mut read
            && it.refusal == Refusal::TooLarge
            && is_known
        {
            it.drain(body).await;
        }
        Self { known, read }
    }

    /// What there is to look at and the bytes that came, or the answer where there is nothing.
    pub(super) fn came(&self) -> Result<(Came<'_>, u64), Box<Response>> {
        let not_taken = match &self.read {
            Ok(it) => return Ok((Came::Whole(&it.bytes), it.size_bytes)),
            Err(it) => it,
        };
        let Some(rules) = &self.known else {
            return Err(Box::new(not_taken.in_silence()));
        };
        let size_bytes = not_taken.size_bytes;
        match not_taken.refusal {
            Refusal::Malformed => Ok((Came::Whole(&not_taken.kept), size_bytes)),
            Refusal::TooLarge => Ok((Came::Part(&not_taken.kept, rules), size_bytes)),
            refusal => Err(Box::new(Dropped::from(refusal).respond(size_bytes))),
        }
    }
}

/// Who a request says it is, before its body is read.
pub(super) struct Claim<'a> {
    name: Option<&'a str>,
    /// Headers and query string name another account as well, or headers show another token.
    is_contradicted: bool,
    token: Option<&'a str>,
    os: Option<&'a str>,
}

impl<'a> Claim<'a> {
    pub(super) fn of(headers: &'a HeaderMap, hello: &'a Hello<'_>) -> Self {
        let by_header = headers.get_all(ACCOUNT).iter();
        let mut names = by_header
            .map(|it| it.to_str().unwrap_or_default().trim())
            .chain(hello.account.as_deref());
        let name = names.next();
        let mut tokens = headers.get_all(TOKEN).iter();
        let token = tokens.next();
        let is_contradicted =
            names.any(|it| Some(it) != name) || tokens.any(|it| Some(it) != token);
        Self {
            name,
            is_contradicted,
            token: token.and_then(|it| it.to_str().ok()).map(str::trim),
            os: hello.os.as_deref(),
        }
    }

    /// Keeps a hash of the sender's address, when there is an account of the name that it gives.
    pub(super) fn hash_peer(&self, state: &State, head: &Head) {
        if let Some(rules) = account(state, self.name) {
            head.hash_peer(&peer_key(&rules));
        }
    }

    /// The account, when nothing in head and body speaks against it.
    fn account(
        &self,
        state: &State,
        body: Option<&Upload<'_>>,
    ) -> Result<Arc<AccountRules>, Refusal> {
        let in_body = body.and_then(Upload::account);
        let name = match (self.name, in_body.as_deref()) {
            (Some(name), Some(other)) if name != other => return Err(Refusal::InvalidCredentials),
            (name, other) => name.or(other),
        };
        if self.is_contradicted {
            return Err(Refusal::InvalidCredentials);
        }
        account(state, name).ok_or(Refusal::UnknownAccount)
    }

    /// The account, when the body does not speak against it and the token is the account's.
    pub(super) fn verify(
        &self,
        state: &State,
        body: Option<&Upload<'_>>,
    ) -> Result<Arc<AccountRules>, Refusal> {
        let rules = self.account(state, body)?;
        let in_body = body.and_then(Upload::token);
        let token = self.token.or(in_body.as_deref()).unwrap_or_default();
        let now = state.clock().now();
        let number = rules.verify_sdk_token(token, now);
        let number = number.ok_or(Refusal::InvalidCredentials)?;
        state.uses().token(rules.id, number, now);
        Ok(rules)
    }

    pub(super) fn source(&self, body: Option<&Upload<'_>>) -> Source {
        let in_body = body.and_then(Upload::os);
        let known = self.os.and_then(mobile_sdk::source);
        known
            .or_else(|| in_body.as_deref().and_then(mobile_sdk::source))
            .unwrap_or(Source::Android)
    }
}

/// Reads a batch and decides on its records.
fn take(
    state: &State,
    head: &Head,
    headers: &HeaderMap,
    claim: &Claim<'_>,
    body: &[u8],
) -> Result<Intake, Dropped> {
    let now = state.clock().now();
    let (plain, answer_key) = match mobile_sdk::decode(body) {
        Ok(Body::Sealed(sealed)) => {
            let opened = seal::transit::open(&sealed.key, sealed.nonce, &sealed.payload).ok();
            (opened.map(Cow::Owned), Some(sealed.key))
        }
        Ok(Body::Plain(_)) => (Some(Cow::Borrowed(body)), None),
        Err(_) => (None, None),
    };
    let is_sealed = answer_key.is_some();
    let upload = match plain.as_deref().map(mobile_sdk::decode) {
        Some(Ok(Body::Plain(upload))) => Some(*upload),
        Some(Ok(Body::Sealed(_)) | Err(_)) | None => None,
    };
    if claim.name.is_none() {
        let name = upload.as_ref().and_then(Upload::account);
        if let Some(rules) = account(state, name.as_deref()) {
            head.hash_peer(&peer_key(&rules));
        }
    }
    let verified = claim.verify(state, upload.as_ref());
    let from = (claim.source(upload.as_ref()), now);
    // Where the body cannot be read, only headers can tell whose it is.
    let rules = match &upload {
        Some(_) => verified?,
        None => verified.map_err(|_| Refusal::Undecodable)?,
    };
    head.let_in();
    page::check_if_any(&rules, headers).map_err(|it| Dropped::of(&rules, it))?;
    if is_sealed && !rules.takes_encrypted {
        return Err(Dropped::of(&rules, Refusal::EncryptionOff));
    }
    let Some(upload) = upload else {
        return Ok(Intake::of_undecodable(state, rules, body, from));
    };
    let batch = upload.batch(from.0);
    let device = upload.device();
    let kept_as = rules.device_name(&device).into_owned();
    let meta = LazyCell::new(|| upload.kept_meta(&kept_as));
    let sent = Sent {
        device: &device,
        salt: device.as_bytes(),
        is_marked_out: false,
        keep: &|item: &str| mobile_sdk::keep(item, &meta),
    };
    let mut intake = Intake::of_records(state, rules, batch, from, &sent);
    if upload.uses_ip() && intake.standing == Standing::In {
        head.keep_peer();
    }
    intake.wants_variables = upload.wants_variables();
    intake.answer_key = answer_key;
    Ok(intake)
}

/// Keeps what there is of a body that is too large, for review. It is not read: what is missing could make
/// something else of it.
fn take_a_part(
    state: &State,
    headers: &HeaderMap,
    claim: &Claim<'_>,
    rules: &Arc<AccountRules>,
    part: &[u8],
) -> Result<Intake, Dropped> {
    page::check_if_any(rules, headers).map_err(|it| Dropped::of(rules, it))?;
    let from = (claim.source(None), state.clock().now());
    Ok(Intake::of_undecodable(state, Arc::clone(rules), part, from))
}
