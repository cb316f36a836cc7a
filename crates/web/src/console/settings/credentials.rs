//! `/a/{account}/settings/credentials`: passcodes, snippets for each SDK, and what is accepted and
//! rejected as it comes.

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::{Act, Passcode};
use governance::access::{Component, Level, Rights};
use governance::{Network, PasscodeTerms, Scope, Scopes};
use model::ErrorKind;
use std::time::Duration;

use super::roles::words;
use super::snippets::{Snippet, all};
use crate::console::overview::times;
use crate::console::staff::Staff;
use crate::console::view::{
    Answer, Asked, Badge, Fields, Moment, Posted, Section, Shell, Times, Tone, answer, count, html,
    link, see_other, unusable,
};
use crate::operate::quarantine::groups;
use crate::operate::{Row, moment, number, rows_under, text, time};
use crate::{Error, Result, State};

/// The time that the live view shows.
const LIVE: Duration = Duration::from_secs(15 * 60);
/// Requests that it shows.
const LINES: usize = 20;
const DAY: Duration = Duration::from_secs(86_400);
/// The longest tenure of a passcode, days.
const DAYS_MAX: u32 = 3_660;

/// The page.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    let shown = async {
        let page = Credentials::new(&staff, &state, Form::default(), done(&asked)).await?;
        html(&page)
    };
    answer(&staff, shown.await)
}

/// Makes a passcode, or ends one.
pub(crate) async fn post(staff: Staff, Of(state): Of<State>, Posted(fields): Posted) -> Response {
    let changed = async {
        match fields.text("act") {
            "make" => make(&staff, &state, &fields).await,
            "revoke" => revoke(&staff, &state, &fields).await,
            _ => Err(Error::Absent),
        }
    };
    answer(&staff, Box::pin(changed).await)
}

#[derive(Debug, Template)]
#[template(path = "credentials.html")]
struct Credentials {
    shell: Shell,
    path: String,
    account: String,
    form: Form,
    passcodes: Vec<Listed>,
    may_change: bool,
    /// The passcode just made: its name and its text, shown once.
    made: Option<(String, String)>,
    snippets: Vec<Snippet>,
    accepted: String,
    rejected: String,
    lines: Vec<Line>,
    errors: Vec<(String, String, String)>,
}

#[derive(Debug)]
struct Form {
    name: String,
    days: String,
    networks: String,
    /// Scopes that are not ticked.
    without: Vec<&'static str>,
    /// What it is to manage.
    rights: Rights,
    error: Option<String>,
}

impl Default for Form {
    fn default() -> Self {
        Self {
            name: String::new(),
            days: String::new(),
            networks: String::new(),
            without: Vec::new(),
            rights: Rights::NONE,
            error: None,
        }
    }
}

impl Form {
    /// Every component: its name, its label, the level that is chosen.
    fn rights(&self) -> Vec<(&'static str, String, &'static str)> {
        let right = |it: Component| {
            let level = self.rights.level(it).as_str();
            (it.as_str(), words(it.as_str()), level)
        };
        Component::ALL.map(right).into()
    }

    fn scopes(&self) -> Vec<(&'static str, &'static str, bool)> {
        let words = |scope: Scope| match scope {
            Scope::Upload => "send records",
            Scope::Read => "read events, people and counts, personal information masked",
            Scope::PersonalInformation => "read personal information as it is",
            Scope::Delete => "have people deleted",
        };
        let scope = |it: Scope| (it.as_str(), words(it), !self.without.contains(&it.as_str()));
        Scope::ALL.map(scope).into()
    }
}

#[derive(Debug)]
struct Listed {
    name: String,
    state: Badge,
    created: Moment,
    ends: Option<Moment>,
    scopes: String,
    networks: String,
    is_live: bool,
}

/// A request of the last minutes.
#[derive(Debug)]
struct Line {
    at: Moment,
    plane: String,
    path: String,
    outcome: Badge,
    accepted: String,
    rejected: String,
}

fn done(asked: &Fields) -> Option<String> {
    (asked.text("done") == "revoked").then(|| String::from("The passcode is refused from now on."))
}

