//! `/a/{account}/settings/credentials`: passcodes, snippets for each SDK, and what is accepted and
//! rejected as it comes.

mod live;
mod tokens;

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::{Act, Passcode};
use governance::access::{Component, Level, Rights};
use governance::{Network, PasscodeTerms, Scope, Scopes};
use model::{ErrorKind, Timestamp};
use std::time::Duration;

use live::Live;
use tokens::Tokens;

use super::roles::words;
use super::snippets::{Snippet, all};
use crate::console::overview::times;
use crate::console::staff::Staff;
use crate::console::view::{
    Answer, Asked, Badge, Column, Fields, Heads, Moment, Pager, Posted, Section, Sheet, Shell,
    Times, Tone, answer, file, html, link, see_other, unusable,
};
use crate::{Error, Result, State};

const DAY: Duration = Duration::from_secs(86_400);
/// The longest tenure of a passcode, days.
const DAYS_MAX: u32 = 3_660;

/// The columns of the passcodes.
const COLUMNS: &[Column<Passcode>] = &[
    Column::new("name", "Name", |it: &Passcode, _| it.name.clone())
        .by(|a, b| a.name.to_lowercase().cmp(&b.name.to_lowercase())),
    Column::new("status", "Status", |it: &Passcode, times| {
        status(it, times).0.to_owned()
    })
    .by(|a, b| a.revoked_at.is_some().cmp(&b.revoked_at.is_some())),
    Column::new("may", "May", |it: &Passcode, _| it.terms.scopes.to_string())
        .by(|a, b| a.terms.scopes.to_string().cmp(&b.terms.scopes.to_string())),
    Column::new("from", "From", |it: &Passcode, _| networks(it)),
    Column::new("used_at", "Last used", |it: &Passcode, times| {
        times.cell(it.used_at)
    })
    .most(|a, b| a.used_at.cmp(&b.used_at)),
    Column::new("made_at", "Made", |it: &Passcode, times| {
        times.cell(Some(it.created_at))
    })
    .most(|a, b| a.created_at.cmp(&b.created_at)),
    Column::new("ends_at", "Ends", |it: &Passcode, times| {
        times.cell(it.revoked_at.or(it.terms.expires_at))
    })
    .most(|a, b| ends(a).cmp(&ends(b))),
];

/// When a passcode is refused; far ahead for one that never is.
fn ends(passcode: &Passcode) -> i64 {
    let end = passcode.revoked_at.or(passcode.terms.expires_at);
    end.map_or(i64::MAX, Timestamp::ms)
}

/// The page, or one of its tables as a file.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    let shown = async {
        let path = path(&staff);
        let sheet = Sheet::new(&asked, &path);
        let of_tokens = sheet.named(tokens::NAME);
        if sheet.is_file() || of_tokens.is_file() {
            let times = times(&staff, &state);
            let account = state.control().account(staff.actor(), staff.account());
            let account = account.await?;
            if of_tokens.is_file() {
                let (found, _) = tokens::chosen(account.sdk_tokens, &of_tokens, &asked, &times);
                return Ok(file(tokens::COLUMNS, &found, &times, "sdk-tokens.csv"));
            }
            let (found, _) = chosen(account.passcodes, &sheet, &asked, &times);
            return Ok(file(COLUMNS, &found, &times, "passcodes.csv"));
        }
        let form = Form::default();
        let page = Credentials::new(&staff, &state, &asked, form, done(&asked)).await?;
        html(&page)
    };
    answer(&staff, shown.await)
}

