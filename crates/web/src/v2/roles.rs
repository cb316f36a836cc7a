//! `/v2/roles`: the product's roles and the account's own, and what each gives.

use axum::extract::State as Of;
use governance::access::Rights;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Answer, Page, json};
use super::ask::{Named, Sent};
use super::program::Program;
use super::values::RightsByComponent;
use crate::error::problem::{created, no_content};
use crate::{Error, Result, State};

/// A role.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Role {
    /// Its name.
    name: String,
    /// Whether it is one of the product's own, which nobody changes.
    is_system: bool,
    /// What it gives.
    rights: RightsByComponent,
}

/// What a role is to give.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleRights {
    /// What it gives; nothing of what is not named.
    rights: RightsByComponent,
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
    let (control, rights) = (state.control(), sent.rights);
    control
        .set_role(program.actor(), program.account(), &name, rights.0)
        .await?;
    json(&Role {
        name: name.trim().to_owned(),
        is_system: false,
        rights,
    })
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
    let rights = found.ok_or(Error::Absent)?.rights;
    let copy = sent.name.trim().to_owned();
    if roles.iter().any(|it| it.name == copy) {
        let text = format!("there is a role `{copy}` already");
        return Err(control::Error::Conflict(text).into());
    }
    let control = state.control();
    control
        .set_role(program.actor(), program.account(), &copy, rights.0)
        .await?;
    json(&Role {
        name: copy,
        is_system: false,
        rights,
    })
    .map(created)
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

async fn read(program: &Program, state: &State) -> Result<Vec<Role>> {
    let (actor, account) = (program.actor(), program.account());
    let roles = state.control().roles(actor, account).await?.into_iter();
    let role = |it: control::Role| Role {
        name: it.name,
        is_system: it.is_system,
        rights: RightsByComponent(Rights::parse(&it.rights).unwrap_or(Rights::NONE)),
    };
    Ok(roles.map(role).collect())
}