impl Credentials {
    async fn new(staff: &Staff, state: &State, form: Form, done: Option<String>) -> Result<Self> {
        let times = times(staff, state);
        let account = state.control().account(staff.actor(), staff.account());
        let account = account.await?;
        let settings = state.settings();
        let id = staff.account().to_string();
        let (rows, errors) = live(staff, state, &times).await?;
        let total = |name: &str| count(rows.iter().map(|row| number(row, name)).sum());
        let lines = rows.iter().take(LINES).map(|row| line(row, &times));
        Ok(Self {
            shell: Shell::new(staff, Section::Credentials, "Credentials").done(done),
            path: format!("/a/{id}/settings/credentials"),
            form,
            passcodes: account
                .passcodes
                .iter()
                .map(|it| listed(it, &times))
                .collect(),
            may_change: staff.may(Act::ManageCredentials),
            made: None,
            snippets: all(&id, &settings.collect_host, &settings.api_host),
            account: id,
            accepted: total("accepted"),
            rejected: total("rejected"),
            lines: lines.collect::<Result<_>>()?,
            errors,
        })
    }
}

/// Requests of the last minutes, the newest first, and the errors among them. No line says from
/// where it came.
async fn live(
    staff: &Staff,
    state: &State,
    times: &Times,
) -> Result<(Vec<Row>, Vec<(String, String, String)>)> {
    let policy = staff.policy().ok_or(Error::Absent)?;
    let since = times.now().minus(LIVE);
    let sql = format!(
        "SELECT ts, plane, path, outcome, reason, accepted, rejected FROM requests \
         WHERE ts >= {} AND plane <> 'console' ORDER BY ts DESC LIMIT 500",
        moment(since)
    );
    let rows = rows_under(state, &policy, &sql).await?;
    let errors = groups(state, staff.actor(), staff.account(), since).await?;
    let errors = errors.into_iter().map(|it| {
        (
            it.code.to_string(),
            it.error.replace('_', " "),
            count(it.count),
        )
    });
    Ok((rows, errors.collect()))
}

fn line(row: &Row, times: &Times) -> Result<Line> {
    let outcome = match (text(row, "outcome"), text(row, "reason")) {
        ("answered", _) => Badge::new(Tone::Ok, "Answered"),
        (_, "") => Badge::new(Tone::Warn, "Refused"),
        (_, reason) => Badge::new(Tone::Warn, reason.replace('_', " ")),
    };
    Ok(Line {
        at: times.at(time(row, "ts")?),
        plane: text(row, "plane").to_owned(),
        path: text(row, "path").to_owned(),
        outcome,
        accepted: count(number(row, "accepted")),
        rejected: count(number(row, "rejected")),
    })
}

fn listed(passcode: &Passcode, times: &Times) -> Listed {
    let end = passcode.terms.expires_at;
    let has_ended = end.is_some_and(|end| end <= times.now());
    let state = match (passcode.revoked_at, has_ended) {
        (Some(_), _) => Badge::new(Tone::Plain, "Revoked"),
        (None, true) => Badge::new(Tone::Warn, "Ended"),
        (None, false) => Badge::new(Tone::Ok, "Accepted"),
    };
    let networks = passcode.terms.networks.iter().map(Network::to_string);
    let networks: Vec<String> = networks.collect();
    Listed {
        name: passcode.name.clone(),
        state,
        created: times.on(passcode.created_at),
        ends: passcode.revoked_at.or(end).map(|at| times.on(at)),
        scopes: passcode.terms.scopes.to_string().replace(',', ", "),
        networks: match networks.is_empty() {
            true => String::from("everywhere"),
            false => networks.join(", "),
        },
        is_live: passcode.revoked_at.is_none(),
    }
}

