//! `/v2/users`: who has access to the account, in which roles, until when.

use axum::extract::{FromRequestParts, State as Of};
use axum::response::Response;
use control::UserAct;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Answer, Page, json};
use super::ask::{Asked, Named, Sent, cursor, limit};
use super::program::Program;
use super::values::{Moment, Number};
use crate::error::problem::{created, no_content, problem};
use crate::{Error, Result, State};

/// Which users.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listed {
    /// Of this address.
    email: Option<String>,
    /// Who have this role.
    role: Option<String>,
    /// At most so many.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<Number<u32>>,
    /// Where the page before said that the next one begins.
    #[param(pattern = "^[0-9a-f]{32}$")]
    cursor: Option<String>,
}

/// Somebody who has, or was offered, a role in the account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct User {
    /// The id, 32 hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    id: String,
    /// The address.
    email: String,
    /// The name; may be empty.
    name: String,
    /// `invited`, `active` or `locked`.
    state: String,
    /// What proves the second factor.
    second_factor: SecondFactor,
    /// When both factors were shown last.
    signed_in_at: Option<Moment>,
    /// The roles in this account.
    roles: Vec<Granted>,
}

/// What proves a second factor.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SecondFactor {
    /// Whether there is an app that makes codes.
    totp: bool,
    /// How many passkeys there are.
    passkeys: u32,
    /// How many recovery codes are left.
    recovery_codes: u32,
}

/// A role that a user has.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Granted {
    /// The role's name.
    role: String,
    /// Since when.
    granted_at: Moment,
    /// Until when; null for ever.
    expires_at: Option<Moment>,
    /// Whether it gives nothing until the user has followed the invitation.
    is_pending: bool,
}

/// Who is to be invited.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Invitations {
    /// The invitations: all of them are written, or none.
    #[schema(min_items = 1, max_items = 50)]
    users: Vec<Invitation>,
}

/// One invitation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Invitation {
    /// The address that the invitation goes to.
    #[schema(format = Email, max_length = 254)]
    email: String,
    /// The user's name.
    #[serde(default)]
    #[schema(max_length = 200)]
    name: String,
    /// The role's name.
    #[schema(example = "member", max_length = 200)]
    role: String,
    /// Until when the role is given; for ever when null.
    expires_at: Option<Moment>,
}

/// For how long a role is given.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Term {
    /// Until when; for ever when null.
    expires_at: Option<Moment>,
}

/// Lists users
#[utoipa::path(
    get,
    path = "/v2/users",
    operation_id = "listUsers",
    tag = "Users",
    params(Listed),
    responses((status = 200, description = "A page of users, by id.", body = Page<User>))
)]
pub(crate) async fn list(
    program: Program,
    Of(state): Of<State>,
    Asked(asked): Asked<Listed>,
) -> Answer {
    let limit = usize::try_from(limit(asked.limit)?).unwrap_or(usize::MAX);
    let after = cursor(asked.cursor.as_deref(), |it| {
        is_id(it).then(|| it.to_owned())
    })?;
    let mut users = read(&program, &state).await?;
    users.sort_by(|a, b| a.id.cmp(&b.id));
    let email = asked.email.map(|it| it.to_lowercase());
    let is_meant = |it: &control::User| {
        let is_after = after.as_ref().is_none_or(|after| it.id > *after);
        let has_role = |role: &String| it.grants.iter().any(|grant| grant.role == *role);
        is_after
            && email.as_ref().is_none_or(|email| it.email == *email)
            && asked.role.as_ref().is_none_or(has_role)
    };
    users.retain(is_meant);
    let has_more = users.len() > limit;
    users.truncate(limit);
    let next = users.last().filter(|_| has_more).map(|it| it.id.clone());
    json(&Page::new(users.into_iter().map(shown).collect(), next))
}

/// Shows one user
#[utoipa::path(
    get,
    path = "/v2/users/{id}",
    operation_id = "showUser",
    tag = "Users",
    params(("id" = String, Path, description = "The user's id.", pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, description = "The user.", body = User))
)]
pub(crate) async fn show(Known(user): Known) -> Answer {
    json(&shown(user))
}

/// Invites up to 50 users
///
/// Each is sent a link by mail that works once, for 72 hours; the role counts from when it was
/// followed. Nobody gives a role that is more than the passcode's own rights.
#[utoipa::path(
    post,
    path = "/v2/users",
    operation_id = "inviteUsers",
    tag = "Users",
    request_body = Invitations,
    responses((status = 201, description = "The users who were invited.", body = Page<User>))
)]
pub(crate) async fn invite(
    program: Program,
    Of(state): Of<State>,
    Sent(sent): Sent<Invitations>,
) -> Answer {
    if sent.users.is_empty() || sent.users.len() > control::USER_ACTS_MAX {
        let words = format!("`users` must be 1 to {}", control::USER_ACTS_MAX);
        return Err(Error::Malformed(words).into());
    }
    let invited: Vec<String> = sent
        .users
        .iter()
        .map(|it| it.email.trim().to_lowercase())
        .collect();
    let acts = sent.users.into_iter().map(|it| UserAct::Invite {
        email: it.email,
        name: it.name,
        role: it.role,
        expires_at: it.expires_at.map(|it| it.0),
    });
    // The links go to the addresses alone: whoever asks for them here could follow them.
    change(&program, &state, acts.collect()).await?;
    let users = read(&program, &state).await?.into_iter();
    let users = users.filter(|it| invited.contains(&it.email)).map(shown);
    json(&Page::whole(users.collect())).map(created)
}

