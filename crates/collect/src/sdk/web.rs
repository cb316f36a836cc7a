//! `GET /a`: browsers.
//!
//! As a script (for a page of any origin) or as JSON (for `fetch`, which asks first). The page's
//! account is known to everybody who reads the page: it is a name, not a secret. Of a browser that has
//! opted out nothing is kept but the line of the request log, whether its message says so or not.

use axum::extract::{Request, State as Of};
use axum::response::Response;
use governance::AccountRules;
use http::{HeaderMap, header};
use model::Timestamp;
use model::record::Source;
use std::sync::Arc;
use wire::web_sdk::{self, Answer, Message, Query, decompress_from_base64, session};

use super::intake::{self, Intake, Sent, Standing};
use super::page::{self, shared};
use super::{Dropped, account, discarded, ids, peer_key};
use crate::{Facts, Head, Refusal, State, reply};

/// The header by which an SDK says that it reads JSON.
const ASKS_FOR_JSON: &str = "x-clevertap-encryption-enabled";

/// Takes one message.
pub(super) async fn push(Of(state): Of<State>, request: Request) -> Response {
    let Some(head) = request.extensions().get::<Head>().cloned() else {
        // The log layer stands before every route.
        return Refusal::Internal.in_silence(Facts::default());
    };
    let query = request.uri().query().unwrap_or_default();
    let size_bytes = query.len() as u64;
    let headers = request.headers();
    let Taken { mut intake, told } = match take(&state, &head, headers, query) {
        Ok(taken) => taken,
        Err(dropped) => return shared(dropped.respond(size_bytes)),
    };
    let facts = match intake.commit(&state, &head, size_bytes).await {
        Ok(facts) => facts,
        Err((refusal, facts)) => return shared(refusal.respond(facts)),
    };
    let discarded = discarded(&intake.rules);
    let tells_discarded = told.ends_discarded || !discarded.is_empty();
    let is_out = intake.standing == Standing::Out;
    // An opting out that comes late does not end what its browser has said since.
    let is_late = || {
        let opts_out = intake.standing == Standing::OptsOut;
        opts_out && state.is_back(&intake.rules, &told.device)
    };
    let answer = Answer {
        device: &told.device,
        session: told.session,
        is_login: told.is_login,
        number: told.number,
        // Who may not opt in by what was sent is told so, or would take itself to be in.
        opt_out: told.opt_out.map(|asked| is_out || (asked && !is_late())),
        is_out,
        discarded: tells_discarded.then_some(discarded.as_slice()),
        wants_variables: intake.wants_variables,
    };
    if !wants_json(headers) {
        return reply::script(answer.script(), facts);
    }
    match intake::sealed(&state, &intake, answer.json()) {
        Ok(body) => shared(reply::ok(body, facts)),
        Err(refusal) => shared(refusal.respond(facts)),
    }
}

/// Whether the sender reads JSON rather than running a script.
pub(super) fn wants_json(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter();
    let mut types = accepts
        .flat_map(|it| it.to_str().unwrap_or_default().split(','))
        .map(|it| it.split(';').next().unwrap_or_default().trim());
    headers.contains_key(ASKS_FOR_JSON)
        || types.any(|it| it.eq_ignore_ascii_case("application/json"))
}

/// A message that was understood, or is kept for review.
struct Taken {
    intake: Intake,
    told: Told,
}

/// What goes into the answer.
struct Told {
    device: Box<str>,
    session: u32,
    is_login: bool,
    number: u64,
    opt_out: Option<bool>,
    /// No event is unwanted any more, and the browser remembers some.
    ends_discarded: bool,
}

