//! `/a/{account}/settings/roles`: what each role gives, and the account's own roles.

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::{Act, Role};
use governance::Condition;
use governance::access::{Component, Level, Rights};
use model::ErrorKind;
use std::collections::HashMap;

use crate::console::overview::times;
use crate::console::staff::Staff;
use crate::console::view::{
    Answer, Asked, Column, Csv, Fields, Heads, Posted, Section, Sheet, Shell, answer, file, html,
    link, plural, see_other, unusable,
};
use crate::{Error, Result, State};

/// The matrix of roles and components, in the URL.
const MATRIX: &str = "matrix";

/// A role, what it gives, and how many users have it.
type Held = (Role, Rights, u64);

const COLUMNS: &[Column<Held>] = &[
    Column::new("role", "Role", |it: &Held, _| it.0.name.clone())
        .by(|a, b| a.0.name.cmp(&b.0.name)),
    Column::new("kind", "Kind", |it: &Held, _| {
        String::from(if it.0.is_system { "system" } else { "own" })
    })
    .by(|a, b| a.0.is_system.cmp(&b.0.is_system)),
    Column::new("users", "Users", |it: &Held, _| it.2.to_string()).most(|a, b| a.2.cmp(&b.2)),
    Column::new("people_seen", "People seen", |it: &Held, _| {
        it.0.filter.clone().unwrap_or_else(|| String::from("all"))
    })
    .by(|a, b| a.0.filter.cmp(&b.0.filter)),
    Column::new("rights", "", |it: &Held, _| it.0.rights.clone()),
];

/// The page, or one of its tables as a file.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    answer(&staff, show(&staff, &state, &asked).await)
}

/// Deletes a role.
pub(crate) async fn post(staff: Staff, Of(state): Of<State>, Posted(fields): Posted) -> Response {
    answer(&staff, delete(&staff, &state, &fields).await)
}

/// The form of one role: a new one, one that is changed, or a copy.
pub(crate) async fn form(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    answer(&staff, edit(&staff, &state, &asked).await)
}

/// Saves a role.
pub(crate) async fn save(staff: Staff, Of(state): Of<State>, Posted(fields): Posted) -> Response {
    answer(&staff, set(&staff, &state, &fields).await)
}

#[derive(Debug, Template)]
#[template(path = "roles.html")]
struct Roles {
    shell: Shell,
    path: String,
    roles: Vec<Shown>,
    heads: Heads,
    csv: String,
    matrix_csv: String,
    rows: Vec<Row>,
    may_change: bool,
}

#[derive(Debug)]
struct Shown {
    name: String,
    label: String,
    is_system: bool,
    users: String,
    /// Whom those see who have it; everybody when none.
    filter: Option<String>,
    edit: String,
    copy: String,
}

#[derive(Debug)]
struct Row {
    label: String,
    levels: Vec<&'static str>,
}

/// Roles, how many users have each, and what each gives.
async fn read(staff: &Staff, state: &State) -> Result<Vec<(Role, Rights)>> {
    let roles = state
        .control()
        .roles(staff.actor(), staff.account())
        .await?;
    let rights = |it: Role| {
        let rights = Rights::parse(&it.rights).unwrap_or(Rights::NONE);
        (it, rights)
    };
    Ok(roles.into_iter().map(rights).collect())
}

async fn show(staff: &Staff, state: &State, asked: &Fields) -> Answer {
    let read = read(staff, state).await?;
    let mut users: HashMap<String, u64> = HashMap::new();
    if staff.may(Act::ReadUsers) {
        let all = state.control().users(staff.actor(), staff.account());
        for grant in all.await?.into_iter().flat_map(|it| it.grants) {
            *users.entry(grant.role).or_default() += 1;
        }
    }
    let path = format!("/a/{}/settings/roles", staff.account());
    let mut roles: Vec<Held> = read
        .into_iter()
        .map(|(role, rights)| {
            let users = users.get(&role.name).copied().unwrap_or(0);
            (role, rights, users)
        })
        .collect();
    let sheet = Sheet::new(asked, &path);
    let heads = sheet.sort(COLUMNS, None, &mut roles);
    if sheet.is_file() {
        let times = times(staff, state);
        return Ok(file(COLUMNS, &roles, &times, "roles.csv"));
    }
    let matrix = sheet.named(MATRIX);
    if matrix.is_file() {
        return Ok(matrix_file(&roles));
    }
    let column = |(role, _, users): &Held| Shown {
        label: words(&role.name),
        is_system: role.is_system,
        users: plural(*users, "user"),
        edit: link(&format!("{path}/edit"), &[("name", &role.name)]),
        copy: link(&format!("{path}/edit"), &[("from", &role.name)]),
        filter: role.filter.clone(),
        name: role.name.clone(),
    };
    let row = |component: Component| Row {
        label: words(component.as_str()),
        levels: roles
            .iter()
            .map(|(_, rights, _)| rights.level(component).as_str())
            .collect(),
    };
    let done = match asked.text("done") {
        "saved" => {
            Some("The role was saved. It holds from the next request of everybody who has it.")
        }
        "deleted" => Some("The role was deleted."),
        _ => None,
    };
    let error = (asked.text("error") == "held")
        .then_some("Somebody has the role: take it from them first.");
    html(&Roles {
        shell: Shell::new(staff, Section::Roles, "Roles")
            .done(done)
            .error(error),
        roles: roles.iter().map(column).collect(),
        heads,
        csv: sheet.csv(),
        matrix_csv: matrix.csv(),
        rows: Component::ALL.map(row).into(),
        may_change: staff.may(Act::ManageRoles),
        path: path.clone(),
    })
}

