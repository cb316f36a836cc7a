//! The routes of the two planes: the table, and the routers that are made of it.

use axum::Router;
use axum::extract::{FromRef, Request, State as Of};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use model::record::Plane;

use crate::api::campaigns;
use crate::console::pages::{Audit, Entry};
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
    /// Whether each call leaves an entry in the audit log.
    pub is_audited: bool,
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

const fn api(method: &'static str, pattern: &'static str, is_audited: bool) -> Route {
    Route {
        method,
        pattern,
        plane: Plane::Api,
        access: Access::Passcode,
        is_audited,
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
        is_audited: page.audit != Audit::Nothing,
    })
}

/// Every route of the api plane. The first verb of a URL stands first.
pub const ROUTES: [Route; 33] = [
    api("POST", "/1/upload", false),
    api("POST", "/1/events.json", true),
    api("GET", "/1/events.json", true),
    api("POST", "/1/profiles.json", true),
    api("GET", "/1/profiles.json", true),
    api("GET", "/1/profile.json", true),
    api("POST", "/1/delete/profiles.json", true),
    api("POST", "/1/counts/events.json", false),
    api("GET", "/1/counts/events.json", false),
    api("POST", "/1/counts/profiles.json", false),
    api("GET", "/1/counts/profiles.json", false),
    api("POST", "/1/now.json", false),
    api("GET", "/1/now.json", false),
    api("POST", "/1/counts/top.json", true),
    api("GET", "/1/counts/top.json", true),
    api("POST", "/1/counts/trends.json", false),
    api("GET", "/1/counts/trends.json", false),
    api("POST", "/1/demerge/profiles.json", true),
    api("POST", "/1/subscribe", true),
    api("POST", "/1/disassociate", true),
    api("GET", "/getSchema", false),
    api("POST", "/getSchema", false),
    api("GET", "/v1/connect", false),
    api("POST", "/1/message/report.json", false),
    api("GET", "/1/message/report.json", false),
    api("GET", "/category-groups", false),
    api("POST", "/category-groups", false),
    api("GET", "/v1/contentBlock/list", false),
    api("POST", "/1/targets/create.json", false),
    api("POST", "/1/targets/estimate.json", false),
    api("POST", "/1/targets/list.json", false),
    api("POST", "/1/targets/result.json", false),
    api("POST", "/1/targets/stop.json", false),
];

impl FromRef<State> for collect::State {
    fn from_ref(state: &State) -> Self {
        state.collect().clone()
    }
}

/// The REST API, complete with its request log.
pub fn api_router(state: &State) -> Router {
    let paths: [(&str, MethodRouter<State>); 18] = [
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
        (api::disassociate::PATH, post(api::disassociate::post)),
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
        .fallback(collect::unknown_url)
        .with_state(state.clone())
        .layer(from_fn(headers::no_proxy))
        .layer(from_fn(collect::encrypt_answers))
        .layer(from_fn_with_state(
            (state.collect().clone(), Plane::Api),
            collect::log_requests,
        ))
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
        .layer(from_fn(headers::no_proxy))
        .layer(from_fn_with_state(
            (state.collect().clone(), Plane::Console),
            collect::log_requests,
        ))
        .layer(map_response(headers::console))
}
