//! `/v2/credentials`: the account's passcodes, without their secrets; a new one is shown once.

use axum::extract::State as Of;
use control::Passcode;
use governance::access::Rights;
use governance::{Network, PasscodeTerms, Scope, Scopes};
use model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Answer, Page, json};
use super::ask::{Named, Sent};
use super::program::Program;
use super::values::{Moment, RightsByComponent};
use crate::error::problem::{created, no_content};
use crate::operate;
use crate::{Error, Result, State};

/// What a passcode may be used for, of the account's data.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DataScope {
    /// To send records.
    Upload,
    /// To read events, people and counts, with personal information masked.
    Read,
    /// To read personal information as it is.
    PersonalInformation,
    /// To have people deleted.
    Delete,
}

/// A passcode, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Credential {
    /// The name that people know it by.
    name: String,
    /// Whether it is accepted: `accepted`, `ended`, `revoked`.
    state: &'static str,
    /// Since when it exists.
    created_at: Moment,
    /// From when on it is refused; null for never.
    expires_at: Option<Moment>,
    /// When it was revoked.
    revoked_at: Option<Moment>,
    /// What it may be used for, of the account's data.
    scopes: Vec<DataScope>,
    /// What it may see and change of the account.
    rights: RightsByComponent,
    /// The networks that it may be used from; from everywhere when there is none.
    networks: Vec<String>,
}

/// The passcode to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCredential {
    /// The name that people are to know it by: no other passcode of the account has it.
    #[schema(min_length = 1, max_length = 200, example = "order service")]
    name: String,
    /// What it may be used for, of the account's data.
    #[serde(default)]
    scopes: Vec<DataScope>,
    /// What it may see and change of the account.
    rights: Option<RightsByComponent>,
    /// The networks that it may be used from: addresses, or first addresses with a number of bits.
    #[serde(default)]
    #[schema(max_items = 20, example = json!(["192.0.2.0/24"]))]
    networks: Vec<String>,
    /// From when on it is refused; never when null.
    expires_at: Option<Moment>,
}

/// A passcode just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MadeCredential {
    /// Its name.
    name: String,
    /// For the header `X-CleverTap-Account-Id`.
    account_id: String,
    /// For the header `X-CleverTap-Passcode`: shown this once.
    passcode: String,
}

/// Lists passcodes
///
/// Revoked ones too.
#[utoipa::path(
    get,
    path = "/v2/credentials",
    operation_id = "listCredentials",
    tag = "Credentials",
    responses((status = 200, description = "Every passcode, by name.", body = Page<Credential>))
)]
pub(crate) async fn list(program: Program, Of(state): Of<State>) -> Answer {
    let now = state.clock().now();
    let account = state.control().account(program.actor(), program.account());
    let passcodes = account.await?.passcodes.into_iter();
    json(&Page::whole(passcodes.map(|it| shown(it, now)).collect()))
}

/// Makes a passcode
///
/// Its text is in the answer and nowhere else. Nobody makes a passcode that is good for more than
/// their own. A name that is taken is refused: whoever lost the answer revokes the passcode and makes
/// another.
#[utoipa::path(
    post,
    path = "/v2/credentials",
    operation_id = "createCredential",
    tag = "Credentials",
    request_body = NewCredential,
    responses((status = 201, description = "The passcode.", body = MadeCredential))
)]
pub(crate) async fn create(
    program: Program,
    Of(state): Of<State>,
    Sent(sent): Sent<NewCredential>,
) -> Answer {
    let name = sent.name.trim().to_owned();
    let terms = terms(&sent)?;
    let (control, account) = (state.control(), program.account());
    let made = control.create_passcode_on(program.actor(), account, &name, terms);
    let passcode = made.await?;
    json(&MadeCredential {
        name,
        account_id: account.to_string(),
        passcode: passcode.expose().clone(),
    })
    .map(created)
}

/// Revokes a passcode
///
/// It is refused from now on. A passcode does not revoke itself.
#[utoipa::path(
    delete,
    path = "/v2/credentials/{name}",
    operation_id = "revokeCredential",
    tag = "Credentials",
    params(("name" = String, Path, description = "The passcode's name.")),
    responses((status = 204, description = "The passcode is refused."))
)]
pub(crate) async fn revoke(
    program: Program,
    Of(state): Of<State>,
    Named(name): Named<String>,
) -> Answer {
    let control = state.control();
    control
        .revoke_passcode(program.actor(), program.account(), &name)
        .await?;
    Ok(no_content())
}

fn terms(sent: &NewCredential) -> Result<PasscodeTerms> {
    let invalid = |words: String| Error::from(operate::Error::Invalid(words));
    let data = sent.scopes.iter().map(|it| match it {
        DataScope::Upload => Scope::Upload,
        DataScope::Read => Scope::Read,
        DataScope::PersonalInformation => Scope::PersonalInformation,
        DataScope::Delete => Scope::Delete,
    });
    let rights = sent.rights.map_or(Rights::NONE, |it| it.0);
    let scopes = Scopes::of(data, rights)
        .ok_or_else(|| invalid("a passcode needs a scope or a right".to_owned()))?;
    let networks = sent.networks.iter().map(|text| {
        text.parse::<Network>()
            .map_err(|error| invalid(format!("`{text}` is {error}")))
    });
    Ok(PasscodeTerms {
        expires_at: sent.expires_at.map(|it| it.0),
        scopes,
        networks: networks.collect::<Result<_>>()?,
    })
}

fn shown(passcode: Passcode, now: Timestamp) -> Credential {
    let terms = passcode.terms;
    let has_ended = terms.expires_at.is_some_and(|end| end <= now);
    let data = terms.scopes.data().iter().map(|it| match it {
        Scope::Upload => DataScope::Upload,
        Scope::Read => DataScope::Read,
        Scope::PersonalInformation => DataScope::PersonalInformation,
        Scope::Delete => DataScope::Delete,
    });
    Credential {
        name: passcode.name,
        state: match (passcode.revoked_at, has_ended) {
            (Some(_), _) => "revoked",
            (None, true) => "ended",
            (None, false) => "accepted",
        },
        created_at: Moment(passcode.created_at),
        expires_at: terms.expires_at.map(Moment),
        revoked_at: passcode.revoked_at.map(Moment),
        scopes: data.collect(),
        rights: RightsByComponent(*terms.scopes.rights()),
        networks: terms.networks.iter().map(ToString::to_string).collect(),
    }
}