/// Reads the message and decides on its records. A message of no known account is refused.
fn take(state: &State, head: &Head, headers: &HeaderMap, query: &str) -> Result<Taken, Dropped> {
    let mut query = Query::decode(query).ok_or(Refusal::Undecodable)?;
    let data = std::mem::take(&mut query.data);
    let outer = decompress_from_base64(&data).ok_or(Refusal::Undecodable)?;
    let message = Message::decode(&outer).map_err(|_| Refusal::Undecodable)?;
    let name = message.account();
    let rules = account(state, name.as_deref()).ok_or(Refusal::UnknownAccount)?;
    // Whether the address may be kept is known once the message has been read.
    head.hash_peer(&peer_key(&rules));
    page::check(&rules, headers).map_err(|it| Dropped::of(&rules, it))?;
    let from = Arrived {
        state,
        head,
        rules: &rules,
        query: &query,
        now: state.clock().now(),
    };
    let Some(sealed) = message.sealed() else {
        return Ok(from.records(&message));
    };
    if !rules.takes_encrypted {
        return Err(Dropped::of(&rules, Refusal::EncryptionOff));
    }
    let opened = sealed.ok().and_then(|sealed| {
        let inner = seal::transit::open(&sealed.key, sealed.nonce, &sealed.payload).ok()?;
        let inner = decompress_from_base64(std::str::from_utf8(&inner).ok()?)?;
        Some((sealed.key, inner))
    });
    let inner = opened
        .as_ref()
        .and_then(|(_, inner)| Message::decode(inner).ok());
    let inner = inner.filter(|it| it.sealed().is_none());
    let mut taken = match inner.filter(|it| it.account().is_none_or(|it| Some(it) == name)) {
        Some(inner) => from.records(&inner),
        None => from.undecodable(&message, &outer),
    };
    taken.intake.answer_key = opened.map(|(key, _)| key);
    Ok(taken)
}

/// Where a message came from, and when.
struct Arrived<'a> {
    state: &'a State,
    head: &'a Head,
    rules: &'a Arc<AccountRules>,
    query: &'a Query<'a>,
    now: Timestamp,
}

impl Arrived<'_> {
    /// The records of a message in plain text.
    fn records(&self, message: &Message<'_>) -> Taken {
        let told = self.told(message);
        // One that names no session begins the one that the answer tells; one of a session that is over was
        // made in that.
        let query = Query {
            session: self.query.session.or(Some(told.session)),
            ..self.query.clone()
        };
        let batch = message.batch(&query, &told.device);
        // Each page numbers its requests, and a browser its pages: two clicks of one second are two.
        let seconds = u64::from(self.query.seconds.unwrap_or(0));
        // A device that it is told now is another when the request comes again.
        let device = message.device(self.query).unwrap_or_default();
        let mut salt = device.as_bytes().to_vec();
        for number in [seconds, self.query.number, self.query.sequence] {
            salt.extend_from_slice(&number.to_le_bytes());
        }
        salt.extend_from_slice(message.page().as_bytes());
        let (rules, from) = (Arc::clone(self.rules), (Source::Web, self.now));
        let sent = Sent {
            device: &told.device,
            salt: &salt,
            is_marked_out: message.is_opted_out(self.query),
            keep: &|message: &str| web_sdk::keep(message, self.query, &told.device),
        };
        let mut intake = Intake::of_records(self.state, rules, batch, from, &sent);
        if self.query.uses_ip && intake.standing == Standing::In {
            self.head.keep_peer();
        }
        intake.wants_variables = message.wants_variables();
        Taken { intake, told }
    }

    /// A message that cannot be read.
    fn undecodable(&self, envelope: &Message<'_>, outer: &str) -> Taken {
        let told = self.told(envelope);
        let is_out =
            envelope.is_opted_out(self.query) || self.state.is_out(self.rules, &told.device);
        // Who opts in by it stays out: it cannot be read. Whoever looks at it may.
        let opts_in = self.query.opt_out == Some(false);
        let (rules, from) = (Arc::clone(self.rules), (Source::Web, self.now));
        let mut intake = if is_out && !opts_in {
            Intake::of_opted_out(rules, 0, from)
        } else {
            Intake::of_undecodable(self.state, rules, outer.as_bytes(), from)
        };
        if is_out {
            intake.standing = Standing::Out;
        }
        Taken { intake, told }
    }

    fn told(&self, message: &Message<'_>) -> Told {
        let (query, state) = (self.query, self.state);
        let device = message.device(query).unwrap_or_else(|| {
            let fresh = state.record_ids().batch()(0);
            ids::device_id(&self.rules.person_key_secret, fresh).into_boxed_str()
        });
        let last = state.heard().hear(self.rules, &device, self.now);
        Told {
            device,
            session: session(message.session(query), last, self.now),
            is_login: message.is_login(),
            number: query.number,
            opt_out: query.opt_out,
            ends_discarded: self.rules.discarded_events.is_empty() && query.remembers_discarded(),
        }
    }
}