/// The terms that a form says; or what is wrong with them.
fn terms(fields: &Fields, times: &Times) -> Result<PasscodeTerms, String> {
    let data = fields.all("scope").into_iter().map(|name| {
        let found = Scope::ALL.into_iter().find(|it| it.as_str() == name);
        found.ok_or_else(|| format!("There is no scope {name}."))
    });
    let data: Vec<Scope> = data.collect::<Result<_, _>>()?;
    let scopes = Scopes::of(data, rights(fields));
    let scopes = scopes.ok_or("Choose at least one thing that it may do.")?;
    let days = match fields.text("days") {
        "" => None,
        text => Some(
            text.parse::<u32>()
                .ok()
                .filter(|it| (1..=DAYS_MAX).contains(it))
                .ok_or_else(|| format!("A tenure is 1 to {DAYS_MAX} days."))?,
        ),
    };
    let networks = fields.text("networks").split([',', '\n', ' ']);
    let networks = networks.map(str::trim).filter(|it| !it.is_empty());
    let networks = networks.map(|text| {
        text.parse::<Network>()
            .map_err(|error| format!("{text} is {error}."))
    });
    Ok(PasscodeTerms {
        expires_at: days.map(|days| times.now().plus(DAY * days)),
        scopes,
        networks: networks.collect::<Result<_, _>>()?,
    })
}

/// What a form says that it is to manage.
fn rights(fields: &Fields) -> Rights {
    let levels = Component::ALL.map(|component| {
        let level = Level::from_name(fields.text(component.as_str()));
        (component, level.unwrap_or(Level::None))
    });
    Rights::of(&levels)
}

async fn make(staff: &Staff, state: &State, fields: &Fields) -> Answer {
    let name = fields.text("name").to_owned();
    let ticked = fields.all("scope");
    let form = Form {
        name: name.clone(),
        days: fields.text("days").to_owned(),
        networks: fields.text("networks").to_owned(),
        without: Scope::ALL
            .map(Scope::as_str)
            .into_iter()
            .filter(|it| !ticked.contains(it))
            .collect(),
        rights: rights(fields),
        error: None,
    };
    let refuse = async |text: String| {
        let form = Form {
            error: Some(text),
            ..form
        };
        unusable(&Credentials::new(staff, state, form, None).await?)
    };
    let terms = match terms(fields, &times(staff, state)) {
        Ok(terms) => terms,
        Err(text) => return refuse(text).await,
    };
    let control = state.control();
    let made = control.create_passcode_on(staff.actor(), staff.account(), &name, terms);
    match made.await {
        // The answer to this form is the only place where the passcode is ever shown.
        Ok(secret) => {
            let mut page = Credentials::new(staff, state, Form::default(), None).await?;
            page.made = Some((name, secret.expose().clone()));
            html(&page)
        }
        Err(control::Error::Exceeds(_)) => {
            let text = "Nothing was made: it would be good for more than you may do yourself.";
            refuse(String::from(text)).await
        }
        Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Conflict) => {
            refuse(Error::from(error).words()).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn revoke(staff: &Staff, state: &State, fields: &Fields) -> Answer {
    let control = state.control();
    let (actor, account) = (staff.actor(), staff.account());
    control
        .revoke_passcode(actor, account, fields.text("name"))
        .await?;
    let path = format!("/a/{account}/settings/credentials");
    see_other(&link(&path, &[("done", "revoked")]))
}

#[cfg(test)]
mod tests {
    use super::terms;
    use crate::console::view::{Fields, Times};
    use jiff::tz::TimeZone;
    use model::Timestamp;

    #[test]
    fn terms_are_what_the_form_says_or_refused() {
        let times = Times::new(TimeZone::UTC, Timestamp::from_ms(0));
        let read = |text: &str| terms(&Fields::parse(text.as_bytes()), &times);
        let found = read("scope=upload&scope=read&days=2&networks=10.0.0.0/8,+192.0.2.7").unwrap();
        assert_eq!(found.scopes.to_string(), "upload,read");
        assert_eq!(found.expires_at, Some(Timestamp::from_seconds(172_800)));
        assert_eq!(found.networks.len(), 2);
        assert!(read("scope=read").unwrap().expires_at.is_none());
        let managing = read("users=write&audit_log=read&roles=none")
            .unwrap()
            .scopes;
        assert_eq!(managing.to_string(), "audit_log=read,users=write");
        for wrong in [
            "",
            "scope=all",
            "scope=read&days=0",
            "scope=read&days=x",
            "scope=read&networks=10.0.0.1/8",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
