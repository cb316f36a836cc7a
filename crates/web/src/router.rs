//! The routes of the two planes: the table, and the routers that are made of it.

use axum::Router;
use axum::extract::{FromRef, Request, State as Of};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use control::{Action, Audit, Unaudited};
use model::record::Plane;

use crate::api::campaigns;
use crate::console::pages::Entry;
use crate::error::problem::in_problems;
use crate::v2;
use crate::{State, api, console, headers};

/// One verb of one URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The verb.
    pub method: &'static str,
    /// The URL's pattern.
    pub pattern: &'static str,
    /// The listener that serves it.
    pub plane: Plane,
    /// Who may call it.
    pub access: Access,
    /// What each call leaves in the audit log.
    pub audit: Audit,
}

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// A program with the account's id and one of its passcodes.
    Passcode,
    /// Somebody who has signed in with both factors, and whose roles allow it.
    Session,
}

const fn api(method: &'static str, pattern: &'static str, audit: Audit) -> Route {
    Route {
        method,
        pattern,
        plane: Plane::Api,
        access: Access::Passcode,
        audit,
    }
}

/// Every verb of every page of the console.
pub fn console_routes() -> impl Iterator<Item = Route> {
    console::pages::PAGES.iter().map(|page| Route {
        method: page.method,
        pattern: page.path,
        plane: Plane::Console,
        access: match page.entry {
            Entry::Public => Access::Public,
            Entry::SignedIn | Entry::May(_) | Entry::Fresh(_) => Access::Session,
        },
        audit: page.audit,
    })
}

/// Every operation of the management API.
pub fn management_routes() -> impl Iterator<Item = Route> {
    let operations = v2::table::OPERATIONS.iter();
    operations.map(|it| api(it.method, it.path, it.audit))
}

const UPLOAD: Audit = Audit::NothingAs(Unaudited::RequestLog);
const NOW: Audit = Audit::NothingAs(Unaudited::Counts);
const NOT_OFFERED: Audit = Audit::NothingAs(Unaudited::NotOffered);
const EVENTS: Audit = Audit::Entries(&[Action::EventsRead]);
const PEOPLE: Audit = Audit::Entries(&[Action::PeopleRead]);
const PERSON: Audit = Audit::Entries(&[Action::PersonShown]);
const COUNT: Audit = Audit::Entries(&[Action::CountRead]);
const DELETION: Audit = Audit::Entries(&[Action::DeletionRequested]);
const DEMERGE: Audit = Audit::Entries(&[Action::PeopleDemerged]);
const SUBSCRIBE: Audit = Audit::Entries(&[Action::PeopleSubscribed]);
const DISASSOCIATE: Audit = Audit::Entries(&[Action::PhonesRemoved]);

/// Every route of the protocol on the api plane. The first verb of a URL stands first.
pub const ROUTES: [Route; 35] = [
    api("POST", "/1/upload", UPLOAD),
    api("POST", "/1/events.json", EVENTS),
    api("GET", "/1/events.json", EVENTS),
    api("POST", "/1/profiles.json", PEOPLE),
    api("GET", "/1/profiles.json", PEOPLE),
    api("GET", "/1/profile.json", PERSON),
    api("POST", "/1/delete/profiles.json", DELETION),
    api("POST", "/1/counts/events.json", COUNT),
    api("GET", "/1/counts/events.json", COUNT),
    api("POST", "/1/counts/profiles.json", COUNT),
    api("GET", "/1/counts/profiles.json", COUNT),
    api("POST", "/1/now.json", NOW),
    api("GET", "/1/now.json", NOW),
    api("POST", "/1/counts/top.json", EVENTS),
    api("GET", "/1/counts/top.json", EVENTS),
    api("POST", "/1/counts/trends.json", COUNT),
    api("GET", "/1/counts/trends.json", COUNT),
    api("POST", "/1/demerge/profiles.json", DEMERGE),
    api("POST", "/1/subscribe", SUBSCRIBE),
    api("POST", "/1/subscribe/", SUBSCRIBE),
    api("POST", "/1/disassociate", DISASSOCIATE),
    api("POST", "/1/disassociate/", DISASSOCIATE),
    api("GET", "/getSchema", Audit::Nothing),
    api("POST", "/getSchema", Audit::Nothing),
    api("GET", "/v1/connect", Audit::Nothing),
    api("POST", "/1/message/report.json", NOT_OFFERED),
    api("GET", "/1/message/report.json", NOT_OFFERED),
    api("GET", "/category-groups", NOT_OFFERED),
    api("POST", "/category-groups", NOT_OFFERED),
    api("GET", "/v1/contentBlock/list", NOT_OFFERED),
    api("POST", "/1/targets/create.json", NOT_OFFERED),
    api("POST", "/1/targets/estimate.json", NOT_OFFERED),
    api("POST", "/1/targets/list.json", NOT_OFFERED),
    api("POST", "/1/targets/result.json", NOT_OFFERED),
    api("POST", "/1/targets/stop.json", NOT_OFFERED),
];

