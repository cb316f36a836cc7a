//! The table of the console's pages: URL, verb, who may, what it leaves in the audit log.
//!
//! The router, the matrix of roles and pages, and the tests of authorization and audit are all made
//! of this table. A page that is not in it does not exist.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use control::{Act, Action, Audit, Unaudited};

use super::enter::{enrol, factor, forgot, link, password, start};
use super::guard::guard;
use super::people::{
    active, delete, deletions, edit, export, history, person, restriction, reveal,
};
use super::settings::{audit, credentials, roles, security, users};
use super::{
    api, dictionary, drops, events, exports, me, overview, people, quarantine, requests,
    security_txt, storage, style,
};
use crate::State;

/// One verb of one page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    /// `GET` or `POST`.
    pub(crate) method: &'static str,
    /// The URL's pattern. A page about an account begins with `/a/{account}`.
    pub(crate) path: &'static str,
    /// Who may.
    pub(crate) entry: Entry,
    /// What each call leaves in the audit log.
    pub(crate) audit: Audit,
    /// Makes the handler.
    handler: fn() -> MethodRouter<State>,
}

/// Who may open a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Anybody: the pages of the sign-in itself, and files without a secret.
    Public,
    /// Whoever has signed in with both factors.
    SignedIn,
    /// Whoever has signed in and may do this in the account that the URL names.
    May(Act),
    /// As `May`, with a second factor that is not older than ten minutes.
    Fresh(Act),
}

const fn page(
    method: &'static str,
    path: &'static str,
    entry: Entry,
    audit: Audit,
    handler: fn() -> MethodRouter<State>,
) -> Page {
    Page {
        method,
        path,
        entry,
        audit,
        handler,
    }
}

/// A whole session more may be one too many: the oldest ends.
const SIGNED_IN: Audit =
    Audit::Entries(&[Action::SignedIn, Action::SteppedUp, Action::SessionEnded]);
const STEP: Audit = Audit::NothingAs(Unaudited::Step);
/// The first factor signs in, a further one is a step up.
const ENROLLED: Audit = Audit::Entries(&[Action::FactorAdded, Action::SignedIn, Action::SteppedUp]);
const REQUESTS_READ: Audit = Audit::Entries(&[Action::RequestsRead]);
const PERSON_SHOWN: Audit = Audit::Entries(&[Action::PersonShown]);
const USERS_CHANGED: Audit = Audit::Entries(&[
    Action::UserInvited,
    Action::RoleGranted,
    Action::RoleWithdrawn,
    Action::UserRevoked,
    Action::SessionEnded,
]);

const SIGN_IN_CHANGED: Audit = Audit::Entries(&[
    Action::FactorReset,
    Action::UserUnlocked,
    Action::UserInvited,
    Action::UserDisabled,
    Action::UserEnabled,
    Action::SessionEnded,
]);
const SECURITY_CHANGED: Audit = Audit::Entries(&[
    Action::AllowlistChanged,
    Action::DomainsChanged,
    Action::EncryptionChanged,
    Action::SessionLimitsChanged,
    Action::RevealQuotaChanged,
    Action::RetentionChanged,
]);

