//! `/me`: the user's own account: roles and what they give, password, second factors, sessions.

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::{PasskeyView, SessionView, SignedIn};
use governance::access::{Component, Level};

use super::enter;
use super::staff::Staff;
use super::view::unusable;
use super::view::{
    Answer, Asked, Column, Fields, Heads, Moment, Posted, Section, Sheet, Shell, Times, answer,
    file, html,
};
use super::visit::Visit;
use crate::error::{Error, redirect};
use crate::{Result, State};

/// The columns of the sessions.
const COLUMNS: &[Column<SessionView>] = &[
    Column::new("browser", "Browser", |it: &SessionView, _| it.agent.clone())
        .by(|a, b| a.agent.cmp(&b.agent)),
    Column::new("address", "Address", |it: &SessionView, _| it.peer.clone())
        .by(|a, b| a.peer.cmp(&b.peer)),
    Column::new("since", "Since", |it: &SessionView, times| {
        times.cell(Some(it.created_at))
    })
    .most(|a, b| a.created_at.cmp(&b.created_at)),
    Column::new("last_seen", "Last seen", |it: &SessionView, times| {
        times.cell(Some(it.seen_at))
    })
    .most(|a, b| a.seen_at.cmp(&b.seen_at)),
];

#[derive(Debug, Template)]
#[template(path = "me.html")]
struct Me {
    shell: Shell,
    rights: Vec<Rights>,
    totp: bool,
    passkeys: Vec<Key>,
    recovery_codes: u32,
    sessions: Vec<Session>,
    heads: Heads,
    csv: String,
    is_fresh: bool,
}

/// What the roles give in one account.
#[derive(Debug)]
struct Rights {
    place: String,
    roles: String,
    reads: String,
    writes: String,
}

#[derive(Debug)]
struct Key {
    view: PasskeyView,
    created: Moment,
    used: Option<Moment>,
}

#[derive(Debug)]
struct Session {
    id: String,
    peer: String,
    agent: String,
    created: Moment,
    seen: Moment,
    is_own: bool,
}

/// The page, or the sessions as a file.
pub(crate) async fn get(
    staff: Staff,
    visit: Visit,
    Of(state): Of<State>,
    Asked(asked): Asked,
) -> Response {
    let done = match asked.text("done") {
        "password" => Some("Your password is changed; your other sessions have ended."),
        "sessions" => Some("The session has ended."),
        "others" => Some("Your other sessions have ended."),
        "passkey" => Some("The passkey is removed; your other sessions have ended."),
        "app" => Some("The authenticator app is removed; your other sessions have ended."),
        _ => None,
    };
    answer(
        &staff,
        show(&staff, &visit, &state, &asked, done, None).await,
    )
}

async fn show(
    staff: &Staff,
    visit: &Visit,
    state: &State,
    asked: &Fields,
    done: Option<&str>,
    error: Option<String>,
) -> Answer {
    let by = signed_in(visit)?;
    let times = Times::new(staff.time_zone(), state.clock().now());
    let control = state.control();
    let passkeys = control.passkeys(by.user).await?;
    let mut sessions = control.sessions(by.user).await?;
    let sheet = Sheet::new(asked, "/me");
    let heads = sheet.sort(COLUMNS, None, &mut sessions);
    if sheet.is_file() {
        return Ok(file(COLUMNS, &sessions, &times, "sessions.csv"));
    }
    let is_wrong = error.is_some();
    let page = Me {
        shell: Shell::new(staff, Section::Own, "My account")
            .done(done)
            .error(error),
        rights: staff.places().iter().map(|it| rights(by, it)).collect(),
        totp: by.factors.totp,
        passkeys: passkeys
            .into_iter()
            .map(|view| Key {
                created: times.ago(view.created_at),
                used: view.used_at.map(|at| times.ago(at)),
                view,
            })
            .collect(),
        recovery_codes: by.factors.recovery_codes,
        sessions: sessions
            .into_iter()
            .map(|it| Session {
                is_own: it.id == by.session,
                created: times.ago(it.created_at),
                seen: times.ago(it.seen_at),
                id: it.id,
                peer: it.peer,
                agent: it.agent,
            })
            .collect(),
        heads,
        csv: sheet.csv(),
        is_fresh: by.is_fresh(),
    };
    if is_wrong {
        unusable(&page)
    } else {
        html(&page)
    }
}

