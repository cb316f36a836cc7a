//! The table of the management API's operations: verb, URL, the act that it is, what it leaves in the
//! audit log.
//!
//! The router, the matrix of passcodes and operations, what the document says of each, and the tests
//! of authorization and audit are all made of this table. An operation that is not in it does not
//! exist.

use axum::Router;
use axum::extract::{Request, State as Of};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{MethodRouter, delete, get, post, put};
use control::{Act, Action};
use http::{HeaderValue, header};
use std::collections::BTreeMap;

use super::guard::guard;
use super::{
    audit_log, credentials, dictionary, document, events, people, properties, quarantine, requests,
    restrictions, roles, security, users,
};
use crate::State;
use control::Audit;

/// One verb of one URL.
#[derive(Debug)]
pub(crate) struct Operation {
    /// The verb.
    pub(crate) method: &'static str,
    /// The URL's pattern.
    pub(crate) path: &'static str,
    /// The act that it is: `control::authz` says who may.
    pub(crate) act: Act,
    /// What each call leaves in the audit log.
    pub(crate) audit: Audit,
    /// Makes the handler.
    handler: fn() -> MethodRouter<State>,
}

const fn operation(
    method: &'static str,
    path: &'static str,
    act: Act,
    audit: Audit,
    handler: fn() -> MethodRouter<State>,
) -> Operation {
    Operation {
        method,
        path,
        act,
        audit,
        handler,
    }
}

const fn entries(actions: &'static [Action]) -> Audit {
    Audit::Entries(actions)
}