impl FromRef<State> for collect::State {
    fn from_ref(state: &State) -> Self {
        state.collect().clone()
    }
}

/// The REST API, complete with its request log.
pub fn api_router(state: &State) -> Router {
    let paths: [(&str, MethodRouter<State>); 20] = [
        ("/1/upload", collect::upload_route()),
        (
            api::events::PATH,
            post(api::events::post).get(api::events::get),
        ),
        (
            api::profiles::PATH,
            post(api::profiles::post).get(api::profiles::get),
        ),
        (api::profile::PATH, get(api::profile::get)),
        (api::delete_profiles::PATH, post(api::delete_profiles::post)),
        (
            api::count_events::PATH,
            post(api::count_events::post).get(api::count_events::get),
        ),
        (
            api::count_profiles::PATH,
            post(api::count_profiles::post).get(api::count_profiles::get),
        ),
        (api::now::PATH, post(api::now::any).get(api::now::any)),
        (api::top::PATH, post(api::top::any).get(api::top::any)),
        (
            api::trends::PATH,
            post(api::trends::any).get(api::trends::any),
        ),
        (api::demerge::PATH, post(api::demerge::post)),
        (api::subscribe::PATH, post(api::subscribe::post)),
        (api::subscribe::OLD_PATH, post(api::subscribe::post)),
        (api::disassociate::PATH, post(api::disassociate::post)),
        (api::disassociate::OLD_PATH, post(api::disassociate::post)),
        (
            api::schema::PATH,
            post(api::schema::any).get(api::schema::any),
        ),
        (api::connect::PATH, get(api::connect::get)),
        (
            campaigns::REPORT_PATH,
            post(campaigns::report).get(campaigns::report),
        ),
        (
            campaigns::CATEGORIES_PATH,
            post(campaigns::categories).get(campaigns::categories),
        ),
        (campaigns::BLOCKS_PATH, get(campaigns::blocks)),
    ];
    let targets = campaigns::TARGETS_PATHS.map(|path| (path, post(campaigns::targets)));
    let router = paths
        .into_iter()
        .chain(targets)
        .fold(Router::new(), |router, (path, methods)| {
            router.route(path, methods.head(other_method).fallback(other_method))
        });
    router
        .merge(v2::table::router(state))
        .fallback(collect::unknown_url)
        .with_state(state.clone())
        .layer(from_fn(collect::no_proxy))
        .layer(from_fn_with_state(state.clone(), api::note_refusals))
        .layer(from_fn(in_problems))
        .layer(from_fn(collect::encrypt_answers))
        .layer(from_fn_with_state(
            (state.collect().clone(), Plane::Api),
            collect::log_requests,
        ))
        // What the log's own layer refuses.
        .layer(from_fn(in_problems))
        .layer(map_response(headers::api))
}

/// A method without a handler: a browser's question, or a mistake.
async fn other_method(Of(state): Of<State>, request: Request) -> Response {
    match headers::preflight(&request) {
        Some(response) => response,
        None => collect::wrong_method(Of(state.collect().clone()), request).await,
    }
}

/// The console, complete with its request log.
pub fn console_router(state: &State) -> Router {
    console::pages::router(state)
        .method_not_allowed_fallback(console::not_found::wrong_method)
        .fallback(console::not_found::any)
        .with_state(state.clone())
        .layer(from_fn(collect::no_proxy))
        .layer(from_fn_with_state(
            (state.collect().clone(), Plane::Console),
            collect::log_requests,
        ))
        .layer(map_response(headers::console))
}
