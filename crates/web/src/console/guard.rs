//! What stands before every page: who asks, from where, by which form, and whether that is enough.
//!
//! In order: the session is read; a request that changes something must come from a page of ours
//! (its `Origin`, or `Sec-Fetch-Site` where a browser leaves the origin out); then the page's entry
//! decides. Whoever has no role in an account gets the page of an account that does not exist.

use axum::extract::{Request, State as Of};
use axum::middleware::Next;
use axum::response::Response;
use collect::{Connection, Facts, Head, Line};
use control::{Act, Stage};
use http::{HeaderValue, Method, header};
use model::AccountId;

use super::pages::Entry;
use super::staff::{Place, Staff, StaffParts};
use super::visit::Visit;
use super::{not_found, refused};
use crate::State;
use crate::error::redirect;

/// The layer of one page.
pub(crate) async fn guard(
    Of((state, entry)): Of<(State, Entry)>,
    request: Request,
    next: Next,
) -> Response {
    let connection = request.extensions().get::<Connection>();
    let peer = connection.map(|it| it.peer.ip().to_canonical());
    let headers = request.headers().clone();
    let visit = match Visit::of(&state, &headers, peer).await {
        Ok(visit) => visit,
        Err(error) => return refused::unavailable(&error),
    };
    if let Some(head) = request.extensions().get::<Head>()
        && visit.signed_in().is_some()
    {
        head.let_in();
    }
    let nonce = visit.nonce().to_owned();
    let mut response = admit(&state, entry, visit, request, next).await;
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; \
         object-src 'none'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        // A page that needs no nonce says so itself.
        let entry = response
            .headers_mut()
            .entry(header::CONTENT_SECURITY_POLICY);
        entry.or_insert(policy);
    }
    response
}

async fn admit(
    state: &State,
    entry: Entry,
    visit: Visit,
    mut asked: Request,
    next: Next,
) -> Response {
    let changes = *asked.method() == Method::POST;
    if changes && !is_from_us(&asked) {
        return refused::foreign(&visit);
    }
    let here = asked.uri().path().to_owned();
    let act = match entry {
        Entry::Public => {
            let is_known = visit.signed_in().is_some();
            let response = run(asked, next, visit, None).await;
            return match changes {
                true => let_in(is_known, response),
                false => response,
            };
        }
        Entry::SignedIn => None,
        Entry::May(act) | Entry::Fresh(act) => Some(act),
    };
    let Some(signed_in) = visit.signed_in().filter(|it| it.stage == Stage::Full) else {
        let back = if changes { "/" } else { here.as_str() };
        return redirect(&super::view::link("/sign-in", &[("next", back)]));
    };
    let places = places(state, signed_in);
    let account = match here.strip_prefix("/a/") {
        // A page about no account is shown in the frame of the first one.
        None => places.first().map(|it| it.account),
        Some(rest) => match rest.split('/').next().map(str::parse) {
            Some(Ok(account)) => Some(account),
            Some(Err(_)) | None => return not_found::absent(),
        },
    };
    let account = account.unwrap_or_else(AccountId::installation);
    let rules = state.control().rules().borrow().account(account).cloned();
    let is_there = account == AccountId::installation() || rules.is_some();
    if let Some(act) = act {
        let actor = &signed_in.actor;
        if !is_there || actor.role_in(account).is_empty() {
            return not_found::absent();
        }
        match state.control().authorize(actor, act, account).await {
            Ok(()) => {}
            Err(control::Error::Denied { .. }) => return refused::denied(&visit),
            Err(error) => return refused::unavailable(&error),
        }
        if matches!(entry, Entry::Fresh(_)) && !signed_in.is_fresh() {
            return redirect(&super::view::link("/sign-in/factor", &[("next", &here)]));
        }
    }
    let staff = Staff::new(StaffParts {
        actor: signed_in.actor.clone(),
        email: Box::from(signed_in.email.as_str()),
        name: Box::from(signed_in.name.as_str()),
        account,
        rules,
        places,
        nonce: Box::from(visit.nonce()),
        csrf: Box::from(visit.csrf()),
    });
    let facts = Facts {
        account: act.map(|_| account),
        line: match changes {
            true => Line::Awaited,
            false => act.map_or(Line::Offered, line),
        },
        ..Facts::default()
    };
    asked.extensions_mut().insert(staff);
    run(asked, next, visit, Some(facts)).await
}