/// Makes a passcode, or ends one; makes another token for apps, or ends an old one.
pub(crate) async fn post(staff: Staff, Of(state): Of<State>, Posted(fields): Posted) -> Response {
    let changed = async {
        match fields.text("act") {
            "make" => make(&staff, &state, &fields).await,
            "revoke" => revoke(&staff, &state, &fields).await,
            "rotate" => tokens::rotate(&staff, &state, &fields).await,
            "end" => tokens::end(&staff, &state, &fields).await,
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
    heads: Heads,
    pager: Pager,
    csv: String,
    /// What the table is filtered by.
    q: String,
    status: String,
    has_passcodes: bool,
    may_change: bool,
    /// What was just made: what it is and its text, shown once.
    made: Option<(String, String)>,
    tokens: Tokens,
    /// Why the token was not rotated.
    token_error: Option<String>,
    snippets: Vec<Snippet>,
    live: Live,
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
            // Few programs need it: whoever makes one that does says so.
            without: vec![Scope::PersonalInformation.as_str()],
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
    used: Option<Moment>,
    created: Moment,
    ends: Option<Moment>,
    scopes: String,
    networks: String,
    is_live: bool,
}

fn done(asked: &Fields) -> Option<String> {
    let words = match asked.text("done") {
        "revoked" => "The passcode is refused from now on.",
        "ended" => "The token is refused from now on, and with it the apps that carry it.",
        _ => return None,
    };
    Some(words.to_owned())
}

impl Credentials {
    async fn new(
        staff: &Staff,
        state: &State,
        asked: &Fields,
        form: Form,
        done: Option<String>,
    ) -> Result<Self> {
        let times = times(staff, state);
        let path = path(staff);
        let sheet = Sheet::new(asked, &path);
        let account = state.control().account(staff.actor(), staff.account());
        let account = account.await?;
        let (found, heads) = chosen(account.passcodes, &sheet, asked, &times);
        let (q, status) = (asked.text("q"), asked.text("status"));
        let has_passcodes = !found.is_empty() || !q.is_empty() || !status.is_empty();
        let (found, pager) = sheet.cut(found, "passcode");
        let settings = state.settings();
        let id = staff.account().to_string();
        Ok(Self {
            shell: Shell::new(staff, Section::Credentials, "Credentials").done(done),
            csv: sheet.csv(),
            form,
            passcodes: found.iter().map(|it| listed(it, &times)).collect(),
            heads,
            pager,
            q: q.to_owned(),
            status: status.to_owned(),
            has_passcodes,
            may_change: staff.may(Act::ManageCredentials),
            made: None,
            tokens: Tokens::new(
                account.sdk_tokens,
                &sheet.named(tokens::NAME),
                asked,
                &times,
            ),
            token_error: None,
            snippets: all(&id, &settings.collect_host, &settings.api_host),
            account: id,
            live: Live::new(staff, state, &times).await?,
            path: path.clone(),
        })
    }
}

fn path(staff: &Staff) -> String {
    format!("/a/{}/settings/credentials", staff.account())
}

/// The passcodes that are asked for, in the order that is asked for.
fn chosen(
    mut all: Vec<Passcode>,
    sheet: &Sheet<'_>,
    asked: &Fields,
    times: &Times,
) -> (Vec<Passcode>, Heads) {
    let (q, wanted) = (asked.text("q").to_lowercase(), asked.text("status"));
    all.retain(|it| {
        let is_state = wanted.is_empty() || status(it, times).0 == wanted;
        is_state && it.name.to_lowercase().contains(&q)
    });
    let heads = sheet.sort(COLUMNS, Some(("name", false)), &mut all);
    (all, heads)
}

/// Whether a passcode is accepted, as a word of the URL and as it looks.
fn status(passcode: &Passcode, times: &Times) -> (&'static str, Badge) {
    let end = passcode.terms.expires_at;
    let has_ended = end.is_some_and(|end| end <= times.now());
    match (passcode.revoked_at, has_ended) {
        (Some(_), _) => ("revoked", Badge::new(Tone::Plain, "Revoked")),
        (None, true) => ("ended", Badge::new(Tone::Warn, "Ended")),
        (None, false) => ("accepted", Badge::new(Tone::Ok, "Accepted")),
    }
}

/// From where a passcode is accepted.
fn networks(passcode: &Passcode) -> String {
    let networks = passcode.terms.networks.iter().map(Network::to_string);
    let networks: Vec<String> = networks.collect();
    match networks.is_empty() {
        true => String::from("everywhere"),
        false => networks.join(", "),
    }
}

fn listed(passcode: &Passcode, times: &Times) -> Listed {
    let end = passcode.terms.expires_at;
    Listed {
        name: passcode.name.clone(),
        state: status(passcode, times).1,
        used: passcode.used_at.map(|at| times.ago(at)),
        created: times.on(passcode.created_at),
        ends: passcode.revoked_at.or(end).map(|at| times.on(at)),
        scopes: passcode.terms.scopes.to_string().replace(',', ", "),
        networks: networks(passcode),
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
        let asked = Fields::default();
        unusable(&Credentials::new(staff, state, &asked, form, None).await?)
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
            let (asked, form) = (Fields::default(), Form::default());
            let mut page = Credentials::new(staff, state, &asked, form, None).await?;
            page.made = Some((format!("Passcode {name}"), secret.expose().clone()));
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
    let path = path(staff);
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
