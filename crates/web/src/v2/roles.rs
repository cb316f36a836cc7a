//! `/v2/roles`: the product's roles and the account's own, and what each gives.

use axum::extract::State as Of;
use governance::Condition;
use governance::access::Rights;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Answer, Page, json};
use super::ask::{Named, Sent};
use super::program::Program;
use super::values::RightsByComponent;
use crate::error::problem::{created, no_content};
use crate::{Error, Result, State, operate};

/// A role.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Role {
    /// Its name.
    name: String,
    /// Whether it is one of the product's own, which nobody changes.
    is_system: bool,
    /// What it gives.
    rights: RightsByComponent,
    /// Only people for whom this condition holds are seen by whoever has it; null for everybody.
    filter: Option<String>,
}

/// What a role is to give.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleRights {
    /// What it gives; nothing of what is not named.
    rights: RightsByComponent,
    /// Only people for whom this condition holds are seen by whoever has it; null for everybody.
    #[serde(default)]
    #[schema(max_length = 1000)]
    filter: Option<String>,
}

/// What a copy is to be called.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleCopy {
    /// The copy's name: no other role has it.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
}

/// Lists roles
#[utoipa::path(
    get,
    path = "/v2/roles",
    operation_id = "listRoles",
    tag = "Roles",
    responses((status = 200, description = "The product's roles, then the account's own.", body = Page<Role>))
)]
pub(crate) async fn list(program: Program, Of(state): Of<State>) -> Answer {
    json(&Page::whole(read(&program, &state).await?))
}

/// Makes a role, or changes what one gives
///
/// Doing it again changes nothing. Nobody makes a role that gives more than the passcode has, or
/// changes one that does.
#[utoipa::path(
    put,
    path = "/v2/roles/{name}",
    operation_id = "setRole",
    tag = "Roles",
    params(("name" = String, Path, description = "The role's name.")),
    request_body = RoleRights,
    responses((status = 200, description = "The role.", body = Role))
)]
pub(crate) async fn set(
    program: Program,
    Of(state): Of<State>,
    Named(name): Named<String>,
    Sent(sent): Sent<RoleRights>,
) -> Answer {
    let role = Role {
        name: name.trim().to_owned(),
        is_system: false,
        rights: sent.rights,
        filter: sent.filter,
    };
    json(&write(&program, &state, role).await?)
}

/// Copies a role of the account's own
#[utoipa::path(
    post,
    path = "/v2/roles/{name}/copies",
    operation_id = "copyRole",
    tag = "Roles",
    params(("name" = String, Path, description = "The role's name.")),
    request_body = RoleCopy,
    responses((status = 201, description = "The copy.", body = Role))
)]
pub(crate) async fn copy(
    program: Program,
    Of(state): Of<State>,
    Named(name): Named<String>,
    Sent(sent): Sent<RoleCopy>,
) -> Answer {
    let roles = read(&program, &state).await?;
    let found = roles.iter().find(|it| it.name == name && !it.is_system);
    let found = found.ok_or(Error::Absent)?;
    let copy = sent.name.trim().to_owned();
    if roles.iter().any(|it| it.name == copy) {
        let text = format!("there is a role `{copy}` already");
        return Err(control::Error::Conflict(text).into());
    }
    let role = Role {
        name: copy,
        is_system: false,
        rights: found.rights,
        filter: found.filter.clone(),
    };
    json(&write(&program, &state, role).await?).map(created)
}

/// Deletes a role that nobody has
#[utoipa::path(
    delete,
    path = "/v2/roles/{name}",
    operation_id = "deleteRole",
    tag = "Roles",
    params(("name" = String, Path, description = "The role's name.")),
    responses((status = 204, description = "There is no such role any more."))
)]
pub(crate) async fn delete(
    program: Program,
    Of(state): Of<State>,
    Named(name): Named<String>,
) -> Answer {
    let control = state.control();
    control
        .delete_role(program.actor(), program.account(), &name)
        .await?;
    Ok(no_content())
}

async fn write(program: &Program, state: &State, role: Role) -> Result<Role> {
    let filter = role.filter.as_deref().map(Condition::parse).transpose();
    let filter = filter
        .map_err(|error| operate::Error::Invalid(format!("`filter` is no condition: {error}")))?;
    let words = filter.as_ref().map(ToString::to_string);
    let (control, actor, account) = (state.control(), program.actor(), program.account());
    let set = control.set_role(actor, account, &role.name, role.rights.0, filter);
    set.await?;
    Ok(Role {
        filter: words,
        ..role
    })
}

async fn read(program: &Program, state: &State) -> Result<Vec<Role>> {
    let (actor, account) = (program.actor(), program.account());
    let roles = state.control().roles(actor, account).await?.into_iter();
    let role = |it: control::Role| Role {
        name: it.name,
        is_system: it.is_system,
        rights: RightsByComponent(Rights::parse(&it.rights).unwrap_or(Rights::NONE)),
        filter: it.filter,
    };
    Ok(roles.map(role).collect())
}
