//! `/a/{account}/settings/users`: who has access, in which roles, until when; and changes of it, one
//! by one or in bulk, each after a look at what they would do.

pub(crate) mod outbox;
mod plan;

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::{Act, Enabled, USER_ACTS_MAX, User, UserGrant};
use governance::access::{Component, Level, Rights, Standing};
use model::{AccountId, ErrorKind};

use super::roles::words;
use crate::console::overview::times;
use crate::console::staff::Staff;
use crate::console::view::{
    Answer, Asked, Badge, Column, Fields, Heads, Moment, Pager, Posted, Section, Sheet, Shell,
    Times, Tone, answer, file, html, link, plural, see_other, unusable,
};
use crate::{Error, Result, State};
use plan::{Line, Plan};

/// The columns of the table and of its file.
const COLUMNS: &[Column<User>] = &[
    Column::new("email", "", |it: &User, _| it.email.clone()).by(|a, b| a.email.cmp(&b.email)),
    Column::new("name", "Name", |it: &User, _| it.name.clone())
        .by(|a, b| called(a).cmp(&called(b))),
    Column::new("roles", "Roles", |it: &User, _| roles_of(it))
        .by(|a, b| roles_of(a).cmp(&roles_of(b))),
    Column::new("state", "Status", |it: &User, _| it.state.clone())
        .by(|a, b| a.state.cmp(&b.state)),
    Column::new("second_factor", "Second factor", |it: &User, _| factor(it))
        .by(|a, b| factor(a).cmp(&factor(b))),
    Column::new("last_sign_in", "Last sign-in", |it: &User, times| {
        times.cell(it.signed_in_at)
    })
    .most(|a, b| a.signed_in_at.cmp(&b.signed_in_at)),
];

/// What a user is called on the page.
fn called(user: &User) -> String {
    match user.name.is_empty() {
        true => user.email.to_lowercase(),
        false => user.name.to_lowercase(),
    }
}

fn roles_of(user: &User) -> String {
    let roles: Vec<&str> = user.grants.iter().map(|it| it.role.as_str()).collect();
    roles.join(" ")
}

/// The page, or its table as a file.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    answer(&staff, show(&staff, &state, &asked, Form::default()).await)
}

/// A change: first shown, then carried out.
pub(crate) async fn post(staff: Staff, Of(state): Of<State>, Posted(fields): Posted) -> Response {
    answer(&staff, Box::pin(change(&staff, &state, &fields)).await)
}

/// What one user can do, and why.
pub(crate) async fn one(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    answer(&staff, explain(&staff, &state, &asked).await)
}

/// An act on whether and how somebody signs in: unlock, reset the second factor, invite again, disable,
/// enable.
pub(crate) async fn sign_in(
    staff: Staff,
    Of(state): Of<State>,
    Posted(fields): Posted,
) -> Response {
    answer(&staff, help(&staff, &state, &fields).await)
}

#[derive(Debug, Template)]
#[template(path = "users.html")]
struct Users {
    shell: Shell,
    path: String,
    q: String,
    state: String,
    role: String,
    users: Vec<Listed>,
    roles: Vec<(String, String)>,
    heads: Heads,
    pager: Pager,
    form: Form,
    may_change: bool,
    invites_max: usize,
    csv: String,
}

#[derive(Debug, Default)]
struct Form {
    emails: String,
    role: String,
    days: String,
    error: Option<String>,
}

#[derive(Debug)]
struct Listed {
    email: String,
    name: String,
    href: String,
    state: Badge,
    factor: String,
    has_factor: bool,
    seen: Option<Moment>,
    grants: Vec<Granted>,
}

#[derive(Debug)]
struct Granted {
    role: String,
    ends: Option<Moment>,
    is_pending: bool,
}

async fn roles(staff: &Staff, state: &State) -> Result<Vec<(String, Rights)>> {
    // Who may change users but not see roles still needs their names: those are in the users' own
    // grants, and the product's own are known.
    if !staff.may(Act::ReadRoles) {
        let is_installation = staff.account() == AccountId::installation();
        let own = governance::access::SystemRole::ALL.into_iter();
        let own = own.filter(|it| it.is_of_installation() == is_installation);
        return Ok(own
            .map(|it| (it.as_str().to_owned(), it.rights()))
            .collect());
    }
    let roles = state
        .control()
        .roles(staff.actor(), staff.account())
        .await?;
    let named = roles.into_iter().map(|it| {
        let rights = Rights::parse(&it.rights).unwrap_or(Rights::NONE);
        (it.name, rights)
    });
    Ok(named.collect())
}

