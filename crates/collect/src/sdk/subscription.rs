//! `GET /e`: the page on which somebody who came by a link in an e-mail says what they want to get.
//!
//! Whom such a link is for, only the product knows that sent the e-mail, and Strongroom sends none. So
//! a wish is kept for review, sealed, and never dropped; a question is answered: there are no groups.

use axum::extract::{Request, State as Of};
use axum::response::Response;
use model::record::Source;
use wire::web_sdk::{Message, Subscription, decompress_from_base64};

use super::intake::Intake;
use super::page::{self, shared};
use super::web::wants_json;
use super::{Dropped, account, peer_key};
use crate::{Facts, Head, Refusal, State, reply};

/// Tells the page that there are no groups to choose from.
const NO_GROUPS: &str = "$WZRK_WR.setSubscriptionGroups([]);";
/// Says nothing.
const NOTHING: &str = "$WZRK_WR.tr({});";
/// Why a wish is in the quarantine.
const WISH: &str = "somebody's wish about e-mails, to be carried out by hand";

pub(super) async fn answer(Of(state): Of<State>, request: Request) -> Response {
    let Some(head) = request.extensions().get::<Head>().cloned() else {
        return Refusal::Internal.in_silence(Facts::default());
    };
    let query = request.uri().query().unwrap_or_default();
    let size_bytes = query.len() as u64;
    let (mut intake, subscription) = match take(&state, &head, &request, query) {
        Ok(taken) => taken,
        Err(dropped) => return dropped.respond(size_bytes),
    };
    let facts = match intake.commit(&state, &head, size_bytes).await {
        Ok(facts) => facts,
        Err((refusal, facts)) => return shared(refusal.respond(facts)),
    };
    if wants_json(request.headers()) {
        return shared(reply::ok("{\"tr\":{}}", facts));
    }
    let script = if subscription.asks_for_groups {
        NO_GROUPS
    } else {
        NOTHING
    };
    reply::script(script.to_owned(), facts)
}

fn take(
    state: &State,
    head: &Head,
    request: &Request,
    query: &str,
) -> Result<(Intake, Subscription), Dropped> {
    let (subscription, data) = Subscription::decode(query).ok_or(Refusal::Undecodable)?;
    let text = decompress_from_base64(&data).ok_or(Refusal::Undecodable)?;
    let message = Message::decode(&text).map_err(|_| Refusal::Undecodable)?;
    let rules = account(state, message.account().as_deref()).ok_or(Refusal::UnknownAccount)?;
    head.hash_peer(&peer_key(&rules));
    page::check(&rules, request.headers()).map_err(|it| Dropped::of(&rules, it))?;
    let from = (Source::Web, state.clock().now());
    let intake = if subscription.is_wish {
        Intake::of_kept(state, rules, query.as_bytes(), WISH, from)
    } else {
        Intake::of_nothing(rules, from)
    };
    Ok((intake, subscription))
}
