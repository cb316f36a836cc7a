//! `/v2/credentials` and `/v2/sdk-tokens`: the account's passcodes and the tokens of its apps, without
//! their secrets; a new one is shown once.

use axum::extract::State as Of;
use control::{Passcode, SdkToken};
use governance::access::Rights;
use governance::{Network, PasscodeTerms, Scope, Scopes};
use model::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
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
    /// When it was accepted last, to the minute or so; null when it never was.
    used_at: Option<Moment>,
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

/// A token that apps carry, without its text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AppToken {
    /// Which of the account's it is, from 1.
    number: u32,
    /// Whether it is accepted: `newest`, `accepted`, `ended`.
    state: &'static str,
    /// Since when it exists.
    created_at: Moment,
    /// From when on it is refused; null for the newest.
    ends_at: Option<Moment>,
    /// When it was accepted last, to the minute or so; null when it never was.
    used_at: Option<Moment>,
}

/// The token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAppToken {
    /// How many days those before it are accepted; with 0 they are refused at once.
    #[schema(minimum = 0, maximum = 3660, example = 90)]
    #[serde(deserialize_with = "whole")]
    overlap_days: u32,
}

/// A whole number, which JSON may write as `90.0` too.
fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let number = f64::deserialize(from)? + 0.0;
    let parsed = number.to_string().parse();
    parsed.map_err(|_| D::Error::custom("a number of days is whole and not negative"))
}

/// A token just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MadeAppToken {
    /// For the header `X-CleverTap-Account-ID` of apps.
    account_id: String,
    /// For the header `X-CleverTap-Token` of apps: shown this once.
    sdk_token: String,
    /// From when on those before it are refused.
    others_end_at: Moment,
}

/// Lists the tokens of apps
#[utoipa::path(
    get,
    path = "/v2/sdk-tokens",
    operation_id = "listSdkTokens",
    tag = "Credentials",
    responses((status = 200, description = "Every token, the newest first.", body = Page<AppToken>))
)]
pub(crate) async fn tokens(program: Program, Of(state): Of<State>) -> Answer {
    let now = state.clock().now();
    let account = state.control().account(program.actor(), program.account());
    let tokens = account.await?.sdk_tokens.into_iter().rev();
    json(&Page::whole(tokens.map(|it| token(&it, now)).collect()))
}

/// Makes another token for apps
///
/// Its text is in the answer and nowhere else. Installed apps carry the token before it until people
/// update them, so that is accepted for some days more.
#[utoipa::path(
    post,
    path = "/v2/sdk-tokens",
    operation_id = "rotateSdkToken",
    tag = "Credentials",
    request_body = NewAppToken,
    responses((status = 201, description = "The token.", body = MadeAppToken))
)]
pub(crate) async fn rotate(
    program: Program,
    Of(state): Of<State>,
    Sent(sent): Sent<NewAppToken>,
) -> Answer {
    let (control, account) = (state.control(), program.account());
    let made = control.rotate_sdk_token(program.actor(), account, sent.overlap_days);
    let made = made.await?;
    json(&MadeAppToken {
        account_id: account.to_string(),
        sdk_token: made.text.expose().clone(),
        others_end_at: Moment(made.others_end_at),
    })
    .map(created)
}

/// Ends a token of apps
///
/// It is refused from now on, and so are the apps that carry it. The newest is not ended: make another
/// one first.
#[utoipa::path(
    delete,
    path = "/v2/sdk-tokens/{number}",
    operation_id = "endSdkToken",
    tag = "Credentials",
    params(("number" = u32, Path, description = "The token's number.", minimum = 1)),
    responses((status = 204, description = "The token is refused."))
)]
pub(crate) async fn end_token(
    program: Program,
    Of(state): Of<State>,
    Named(number): Named<u32>,
) -> Answer {
    let control = state.control();
    control
        .end_sdk_token(program.actor(), program.account(), number)
        .await?;
    Ok(no_content())
}

fn token(token: &SdkToken, now: Timestamp) -> AppToken {
    AppToken {
        number: token.number,
        state: match token.ends_at {
            None => "newest",
            Some(end) if end <= now => "ended",
            Some(_) => "accepted",
        },
        created_at: Moment(token.created_at),
        ends_at: token.ends_at.map(Moment),
        used_at: token.used_at.map(Moment),
    }
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
        used_at: passcode.used_at.map(Moment),
        scopes: data.collect(),
        rights: RightsByComponent(*terms.scopes.rights()),
        networks: terms.networks.iter().map(ToString::to_string).collect(),
    }
}