async fn show(staff: &Staff, state: &State, asked: &Fields, form: Form) -> Answer {
    let times = times(staff, state);
    let path = format!("/a/{}/settings/users", staff.account());
    let all = state
        .control()
        .users(staff.actor(), staff.account())
        .await?;
    let (q, wanted, role) = (
        asked.text("q").to_lowercase(),
        asked.text("state"),
        asked.text("role"),
    );
    let is_meant = |it: &User| {
        let is_found = it.email.contains(&q) || it.name.to_lowercase().contains(&q);
        let has_role = role.is_empty() || it.grants.iter().any(|grant| grant.role == role);
        is_found && has_role && (wanted.is_empty() || it.state == wanted)
    };
    let mut found: Vec<User> = all.into_iter().filter(is_meant).collect();
    let sheet = Sheet::new(asked, &path);
    let heads = sheet.sort(COLUMNS, None, &mut found);
    if sheet.is_file() {
        return Ok(file(COLUMNS, &found, &times, "users.csv"));
    }
    let csv = sheet.csv();
    let (found, pager) = sheet.cut(found, "user");
    let has_error = form.error.is_some();
    let names = roles(staff, state).await?.into_iter();
    let page = Users {
        shell: Shell::new(staff, Section::Users, "Users")
            .done(done(asked))
            .error(form.error.clone()),
        q: asked.text("q").to_owned(),
        state: wanted.to_owned(),
        role: role.to_owned(),
        users: found.iter().map(|it| listed(it, &path, &times)).collect(),
        heads,
        roles: names.map(|(name, _)| (words(&name), name)).collect(),
        pager,
        form,
        may_change: staff.may(Act::ManageUsers),
        invites_max: USER_ACTS_MAX,
        csv,
        path,
    };
    match has_error {
        true => unusable(&page),
        false => html(&page),
    }
}

fn done(asked: &Fields) -> Option<String> {
    let number = asked.text("n").parse().unwrap_or(0);
    match asked.text("done") {
        "invite" => Some(format!(
            "{} written. The link in it works once, for 72 hours.",
            plural(number, "invitation")
        )),
        "grant" => Some(format!("{} given the role.", plural(number, "user"))),
        "withdraw" => Some(format!(
            "The role was taken from {}.",
            plural(number, "user")
        )),
        "revoke" => Some(format!(
            "The access of {} has ended, with all sessions.",
            plural(number, "user")
        )),
        "unlock" => Some(String::from("The user may sign in again.")),
        "resend" => Some(String::from(
            "The invitation was written again. The link before is dead.",
        )),
        "disable" => Some(String::from(
            "The user's roles count no more; who has none elsewhere is signed out.",
        )),
        "enable" => Some(String::from("The user's roles count again.")),
        "reset" => Some(String::from(
            "The second factor is gone, and so are the sessions. The next sign-in sets one up.",
        )),
        _ => None,
    }
}

fn listed(user: &User, path: &str, times: &Times) -> Listed {
    let state = match user.state.as_str() {
        "active" => Badge::new(Tone::Ok, "Active"),
        "invited" => Badge::new(Tone::Info, "Invited"),
        "locked" => Badge::new(Tone::Bad, "Locked"),
        "disabled" => Badge::new(Tone::Plain, "Disabled"),
        other => Badge::new(Tone::Plain, words(other)),
    };
    Listed {
        href: link(&format!("{path}/user"), &[("email", &user.email)]),
        email: user.email.clone(),
        name: user.name.clone(),
        state,
        factor: factor(user),
        has_factor: user.factors.any(),
        seen: user.signed_in_at.map(|at| times.ago(at)),
        grants: user.grants.iter().map(|it| granted(it, times)).collect(),
    }
}

fn granted(grant: &UserGrant, times: &Times) -> Granted {
    Granted {
        role: words(&grant.role),
        ends: grant.expires_at.map(|at| times.on(at)),
        is_pending: grant.is_pending,
    }
}

/// What proves the second factor, in words.
fn factor(user: &User) -> String {
    let mut words = Vec::new();
    if user.factors.totp {
        words.push(String::from("app"));
    }
    if user.factors.passkeys > 0 {
        words.push(plural(user.factors.passkeys.into(), "passkey"));
    }
    match words.is_empty() {
        true => String::from("none yet"),
        false => words.join(", "),
    }
}

#[derive(Debug, Template)]
#[template(path = "users_review.html")]
struct Review {
    shell: Shell,
    path: String,
    plan: Plan,
    lines: Vec<Line>,
}