/// Changes the password.
pub(crate) async fn password(
    staff: Staff,
    visit: Visit,
    Of(state): Of<State>,
    Posted(form): Posted,
) -> Response {
    let changed = async {
        let (old, new) = (form.raw("old"), form.raw("new"));
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        let by = signed_in(&visit)?;
        Ok(state.control().change_password(by, old, new).await?)
    };
    end(&staff, &visit, &state, changed.await, "password").await
}

/// Ends one session, or all but this one.
pub(crate) async fn sessions(
    staff: Staff,
    visit: Visit,
    Of(state): Of<State>,
    Posted(form): Posted,
) -> Response {
    let which = form.some("session");
    let word = if which.is_some() {
        "sessions"
    } else {
        "others"
    };
    let ended = async {
        let by = signed_in(&visit)?;
        state.control().end_sessions(by, which).await?;
        Ok(())
    };
    end(&staff, &visit, &state, ended.await, word).await
}

/// Removes a second factor.
pub(crate) async fn remove(
    staff: Staff,
    visit: Visit,
    Of(state): Of<State>,
    Posted(form): Posted,
) -> Response {
    let id = form.some("passkey");
    let word = if id.is_some() { "passkey" } else { "app" };
    let removed = async {
        let by = signed_in(&visit)?;
        match id {
            Some(id) => state.control().remove_passkey(by, id).await?,
            None => state.control().remove_totp(by).await?,
        }
        Ok(())
    };
    end(&staff, &visit, &state, removed.await, word).await
}

/// Makes new recovery codes, shown once.
pub(crate) async fn recovery(
    staff: Staff,
    visit: Visit,
    Of(state): Of<State>,
    Posted(_): Posted,
) -> Response {
    let made = async {
        let by = signed_in(&visit)?;
        Ok(state.control().renew_recovery_codes(by).await?)
    };
    match made.await {
        Ok(codes) => enter::recovery(&visit, &codes, "/me"),
        Err(error) => end(&staff, &visit, &state, Err(error), "").await,
    }
}

async fn end(
    staff: &Staff,
    visit: &Visit,
    state: &State,
    outcome: Result<()>,
    word: &str,
) -> Response {
    let shown = match outcome {
        Ok(()) => Ok(redirect(&format!("/me?done={word}"))),
        Err(error) => match error.kind() {
            model::ErrorKind::Invalid
            | model::ErrorKind::Denied
            | model::ErrorKind::Conflict
            | model::ErrorKind::NotFound => {
                let asked = Fields::default();
                show(staff, visit, state, &asked, None, Some(error.words())).await
            }
            _ => Err(error),
        },
    };
    answer(staff, shown)
}

fn signed_in(visit: &Visit) -> Result<&SignedIn> {
    visit.signed_in().ok_or(Error::Absent)
}

fn rights(by: &SignedIn, place: &super::staff::Place) -> Rights {
    let held = match &by.actor.kind {
        control::ActorKind::User { standings, .. } => standings.get(&place.account),
        _ => None,
    };
    let named = |level: Level| {
        let names: Vec<String> = Component::ALL
            .into_iter()
            .filter(|it| held.is_some_and(|held| held.rights.level(*it) == level))
            .map(|it| it.as_str().replace('_', " "))
            .collect();
        names.join(", ")
    };
    Rights {
        place: place.name.to_string(),
        roles: by.actor.role_in(place.account).replace('+', ", "),
        reads: named(Level::Read),
        writes: named(Level::Write),
    }
}