/// Every operation.
#[rustfmt::skip]
pub(crate) static OPERATIONS: &[Operation] = &[
    operation("GET", document::PATH, Act::ReadAccount, Audit::Nothing, || get(document::show)),
    operation("GET", "/v2/audit-log", Act::ReadAudit, entries(&[Action::AuditRead]), || get(audit_log::list)),
    operation("GET", "/v2/audit-log/download", Act::ReadAudit, entries(&[Action::AuditExported]), || get(audit_log::download)),
    operation("GET", "/v2/users", Act::ReadUsers, Audit::Nothing, || get(users::list)),
    operation("POST", "/v2/users", Act::ManageUsers, entries(&[Action::UserInvited]), || post(users::invite)),
    operation("GET", "/v2/users/{id}", Act::ReadUsers, Audit::Nothing, || get(users::show)),
    operation("DELETE", "/v2/users/{id}", Act::ManageUsers, entries(&[Action::UserRevoked]), || delete(users::revoke)),
    operation("PUT", "/v2/users/{id}/roles/{role}", Act::ManageUsers, entries(&[Action::RoleGranted]), || put(users::grant)),
    operation("DELETE", "/v2/users/{id}/roles/{role}", Act::ManageUsers, entries(&[Action::RoleWithdrawn]), || delete(users::withdraw)),
    operation("POST", "/v2/users/{id}/unlock", Act::ManageUsers, entries(&[Action::UserUnlocked]), || post(users::unlock)),
    operation("POST", "/v2/users/{id}/reset-second-factor", Act::ManageUsers, entries(&[Action::FactorReset]), || post(users::reset)),
    operation("GET", "/v2/credentials", Act::ReadCredentials, Audit::Nothing, || get(credentials::list)),
    operation("POST", "/v2/credentials", Act::ManageCredentials, entries(&[Action::PasscodeCreated]), || post(credentials::create)),
    operation("DELETE", "/v2/credentials/{name}", Act::ManageCredentials, entries(&[Action::PasscodeRevoked]), || delete(credentials::revoke)),
    operation("GET", "/v2/sdk-tokens", Act::ReadCredentials, Audit::Nothing, || get(credentials::tokens)),
    operation("POST", "/v2/sdk-tokens", Act::ManageCredentials, entries(&[Action::SdkTokenRotated]), || post(credentials::rotate)),
    operation("DELETE", "/v2/sdk-tokens/{number}", Act::ManageCredentials, entries(&[Action::SdkTokenEnded]), || delete(credentials::end_token)),
    operation("GET", "/v2/roles", Act::ReadRoles, Audit::Nothing, || get(roles::list)),
    operation("PUT", "/v2/roles/{name}", Act::ManageRoles, entries(&[Action::RoleChanged]), || put(roles::set)),
    operation("DELETE", "/v2/roles/{name}", Act::ManageRoles, entries(&[Action::RoleDeleted]), || delete(roles::delete)),
    operation("POST", "/v2/roles/{name}/copies", Act::ManageRoles, entries(&[Action::RoleChanged]), || post(roles::copy)),
    operation("GET", "/v2/allowlist", Act::ManageAccount, Audit::Nothing, || get(security::allowlist)),
    operation("POST", "/v2/allowlist", Act::ManageAccount, entries(&[Action::AllowlistChanged]), || post(security::change_allowlist)),
    operation("GET", "/v2/domains", Act::ManageAccount, Audit::Nothing, || get(security::domains)),
    operation("POST", "/v2/domains", Act::ManageAccount, entries(&[Action::DomainsChanged]), || post(security::change_domains)),
    operation("GET", "/v2/requests", Act::ReadRequests, entries(&[Action::RequestsRead]), || get(requests::list)),
    operation("GET", "/v2/errors", Act::ReadQuarantine, Audit::Nothing, || get(quarantine::errors)),
    operation("GET", "/v2/quarantine", Act::ReadQuarantine, entries(&[Action::QuarantineRead]), || get(quarantine::list)),
    operation("POST", "/v2/quarantine/replays", Act::ManageQuarantine, entries(&[Action::QuarantineReplayed]), || post(quarantine::replay)),
    operation("GET", "/v2/quarantine/{id}", Act::ReadQuarantine, entries(&[Action::QuarantineRead]), || get(quarantine::show)),
    operation("DELETE", "/v2/quarantine/{id}", Act::ManageQuarantine, entries(&[Action::QuarantineDeleted]), || delete(quarantine::delete)),
    operation("GET", "/v2/dictionary/events", Act::ReadDictionary, Audit::Nothing, || get(dictionary::events)),
    operation("PUT", "/v2/dictionary/events/{name}", Act::ManageDictionary, entries(&[Action::DictionaryChanged]), || put(dictionary::define)),
    operation("DELETE", "/v2/dictionary/events/{name}", Act::ManageDictionary, entries(&[Action::DictionaryChanged]), || delete(dictionary::forget)),
    operation("PUT", "/v2/dictionary/events/{name}/properties/{property}", Act::ManageDictionary, entries(&[Action::DictionaryChanged]), || put(properties::declare)),
    operation("DELETE", "/v2/dictionary/events/{name}/properties/{property}", Act::ManageDictionary, entries(&[Action::DictionaryChanged]), || delete(properties::forget)),
    operation("GET", "/v2/dictionary/properties", Act::ReadDictionary, Audit::Nothing, || get(properties::list)),
    operation("PUT", "/v2/dictionary/properties/{of}/{name}/class", Act::ClassifyProperties, entries(&[Action::DictionaryChanged]), || put(properties::classify)),
    operation("GET", "/v2/dictionary/profile", Act::ReadDictionary, Audit::Nothing, || get(properties::profile)),
    operation("PUT", "/v2/dictionary/profile/{property}", Act::ManageDictionary, entries(&[Action::DictionaryChanged]), || put(properties::declare_of_people)),
    operation("DELETE", "/v2/dictionary/profile/{property}", Act::ManageDictionary, entries(&[Action::DictionaryChanged]), || delete(properties::forget_of_people)),
    operation("GET", "/v2/dictionary/policy", Act::ReadDictionary, Audit::Nothing, || get(dictionary::policy)),
    operation("PUT", "/v2/dictionary/policy", Act::ManageDictionary, entries(&[Action::DictionaryChanged]), || put(dictionary::set_policy)),
    operation("GET", "/v2/events", Act::Analyse, entries(&[Action::EventsRead]), || get(events::list)),
    operation("GET", "/v2/events/counts", Act::Analyse, entries(&[Action::CountRead]), || get(events::counts)),
    operation("GET", "/v2/events/trends", Act::Analyse, entries(&[Action::CountRead]), || get(events::trends)),
    operation("GET", "/v2/events/breakdown", Act::Analyse, entries(&[Action::EventsRead]), || get(events::breakdown)),
    operation("POST", "/v2/people/search", Act::ReadPeople, entries(&[Action::PeopleRead]), || post(people::find)),
    operation("GET", "/v2/people/{key}", Act::ReadPeople, entries(&[Action::PersonShown]), || get(people::show)),
    operation("GET", "/v2/people/{key}/events", Act::ReadPeople, entries(&[Action::PersonShown]), || get(people::events)),
    operation("GET", "/v2/people/{key}/download", Act::Export, entries(&[Action::Exported]), || get(people::download)),
    operation("GET", "/v2/people/{key}/deletion-preview", Act::DeletePeople, entries(&[Action::DeletionPreviewed]), || get(people::preview)),
    operation("POST", "/v2/people/{key}/deletions", Act::DeletePeople, entries(&[Action::DeletionRequested]), || post(people::delete)),
    operation("GET", "/v2/people/{key}/restrictions", Act::RestrictPeople, Audit::Nothing, || get(restrictions::list)),
    operation("POST", "/v2/people/{key}/restrictions", Act::RestrictPeople, entries(&[Action::PersonRestricted]), || post(restrictions::set)),
    operation("POST", "/v2/people/{key}/restrictions/lift", Act::RestrictPeople, entries(&[Action::RestrictionLifted]), || post(restrictions::lift)),
    operation("GET", "/v2/deletions", Act::DeletePeople, Audit::Nothing, || get(people::deletions)),
    operation("GET", "/v2/deletions/{id}", Act::DeletePeople, Audit::Nothing, || get(people::show_deletion)),
    operation("DELETE", "/v2/deletions/{id}", Act::DeletePeople, entries(&[Action::DeletionCancelled]), || delete(people::cancel)),
];

/// The router of all operations, each behind the guard.
pub(crate) fn router(state: &State) -> Router<State> {
    let mut paths: BTreeMap<&'static str, (Vec<&'static str>, MethodRouter<State>)> =
        BTreeMap::new();
    for operation in OPERATIONS {
        let guarded =
            (operation.handler)().layer(from_fn_with_state((state.clone(), operation), guard));
        let (methods, all) = paths.remove(operation.path).unwrap_or_default();
        let methods = [methods, vec![operation.method]].concat();
        paths.insert(operation.path, (methods, all.merge(guarded)));
    }
    let paths = paths.into_iter();
    paths.fold(Router::new(), |router, (path, (methods, all))| {
        let allow = HeaderValue::from_str(&methods.join(", "));
        let allow = allow.unwrap_or(HeaderValue::from_static(""));
        let refuse = move |state: Of<State>, request: Request| wrong_method(allow, state, request);
        router.route(path, all.head(refuse.clone()).fallback(refuse))
    })
}

/// A method that the URL does not take: said to callers who are known, with those that it takes.
async fn wrong_method(allow: HeaderValue, Of(state): Of<State>, request: Request) -> Response {
    let mut response = collect::wrong_method(Of(state.collect().clone()), request).await;
    response.headers_mut().insert(header::ALLOW, allow);
    response
}