/// A stranger who changed something, by a sign-in or a link, has been let in: the line is in the
/// request log before the answer. One who was refused, or sent to another page, is not waited for.
fn let_in(is_known: bool, mut response: Response) -> Response {
    let status = response.status();
    let is_let_in = is_known || response.headers().contains_key(header::SET_COOKIE);
    if is_let_in && !status.is_client_error() && !status.is_server_error() {
        let known = response.extensions().get::<Facts>().copied();
        response.extensions_mut().insert(Facts {
            line: Line::Awaited,
            ..known.unwrap_or_default()
        });
    }
    response
}

async fn run(mut request: Request, next: Next, visit: Visit, facts: Option<Facts>) -> Response {
    request.extensions_mut().insert(visit);
    let mut response = next.run(request).await;
    if let Some(facts) = facts {
        let known = response.extensions().get::<Facts>();
        let facts = match known {
            Some(known) => Facts {
                account: known.account.or(facts.account),
                line: facts.line,
                ..*known
            },
            None => facts,
        };
        response.extensions_mut().insert(facts);
    }
    response
}

/// A page about people, about what they sent or from where, is in the request log before it is
/// answered.
const fn line(act: Act) -> Line {
    match act {
        Act::ReadPeople
        | Act::RevealPerson
        | Act::Export
        | Act::DeletePeople
        | Act::RestrictPeople
        | Act::ChangePeople
        | Act::ReadQuarantine
        | Act::ManageQuarantine
        | Act::ReadRequests => Line::Awaited,
        Act::ReadInstallation
        | Act::ManageInstallation
        | Act::ReadAccount
        | Act::ManageAccount
        | Act::ReadCredentials
        | Act::ManageCredentials
        | Act::ReadUsers
        | Act::ManageUsers
        | Act::ReadRoles
        | Act::ManageRoles
        | Act::CarryOutDeletion
        | Act::Analyse
        | Act::ReadDictionary
        | Act::ManageDictionary
        | Act::ClassifyProperties
        | Act::ReadAudit => Line::Offered,
    }
}

/// Where the user has a role, by name; the installation comes last.
fn places(state: &State, signed_in: &control::SignedIn) -> Vec<Place> {
    let rules = state.control().rules();
    let rules = rules.borrow();
    let control::ActorKind::User { standings, .. } = &signed_in.actor.kind else {
        return Vec::new();
    };
    let mut places: Vec<Place> = standings
        .iter()
        .filter(|(_, standing)| !standing.roles.is_empty())
        .filter_map(|(account, _)| {
            let name = match *account == AccountId::installation() {
                true => Box::from("Installation"),
                false => rules.account(*account)?.name.clone(),
            };
            let account = *account;
            Some(Place { account, name })
        })
        .collect();
    places.sort_by(|a, b| {
        let last = |it: &Place| it.account == AccountId::installation();
        (last(a), &a.name).cmp(&(last(b), &b.name))
    });
    places
}

/// Whether a browser says that a page of this origin sends it. Programs that say nothing are not
/// let in either: they have the API.
fn is_from_us(request: &Request) -> bool {
    let headers = request.headers();
    let one = |name| {
        let mut all = headers.get_all(name).iter();
        match (all.next(), all.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    };
    let host = request
        .uri()
        .authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| one(header::HOST));
    match one(header::ORIGIN) {
        Some(origin) => {
            let from = origin.strip_prefix("https://");
            from.is_some() && from == host
        }
        None if headers.contains_key(header::ORIGIN) => false,
        None => one(http::HeaderName::from_static("sec-fetch-site")) == Some("same-origin"),
    }
}