async fn change(staff: &Staff, state: &State, fields: &Fields) -> Answer {
    let path = format!("/a/{}/settings/users", staff.account());
    let now = state.clock().now();
    let plan = match Plan::of(fields, now) {
        Ok(plan) => plan,
        Err(text) => return show_again(staff, state, fields, text).await,
    };
    if !fields.ticked("confirm") {
        let users = state
            .control()
            .users(staff.actor(), staff.account())
            .await?;
        let lines = plan.lines(&users);
        return html(&Review {
            shell: Shell::new(staff, Section::Users, plan.title()).under("Users", path.clone()),
            path,
            lines,
            plan,
        });
    }
    let number = plan.acts.len().to_string();
    let word = plan.word();
    let control = state.control();
    let changed = control.change_users(staff.actor(), staff.account(), plan.acts);
    match changed.await {
        Ok(_) => see_other(&link(&path, &[("done", word), ("n", &number)])),
        Err(control::Error::Exceeds(_)) => {
            let text = "Nothing was changed: a role would give, or gives, more than you have.";
            show_again(staff, state, fields, String::from(text)).await
        }
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::Invalid | ErrorKind::Conflict | ErrorKind::NotFound
            ) =>
        {
            let words = format!("Nothing was changed. {}", Error::from(error).words());
            show_again(staff, state, fields, words).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn show_again(staff: &Staff, state: &State, fields: &Fields, error: String) -> Answer {
    let form = Form {
        emails: fields.text("emails").to_owned(),
        role: fields.text("role").to_owned(),
        days: fields.text("days").to_owned(),
        error: Some(error),
    };
    show(staff, state, &Fields::default(), form).await
}

async fn help(staff: &Staff, state: &State, fields: &Fields) -> Answer {
    let control = state.control();
    let (actor, account, email) = (staff.actor(), staff.account(), fields.text("email"));
    let word = match fields.text("act") {
        "unlock" => {
            control.unlock_user(actor, account, email).await?;
            "unlock"
        }
        "reset" => {
            control.reset_factors(actor, account, email).await?;
            "reset"
        }
        "resend" => {
            control.resend_invitation(actor, account, email).await?;
            "resend"
        }
        "disable" => {
            let set = control.set_user_enabled(actor, account, email, Enabled::No);
            set.await?;
            "disable"
        }
        "enable" => {
            let set = control.set_user_enabled(actor, account, email, Enabled::Yes);
            set.await?;
            "enable"
        }
        _ => return Err(Error::Absent),
    };
    let path = format!("/a/{account}/settings/users");
    see_other(&link(&path, &[("done", word)]))
}

#[derive(Debug, Template)]
#[template(path = "user.html")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a page asks of each by itself whether to show something"
)]
struct One {
    shell: Shell,
    path: String,
    user: Listed,
    is_locked: bool,
    is_disabled: bool,
    is_invited: bool,
    recovery_codes: u32,
    roles: Vec<(String, String)>,
    rows: Vec<Right>,
    /// The conditions under which people are seen; everybody when there are none.
    filters: Vec<String>,
    personal: &'static str,
    may_change: bool,
}

/// What a user may do with a component, and which roles give it.
#[derive(Debug)]
struct Right {
    label: String,
    level: &'static str,
    why: String,
}

async fn explain(staff: &Staff, state: &State, asked: &Fields) -> Answer {
    let times = times(staff, state);
    let path = format!("/a/{}/settings/users", staff.account());
    let all = state
        .control()
        .users(staff.actor(), staff.account())
        .await?;
    let email = asked.text("email");
    let user = all.iter().find(|it| it.email == email);
    let user = user.ok_or(Error::Absent)?;
    let roles = roles(staff, state).await?;
    let actor = state.control().user_actor(email).await?;
    let standing = match &actor.kind {
        control::ActorKind::User { standings, .. } => standings.get(&staff.account()).cloned(),
        control::ActorKind::OsUser(_)
        | control::ActorKind::Passcode { .. }
        | control::ActorKind::System(_) => None,
    };
    let standing = standing.unwrap_or_else(Standing::nobody);
    let rights = standing.rights;
    let right = |component: Component| {
        let level = rights.level(component);
        let gives = |grant: &&UserGrant| {
            let role = roles.iter().find(|(name, _)| *name == grant.role);
            role.is_some_and(|(_, rights)| rights.allow(component, level))
        };
        let why: Vec<String> = match level {
            Level::None => Vec::new(),
            Level::Read | Level::Write => user
                .grants
                .iter()
                .filter(|it| !it.is_pending)
                .filter(gives)
                .map(|it| words(&it.role))
                .collect(),
        };
        Right {
            label: words(component.as_str()),
            level: level.as_str(),
            why: why.join(", "),
        }
    };
    html(&One {
        shell: Shell::new(staff, Section::Users, email).under("Users", path.clone()),
        user: listed(user, &path, &times),
        is_locked: user.state == "locked",
        is_disabled: user.state == "disabled",
        is_invited: user.grants.iter().any(|it| it.is_pending),
        recovery_codes: user.factors.recovery_codes,
        rows: Component::ALL.map(right).into(),
        filters: standing.filters.iter().map(ToString::to_string).collect(),
        personal: match (standing.sees_personal_information(), standing.may_reveal()) {
            (true, _) => "shown",
            (false, true) => "masked; one person's at a time for a reason",
            (false, false) => "masked",
        },
        roles: roles
            .into_iter()
            .map(|(name, _)| (words(&name), name))
            .collect(),
        may_change: staff.may(Act::ManageUsers),
        path,
    })
}
