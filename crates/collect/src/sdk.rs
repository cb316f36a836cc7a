//! The SDK endpoints of the collect plane.
//!
//! Browsers call `/a` and `/e`, phones `/hello` and `/a1`; both also ask for, or define, what is never
//! there. A sender that is not known, and what is in no format of theirs, is dropped in silence. From
//! a known sender everything is taken: what cannot be read goes to the quarantine, and the answer is the one of success in its dialect, because an SDK sends again
//! whatever is answered otherwise. Nothing is answered before it is durable.

mod absent;
mod heard;
mod ids;
mod intake;
mod mobile;
pub(crate) mod page;
mod seen;
mod subscription;
mod web;

pub(crate) use heard::Heard;
pub(crate) use ids::{derive_for_upload, purpose_key};
pub(crate) use seen::Seen;

use axum::Router;
use axum::handler::Handler;
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use governance::AccountRules;
use model::record::Peer;
use model::{AccountId, Secret};
use std::net::IpAddr;
use std::sync::Arc;

use crate::peer::hashed_peer;
use crate::{Facts, Refusal, State};

/// Every URL that the collect plane knows. All else on it is dropped.
pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route(
            "/a",
            on(MethodFilter::GET, web::push)
                .on(MethodFilter::OPTIONS, page::preflight)
                .on(MethodFilter::HEAD, wrong_method)
                .fallback(wrong_method),
        )
        .route(
            "/e",
            on(MethodFilter::GET, subscription::answer)
                .on(MethodFilter::OPTIONS, page::preflight)
                .on(MethodFilter::HEAD, wrong_method)
                .fallback(wrong_method),
        )
        .route(
            "/hello",
            on(MethodFilter::GET, mobile::hello)
                .on(MethodFilter::OPTIONS, page::preflight)
                .on(MethodFilter::HEAD, wrong_method)
                .fallback(wrong_method),
        )
        .route("/a1", posted(mobile::upload))
        .route("/defineVars", posted(absent::variables))
        .route("/defineTemplates", posted(absent::templates))
        .route("/content", posted(absent::content))
        .route("/inbox/v2/getMessages", posted(absent::messages))
        .route("/inbox/v2/deleteMessages", posted(absent::deleted))
}

/// What is posted, by phones and by pages.
fn posted<H, T>(handler: H) -> MethodRouter<State>
where
    H: Handler<T, State>,
    T: 'static,
{
    on(MethodFilter::POST, handler)
        .on(MethodFilter::OPTIONS, page::preflight)
        .fallback(wrong_method)
}

async fn wrong_method() -> Response {
    Refusal::UnknownMethod.in_silence(Facts::default())
}

/// A request that is not served, and the account that it named, if there is one of that name.
#[derive(Debug)]
struct Dropped {
    refusal: Refusal,
    account: Option<AccountId>,
}

impl From<Refusal> for Dropped {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            account: None,
        }
    }
}

impl Dropped {
    fn of(rules: &AccountRules, refusal: Refusal) -> Self {
        Self {
            refusal,
            account: Some(rules.id),
        }
    }

    /// Silence, but where an SDK has to know: that it may try again, or that it must not encrypt.
    fn respond(self, size_bytes: u64) -> Response {
        let facts = Facts {
            account: self.account,
            size_bytes,
            ..Facts::default()
        };
        match self.refusal {
            Refusal::Busy | Refusal::Unavailable | Refusal::EncryptionOff => {
                self.refusal.respond(facts)
            }
            other => other.in_silence(facts),
        }
    }
}

/// The rules of the account that an SDK names.
fn account(state: &State, name: Option<&str>) -> Option<Arc<AccountRules>> {
    let id = name?.parse().ok()?;
    state.rules().account(id).map(Arc::clone)
}

/// How the peer of an account's SDK is kept that has not allowed more.
#[must_use]
pub fn peer_of_sdk(rules: &AccountRules, address: IpAddr) -> Peer {
    hashed_peer(&peer_key(rules), address)
}

/// The key under which addresses of an account's SDKs are hashed.
fn peer_key(rules: &AccountRules) -> Secret<[u8; 32]> {
    purpose_key(&rules.person_key_secret, "peer address")
}

/// The account's events that SDKs need not send.
fn discarded(rules: &AccountRules) -> Vec<&str> {
    rules.discarded_events.iter().map(|name| &**name).collect()
}
