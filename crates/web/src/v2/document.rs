//! The OpenAPI 3.1 document of this API: what the handlers say of themselves, and what the table says
//! of all of them.

use axum::extract::State as Of;
use http::{HeaderMap, HeaderValue, header};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{HttpMethod, Operation as Documented, ParameterIn};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::answer::{Answer, text};
use super::program::Program;
use super::table::{OPERATIONS, Operation};
use super::{
    audit_log, credentials, dictionary, events, people, properties, quarantine, requests,
    restrictions, roles, security, users,
};
use crate::State;
use crate::error::problem::{PROBLEM, Problem, not_modified};
use control::Audit;

pub(super) const PATH: &str = "/v2/openapi.json";

const ACCOUNT: &str = "account";
const PASSCODE: &str = "passcode";

/// What every operation may answer instead.
const REFUSALS: [(&str, &str); 9] = [
    ("400", "The request is not as this document has it."),
    (
        "401",
        "No account of that id, no passcode of that account, or not from this address.",
    ),
    (
        "403",
        "The passcode is not good for this act, or the act gives more than the passcode has.",
    ),
    (
        "406",
        "The answer cannot be encrypted: there is no key, or it is a file.",
    ),
    ("413", "The body is larger than 6 MiB."),
    (
        "415",
        "The body is of another type, or encoded in another way.",
    ),
    (
        "429",
        "The account has as many calls of this URL under way as it may.",
    ),
    ("500", "A bug of the server; its operator has been told."),
    (
        "503",
        "The outcome is unknown, or nothing was done. `Retry-After` says when to try again.",
    ),
];

#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Strongroom management API",
        description = "What people do in the console, for programs. Every call is one act of one \
                       passcode in one account: the document says with `x-act`, `x-component` and \
                       `x-level` which right it needs, and with `x-audit` what it leaves in the audit \
                       log. Whatever is not carried out is answered with problem details (RFC 9457).",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    modifiers(&Headers),
    components(schemas(Problem)),
    paths(
        show,
        audit_log::list, audit_log::download,
        users::list, users::invite, users::show, users::revoke, users::grant, users::withdraw,
        users::unlock, users::reset,
        credentials::list, credentials::create, credentials::revoke,
        credentials::tokens, credentials::rotate, credentials::end_token,
        roles::list, roles::set, roles::delete, roles::copy,
        security::allowlist, security::change_allowlist,
        security::domains, security::change_domains,
        requests::list,
        quarantine::errors, quarantine::list, quarantine::replay, quarantine::show,
        quarantine::delete,
        dictionary::events, dictionary::define, dictionary::forget,
        properties::declare, properties::forget, properties::list, properties::classify,
        properties::profile, properties::declare_of_people, properties::forget_of_people,
        dictionary::policy, dictionary::set_policy,
        events::list, events::counts, events::trends, events::breakdown,
        people::find, people::show, people::events, people::download, people::preview,
        people::delete, people::deletions, people::show_deletion, people::cancel,
        restrictions::list, restrictions::set, restrictions::lift,
    )
)]
struct Api;

/// The headers that say who calls.
struct Headers;

impl Modify for Headers {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let header = |name: &str, words: &str| {
            let value = ApiKeyValue::with_description(name, words);
            SecurityScheme::ApiKey(ApiKey::Header(value))
        };
        let account = header("X-CleverTap-Account-Id", "The account's id.");
        let passcode = header("X-CleverTap-Passcode", "One of the account's passcodes.");
        components.add_security_scheme(ACCOUNT, account);
        components.add_security_scheme(PASSCODE, passcode);
    }
}

/// The document.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    let mut document = Api::openapi();
    for operation in OPERATIONS {
        if let Some(documented) = find(&mut document, operation) {
            complete(operation, documented);
        }
    }
    document
}

/// Operations with parameters in the query string, by verb and URL.
static WITH_A_QUERY: LazyLock<BTreeSet<(&str, &str)>> = LazyLock::new(|| {
    let mut document = Api::openapi();
    let mut has = |operation: &&Operation| {
        let documented = find(&mut document, operation);
        let parameters = documented.and_then(|it| it.parameters.as_ref());
        let mut parameters = parameters.into_iter().flatten();
        parameters.any(|it| matches!(it, RefOr::T(it) if it.parameter_in == ParameterIn::Query))
    };
    let with = OPERATIONS.iter().filter(|it| has(it));
    with.map(|it| (it.method, it.path)).collect()
});