/// What each role gives, as a file: the components as forms have them, the roles as their table has
/// them.
fn matrix_file(roles: &[Held]) -> Response {
    let mut head = vec!["component"];
    head.extend(roles.iter().map(|it| it.0.name.as_str()));
    let mut csv = Csv::new(&head);
    for component in Component::ALL {
        let levels = roles.iter().map(|it| it.1.level(component).as_str());
        let line: Vec<&str> = std::iter::once(component.as_str()).chain(levels).collect();
        csv.line(&line);
    }
    csv.file("role-matrix.csv")
}

/// A stable name as a label: `privacy_officer` is `Privacy officer`.
pub(super) fn words(name: &str) -> String {
    let text = name.replace('_', " ");
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => format!("{}{}", first.to_uppercase(), letters.as_str()),
        None => text,
    }
}

async fn delete(staff: &Staff, state: &State, fields: &Fields) -> Answer {
    let path = format!("/a/{}/settings/roles", staff.account());
    let (actor, account) = (staff.actor(), staff.account());
    let deleted = state
        .control()
        .delete_role(actor, account, fields.text("name"));
    match deleted.await {
        Ok(()) => see_other(&link(&path, &[("done", "deleted")])),
        Err(error) if error.kind() == ErrorKind::Conflict => {
            see_other(&link(&path, &[("error", "held")]))
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Debug, Template)]
#[template(path = "role_edit.html")]
struct Edit {
    shell: Shell,
    path: String,
    name: String,
    is_new: bool,
    rows: Vec<Choice>,
    filter: String,
    error: Option<String>,
}

#[derive(Debug)]
struct Choice {
    component: &'static str,
    label: String,
    level: &'static str,
}

impl Choice {
    const fn levels(&self) -> [&'static str; 3] {
        [
            Level::None.as_str(),
            Level::Read.as_str(),
            Level::Write.as_str(),
        ]
    }
}

impl Edit {
    fn new(staff: &Staff, name: &str, is_new: bool, rights: &Rights, filter: &str) -> Self {
        let path = format!("/a/{}/settings/roles", staff.account());
        let title = match is_new {
            true => String::from("New role"),
            false => format!("Role {name}"),
        };
        let choice = |component: Component| Choice {
            component: component.as_str(),
            label: words(component.as_str()),
            level: rights.level(component).as_str(),
        };
        Self {
            shell: Shell::new(staff, Section::Roles, title).under("Roles", path.clone()),
            path,
            name: name.to_owned(),
            is_new,
            rows: Component::ALL.map(choice).into(),
            filter: filter.to_owned(),
            error: None,
        }
    }
}

async fn edit(staff: &Staff, state: &State, asked: &Fields) -> Answer {
    let roles = read(staff, state).await?;
    let find = |name: &str| roles.iter().find(|(role, _)| role.name == name);
    if let Some(name) = asked.some("name") {
        let (role, rights) = find(name).ok_or(Error::Absent)?;
        if role.is_system {
            return Err(Error::Absent);
        }
        let filter = role.filter.as_deref().unwrap_or_default();
        return html(&Edit::new(staff, name, false, rights, filter));
    }
    match asked.some("from") {
        Some(from) => {
            let (role, rights) = find(from).ok_or(Error::Absent)?;
            if role.is_system {
                return Err(Error::Absent);
            }
            let filter = role.filter.as_deref().unwrap_or_default();
            let name = format!("Copy of {from}");
            html(&Edit::new(staff, &name, true, rights, filter))
        }
        None => html(&Edit::new(staff, "", true, &Rights::NONE, "")),
    }
}

async fn set(staff: &Staff, state: &State, fields: &Fields) -> Answer {
    let name = fields.text("name");
    let is_new = fields.ticked("new");
    let levels = Component::ALL.map(|component| {
        let level = Level::from_name(fields.text(component.as_str()));
        (component, level.unwrap_or(Level::None))
    });
    let rights = Rights::of(&levels);
    let written = fields.text("filter");
    let refuse = |text: String| {
        let page = Edit::new(staff, name, is_new, &rights, written);
        let error = Some(text);
        unusable(&Edit { error, ..page })
    };
    let roles = read(staff, state).await?;
    if is_new && roles.iter().any(|(role, _)| role.name == name) {
        return refuse(format!("There is a role called {name} already."));
    }
    let filter = match written {
        "" => None,
        text => match Condition::parse(text) {
            Ok(condition) => Some(condition),
            Err(error) => return refuse(format!("That is no condition: {error}.")),
        },
    };
    let control = state.control();
    let (actor, account) = (staff.actor(), staff.account());
    match control.set_role(actor, account, name, rights, filter).await {
        Ok(()) => {
            let path = format!("/a/{account}/settings/roles");
            see_other(&link(&path, &[("done", "saved")]))
        }
        Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Conflict) => {
            refuse(Error::from(error).words())
        }
        Err(control::Error::Exceeds(_)) => refuse(String::from(
            "The role would give more than you have yourself, or gives it now.",
        )),
        Err(error) => Err(error.into()),
    }
}