/// Gives a user a role
///
/// Or gives it another end. Doing it again changes nothing.
#[utoipa::path(
    put,
    path = "/v2/users/{id}/roles/{role}",
    operation_id = "grantRole",
    tag = "Users",
    params(
        ("id" = String, Path, description = "The user's id.", pattern = "^[0-9a-f]{32}$"),
        ("role" = String, Path, description = "The role's name."),
    ),
    request_body = Term,
    responses((status = 204, description = "The user has the role."))
)]
pub(crate) async fn grant(
    program: Program,
    Of(state): Of<State>,
    Named((id, role)): Named<(String, String)>,
    Sent(sent): Sent<Term>,
) -> Answer {
    let email = find(&program, &state, &id).await?.email;
    let expires_at = sent.expires_at.map(|it| it.0);
    let act = UserAct::Grant {
        email,
        role,
        expires_at,
    };
    change(&program, &state, vec![act]).await?;
    Ok(no_content())
}

/// Takes a role from a user
#[utoipa::path(
    delete,
    path = "/v2/users/{id}/roles/{role}",
    operation_id = "withdrawRole",
    tag = "Users",
    params(
        ("id" = String, Path, description = "The user's id.", pattern = "^[0-9a-f]{32}$"),
        ("role" = String, Path, description = "The role's name."),
    ),
    responses((status = 204, description = "The user does not have the role any more."))
)]
pub(crate) async fn withdraw(
    program: Program,
    Of(state): Of<State>,
    Named((id, role)): Named<(String, String)>,
) -> Answer {
    let email = find(&program, &state, &id).await?.email;
    change(&program, &state, vec![UserAct::Withdraw { email, role }]).await?;
    Ok(no_content())
}

/// Ends a user's access
///
/// Every role in the account is taken; sessions end and links die at once.
#[utoipa::path(
    delete,
    path = "/v2/users/{id}",
    operation_id = "revokeUser",
    tag = "Users",
    params(("id" = String, Path, description = "The user's id.", pattern = "^[0-9a-f]{32}$")),
    responses((status = 204, description = "The user has no access any more."))
)]
pub(crate) async fn revoke(program: Program, Of(state): Of<State>, Known(user): Known) -> Answer {
    change(
        &program,
        &state,
        vec![UserAct::Revoke { email: user.email }],
    )
    .await?;
    Ok(no_content())
}

/// Lets a locked user sign in again
#[utoipa::path(
    post,
    path = "/v2/users/{id}/unlock",
    operation_id = "unlockUser",
    tag = "Users",
    params(("id" = String, Path, description = "The user's id.", pattern = "^[0-9a-f]{32}$")),
    responses((status = 204, description = "The user may sign in."))
)]
pub(crate) async fn unlock(program: Program, Of(state): Of<State>, Known(user): Known) -> Answer {
    let control = state.control();
    control
        .unlock_user(program.actor(), program.account(), &user.email)
        .await?;
    Ok(no_content())
}

/// Takes a user's second factors away
///
/// The user's sessions end; the next sign-in sets up a new factor.
#[utoipa::path(
    post,
    path = "/v2/users/{id}/reset-second-factor",
    operation_id = "resetSecondFactor",
    tag = "Users",
    params(("id" = String, Path, description = "The user's id.", pattern = "^[0-9a-f]{32}$")),
    responses((status = 204, description = "The user has no second factor."))
)]
pub(crate) async fn reset(program: Program, Of(state): Of<State>, Known(user): Known) -> Answer {
    let control = state.control();
    control
        .reset_factors(program.actor(), program.account(), &user.email)
        .await?;
    Ok(no_content())
}

/// The user whom an operation is about, by the id in the path.
#[derive(Debug)]
pub(super) struct Known(control::User);

impl FromRequestParts<State> for Known {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Response> {
        let program = Program::from_request_parts(parts, state).await?;
        let Named(id) = Named::<String>::from_request_parts(parts, state).await?;
        let found = find(&program, state, &id).await;
        found.map(Self).map_err(|error| problem(&error))
    }
}

fn is_id(text: &str) -> bool {
    let is_digit = |it: u8| it.is_ascii_digit() || (b'a'..=b'f').contains(&it);
    text.len() == 32 && text.bytes().all(is_digit)
}

async fn read(program: &Program, state: &State) -> Result<Vec<control::User>> {
    let (actor, account) = (program.actor(), program.account());
    Ok(state.control().users(actor, account).await?)
}

/// A user of this account; one of another does not exist.
async fn find(program: &Program, state: &State, id: &str) -> Result<control::User> {
    let users = read(program, state).await?;
    let found = users.into_iter().find(|it| it.id == id);
    found.ok_or(Error::Absent)
}

async fn change(program: &Program, state: &State, acts: Vec<UserAct>) -> Result<()> {
    let (actor, account) = (program.actor(), program.account());
    state.control().change_users(actor, account, acts).await?;
    Ok(())
}

fn shown(user: control::User) -> User {
    let grant = |it: control::UserGrant| Granted {
        role: it.role,
        granted_at: Moment(it.granted_at),
        expires_at: it.expires_at.map(Moment),
        is_pending: it.is_pending,
    };
    User {
        id: user.id,
        email: user.email,
        name: user.name,
        state: user.state,
        second_factor: SecondFactor {
            totp: user.factors.totp,
            passkeys: user.factors.passkeys,
            recovery_codes: user.factors.recovery_codes,
        },
        signed_in_at: user.signed_in_at.map(Moment),
        roles: user.grants.into_iter().map(grant).collect(),
    }
}