/// Every page.
#[rustfmt::skip]
pub(crate) const PAGES: &[Page] = &[
    // In front of the sign-in.
    page("GET", "/console.css", Entry::Public, Audit::Nothing, || get(style::get)),
    page("GET", "/console.js", Entry::Public, Audit::Nothing, || get(style::script)),
    page("GET", "/passkey.js", Entry::Public, Audit::Nothing, || get(style::passkey)),
    page("GET", "/icon.svg", Entry::Public, Audit::Nothing, || get(style::icon)),
    page("GET", "/.well-known/security.txt", Entry::Public, Audit::Nothing, || get(security_txt::get)),
    page("GET", "/sign-in", Entry::Public, Audit::Nothing, || get(password::get)),
    page("POST", "/sign-in", Entry::Public, Audit::Entries(&[Action::PasswordShown, Action::SignInFailed]), || post(password::post)),
    page("GET", "/sign-in/factor", Entry::Public, Audit::Nothing, || get(factor::get)),
    page("POST", "/sign-in/factor", Entry::Public, SIGNED_IN, || post(factor::post)),
    page("POST", "/sign-in/factor/options", Entry::Public, STEP, || post(factor::options)),
    page("GET", "/enrol", Entry::Public, Audit::Nothing, || get(enrol::get)),
    page("POST", "/enrol/app", Entry::Public, ENROLLED, || post(enrol::app)),
    page("POST", "/enrol/passkey/options", Entry::Public, STEP, || post(enrol::options)),
    page("POST", "/enrol/passkey", Entry::Public, ENROLLED, || post(enrol::passkey)),
    page("GET", "/forgot", Entry::Public, Audit::Nothing, || get(forgot::get)),
    page("POST", "/forgot", Entry::Public, Audit::Entries(&[Action::PasswordResetAsked]), || post(forgot::post)),
    page("GET", "/link/{token}", Entry::Public, Audit::Nothing, || get(link::get)),
    page("POST", "/link/{token}", Entry::Public, Audit::Entries(&[Action::LinkUsed, Action::PasswordSet, Action::TermsAccepted]), || post(link::post)),

    // The user's own.
    page("GET", "/", Entry::SignedIn, Audit::Nothing, || get(start::get)),
    page("POST", "/sign-out", Entry::SignedIn, Audit::Entries(&[Action::SignedOut]), || post(start::sign_out)),
    page("GET", "/me", Entry::SignedIn, Audit::Nothing, || get(me::get)),
    page("POST", "/me/password", Entry::SignedIn, Audit::Entries(&[Action::PasswordSet]), || post(me::password)),
    page("POST", "/me/sessions/end", Entry::SignedIn, Audit::Entries(&[Action::SessionEnded]), || post(me::sessions)),
    page("POST", "/me/factors/remove", Entry::SignedIn, Audit::Entries(&[Action::FactorRemoved]), || post(me::remove)),
    page("POST", "/me/recovery", Entry::SignedIn, Audit::Entries(&[Action::FactorAdded]), || post(me::recovery)),

    // About nobody.
    page("GET", "/api", Entry::SignedIn, Audit::Nothing, || get(api::get)),
    page("GET", "/api/openapi.json", Entry::SignedIn, Audit::Nothing, || get(api::file)),

    // About an account, or about the installation.
    page("GET", "/a/{account}/overview", Entry::May(Act::ReadAccount), Audit::Nothing, || get(overview::get)),
    page("GET", "/a/{account}/requests", Entry::May(Act::ReadRequests), REQUESTS_READ, || get(requests::get)),
    page("GET", "/a/{account}/settings/audit", Entry::May(Act::ReadAudit), Audit::Entries(&[Action::AuditRead]), || get(audit::get)),
    page("GET", "/a/{account}/settings/audit/download", Entry::May(Act::ReadAudit), Audit::Entries(&[Action::AuditExported]), || get(audit::file)),
    page("GET", "/a/{account}/settings/users", Entry::May(Act::ReadUsers), Audit::Nothing, || get(users::get)),
    page("POST", "/a/{account}/settings/users", Entry::Fresh(Act::ManageUsers), USERS_CHANGED, || post(users::post)),
    page("GET", "/a/{account}/settings/users/user", Entry::May(Act::ReadUsers), Audit::Nothing, || get(users::one)),
    page("GET", "/a/{account}/settings/users/outbox", Entry::Fresh(Act::ManageUsers), Audit::Entries(&[Action::OutboxRead]), || get(users::outbox::get)),
    page("POST", "/a/{account}/settings/users/sign-in", Entry::Fresh(Act::ManageUsers), SIGN_IN_CHANGED, || post(users::sign_in)),

    page("GET", "/a/{account}/settings/security", Entry::May(Act::ManageAccount), Audit::Nothing, || get(security::get)),
    page("POST", "/a/{account}/settings/security", Entry::Fresh(Act::ManageAccount), SECURITY_CHANGED, || post(security::post)),

    // About the installation.
    page("GET", "/a/{account}/drops", Entry::May(Act::ReadInstallation), Audit::Nothing, || get(drops::get)),
    page("POST", "/a/{account}/drops", Entry::May(Act::ManageInstallation), Audit::Entries(&[Action::DropsReviewed]), || post(drops::post)),
    page("GET", "/a/{account}/drops/samples", Entry::May(Act::ReadInstallation), Audit::Entries(&[Action::DropsRead]), || get(drops::one)),
    page("GET", "/a/{account}/storage", Entry::May(Act::ReadInstallation), Audit::Nothing, || get(storage::get)),

    // About an account.
    page("GET", "/a/{account}/events", Entry::May(Act::Analyse), Audit::Entries(&[Action::EventsRead]), || get(events::get)),
    page("GET", "/a/{account}/events/export", Entry::Fresh(Act::Export), Audit::Entries(&[Action::Exported]), || get(exports::events)),
    page("GET", "/a/{account}/people/export", Entry::Fresh(Act::Export), Audit::Entries(&[Action::Exported]), || get(exports::people)),
    page("GET", "/a/{account}/people/active", Entry::Fresh(Act::Export), Audit::Entries(&[Action::Exported]), || get(active::get)),
    page("GET", "/a/{account}/people", Entry::May(Act::ReadPeople), Audit::Entries(&[Action::PeopleRead]), || get(people::get)),
    page("POST", "/a/{account}/people", Entry::May(Act::ReadPeople), Audit::Entries(&[Action::PeopleRead]), || post(people::post)),
    page("GET", "/a/{account}/people/found", Entry::May(Act::ReadPeople), Audit::Entries(&[Action::PeopleRead]), || get(people::get)),
    page("POST", "/a/{account}/people/found", Entry::Fresh(Act::Export), Audit::Entries(&[Action::Exported]), || post(people::found)),
    page("GET", "/a/{account}/people/deletions", Entry::May(Act::DeletePeople), Audit::Nothing, || get(deletions::get)),
    page("POST", "/a/{account}/people/deletions", Entry::Fresh(Act::DeletePeople), Audit::Entries(&[Action::DeletionCancelled]), || post(deletions::post)),
    page("GET", "/a/{account}/people/{key}", Entry::May(Act::ReadPeople), PERSON_SHOWN, || get(person::get)),
    page("GET", "/a/{account}/people/{key}/property", Entry::May(Act::ChangePeople), PERSON_SHOWN, || get(edit::get)),
    page("POST", "/a/{account}/people/{key}/property", Entry::May(Act::ChangePeople), Audit::Entries(&[Action::PersonChanged]), || post(edit::post)),
    page("GET", "/a/{account}/people/{key}/reveal", Entry::Fresh(Act::RevealPerson), Audit::Nothing, || get(reveal::get)),
    page("POST", "/a/{account}/people/{key}/reveal", Entry::Fresh(Act::RevealPerson), Audit::Entries(&[Action::PersonRevealed]), || post(reveal::post)),
    page("GET", "/a/{account}/people/{key}/restriction", Entry::May(Act::RestrictPeople), Audit::Nothing, || get(restriction::get)),
    page("POST", "/a/{account}/people/{key}/restriction", Entry::May(Act::RestrictPeople), Audit::Entries(&[Action::PersonRestricted, Action::RestrictionLifted]), || post(restriction::post)),
    page("GET", "/a/{account}/people/{key}/export", Entry::Fresh(Act::Export), Audit::Entries(&[Action::Exported]), || get(export::get)),
    page("GET", "/a/{account}/people/{key}/history", Entry::Fresh(Act::Export), Audit::Entries(&[Action::Exported]), || get(history::get)),
    page("GET", "/a/{account}/people/{key}/delete", Entry::Fresh(Act::DeletePeople), Audit::Entries(&[Action::DeletionPreviewed]), || get(delete::get)),
    page("POST", "/a/{account}/people/{key}/delete", Entry::Fresh(Act::DeletePeople), Audit::Entries(&[Action::DeletionRequested]), || post(delete::post)),
    page("GET", "/a/{account}/dictionary", Entry::May(Act::ReadDictionary), Audit::Nothing, || get(dictionary::get)),
    page("POST", "/a/{account}/dictionary", Entry::May(Act::ManageDictionary), Audit::Entries(&[Action::DictionaryChanged]), || post(dictionary::post)),
    page("GET", "/a/{account}/dictionary/event", Entry::May(Act::ReadDictionary), Audit::Nothing, || get(dictionary::event::get)),
    page("GET", "/a/{account}/dictionary/property", Entry::May(Act::ReadDictionary), Audit::Nothing, || get(dictionary::property::get)),
    page("POST", "/a/{account}/dictionary/property", Entry::May(Act::ClassifyProperties), Audit::Entries(&[Action::DictionaryChanged]), || post(dictionary::property::post)),
    page("GET", "/a/{account}/quarantine", Entry::May(Act::ReadQuarantine), Audit::Entries(&[Action::QuarantineRead]), || get(quarantine::get)),
    page("POST", "/a/{account}/quarantine", Entry::May(Act::ManageQuarantine), Audit::Entries(&[Action::QuarantineReplayed, Action::QuarantineDeleted]), || post(quarantine::post)),
    page("GET", "/a/{account}/quarantine/{record}", Entry::May(Act::ReadQuarantine), Audit::Entries(&[Action::QuarantineRead]), || get(quarantine::record::get)),
    page("GET", "/a/{account}/settings/roles", Entry::May(Act::ReadRoles), Audit::Nothing, || get(roles::get)),
    page("POST", "/a/{account}/settings/roles", Entry::Fresh(Act::ManageRoles), Audit::Entries(&[Action::RoleDeleted]), || post(roles::post)),
    page("GET", "/a/{account}/settings/roles/edit", Entry::May(Act::ManageRoles), Audit::Nothing, || get(roles::form)),
    page("POST", "/a/{account}/settings/roles/edit", Entry::Fresh(Act::ManageRoles), Audit::Entries(&[Action::RoleChanged]), || post(roles::save)),
    page("GET", "/a/{account}/settings/credentials", Entry::May(Act::ReadCredentials), Audit::Nothing, || get(credentials::get)),
    page("POST", "/a/{account}/settings/credentials", Entry::Fresh(Act::ManageCredentials), Audit::Entries(&[Action::PasscodeCreated, Action::PasscodeRevoked, Action::SdkTokenRotated, Action::SdkTokenEnded]), || post(credentials::post)),
];

/// The router of all pages without their guards: for tests that bring a [`super::staff::Staff`].
#[cfg(test)]
pub(crate) fn bare_router() -> Router<State> {
    PAGES.iter().fold(Router::new(), |router, page| {
        router.route(page.path, (page.handler)())
    })
}

/// The router of all pages, each behind its guard.
pub(crate) fn router(state: &State) -> Router<State> {
    PAGES.iter().fold(Router::new(), |router, page| {
        let guarded =
            (page.handler)().layer(from_fn_with_state((state.clone(), page.entry), guard));
        router.route(page.path, guarded)
    })
}