/// Whether an operation has parameters in the query string.
pub(super) fn has_a_query(operation: &Operation) -> bool {
    WITH_A_QUERY.contains(&(operation.method, operation.path))
}

fn find<'d>(
    document: &'d mut utoipa::openapi::OpenApi,
    operation: &Operation,
) -> Option<&'d mut Documented> {
    let item = document.paths.paths.get_mut(operation.path)?;
    match method(operation.method) {
        HttpMethod::Get => item.get.as_mut(),
        HttpMethod::Put => item.put.as_mut(),
        HttpMethod::Post => item.post.as_mut(),
        HttpMethod::Delete => item.delete.as_mut(),
        HttpMethod::Options | HttpMethod::Head | HttpMethod::Patch | HttpMethod::Trace => None,
    }
}

/// Adds what the table knows.
fn complete(operation: &Operation, documented: &mut Documented) {
    let requirement = SecurityRequirement::new::<_, _, String>(ACCOUNT, []);
    let requirement = requirement.add::<_, _, String>(PASSCODE, []);
    documented.security = Some(vec![requirement]);
    let (component, level) = match operation.act.component() {
        Some((component, level)) => (component.as_str(), level.as_str()),
        None => ("any", "any"),
    };
    let audit: Vec<&str> = match operation.audit {
        Audit::Entries(actions) => actions.iter().map(|it| it.as_str()).collect(),
        Audit::Nothing | Audit::NothingAs(_) => Vec::new(),
    };
    let extensions = ExtensionsBuilder::new()
        .add("x-act", json!(format!("{:?}", operation.act)))
        .add("x-component", json!(component))
        .add("x-level", json!(level))
        .add("x-audit", json!(audit));
    documented.extensions = Some(extensions.build());
    let mut refusals = REFUSALS.to_vec();
    if operation.path.contains('{') {
        refusals.push(("404", "There is nothing of that name in this account."));
    }
    if operation.method != "GET" {
        refusals.push(("404", "There is nothing of that name in this account."));
        refusals.push((
            "409",
            "It has changed, or stands in the way of what is asked.",
        ));
    }
    refusals.push((
        "422",
        "The request is well formed, and cannot be carried out: the detail says why.",
    ));
    for (status, words) in refusals {
        let problem = RefOr::Ref(Ref::from_schema_name("Problem"));
        let content = ContentBuilder::new().schema(Some(problem)).build();
        let response = ResponseBuilder::new()
            .description(words)
            .content(PROBLEM, content);
        let response = RefOr::T(response.build());
        let responses = &mut documented.responses.responses;
        responses.entry(status.to_owned()).or_insert(response);
    }
}

fn method(name: &str) -> HttpMethod {
    match name {
        "PUT" => HttpMethod::Put,
        "POST" => HttpMethod::Post,
        "DELETE" => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

/// This document
///
/// OpenAPI 3.1. A page for people is in the console.
#[utoipa::path(
    get,
    path = "/v2/openapi.json",
    operation_id = "showDocument",
    tag = "Document",
    responses(
        (status = 200, description = "The document.", body = serde_json::Value),
        (status = 304, description = "It is the one of `If-None-Match`."),
    )
)]
pub(super) async fn show(_: Program, Of(_): Of<State>, headers: HeaderMap) -> Answer {
    // By way of a value, whose members have an order: the tag is the same each time.
    let whole = serde_json::to_value(document())?.to_string();
    let tag = format!("\"{}\"", blake3::hash(whole.as_bytes()).to_hex());
    let known = headers.get(header::IF_NONE_MATCH);
    let mut response = match known.is_some_and(|it| it.as_bytes() == tag.as_bytes()) {
        true => not_modified(),
        false => text(whole, "application/json"),
    };
    let headers = response.headers_mut();
    // Whoever has it asks whether it is still the one.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    Ok(response)
}
