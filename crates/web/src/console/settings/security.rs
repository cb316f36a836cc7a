//! `/a/{account}/settings/security`: from where people and programs may come, which web pages may
//! send, how long what was sent is kept, and by which versions of TLS clients come.

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::{
    AllowlistChange, AllowlistEntry, AllowlistView, RequestRetention, Retention, RetentionChange,
    RevealQuota, SessionLimits,
};
use model::{AccountId, ErrorKind};
use std::time::Duration;

use crate::console::staff::Staff;
use crate::console::view::{
    Answer, Asked, Column, Fields, Heads, Moment, Pager, Posted, Section, Sheet, Shell, Times,
    answer, count, file, html, share, unusable,
};
use crate::error::{Error, redirect};
use crate::operate::requests::MORE;
use crate::operate::{moment, number, rows_of, text};
use crate::{Result, State, operate};

/// How far the report of TLS looks back, days, where the request log is kept as long.
const REPORT_DAYS: u32 = 30;
const DAY: Duration = Duration::from_secs(86_400);
/// Networks that are added at a time.
const LINES_MAX: usize = 20;

/// The report of TLS and the domains, in the URL.
const REPORT_NAME: &str = "tls";
const DOMAINS_NAME: &str = "domains";

const COLUMNS: &[Column<AllowlistEntry>] = &[
    Column::new("network", "Network", |it: &AllowlistEntry, _| {
        it.network.clone()
    })
    .by(|a, b| a.network.cmp(&b.network)),
    Column::new("label", "Label", |it: &AllowlistEntry, _| it.label.clone())
        .by(|a, b| a.label.to_lowercase().cmp(&b.label.to_lowercase())),
    Column::new("since", "Since", |it: &AllowlistEntry, times| {
        times.cell(Some(it.created_at))
    })
    .most(|a, b| a.created_at.cmp(&b.created_at)),
];

const DOMAIN_COLUMNS: &[Column<String>] =
    &[Column::new("domain", "Domain", |it: &String, _| it.clone()).by(String::cmp)];

const VERSION_COLUMNS: &[Column<VersionLine>] = &[
    Column::new("plane", "Plane", |it: &VersionLine, _| it.plane.clone())
        .by(|a, b| a.plane.cmp(&b.plane)),
    Column::new("version", "Version", |it: &VersionLine, _| {
        it.version.clone()
    })
    .by(|a, b| a.version.cmp(&b.version)),
    Column::new("requests", "Requests", |it: &VersionLine, _| {
        it.number.to_string()
    })
    .most(|a, b| a.number.cmp(&b.number))
    .number(),
    Column::new("share", "Share", |it: &VersionLine, _| it.share.clone()).number(),
    Column::new("outcome", "Outcome", |it: &VersionLine, _| {
        String::from(if it.is_refused { "refused" } else { "taken" })
    })
    .by(|a, b| a.is_refused.cmp(&b.is_refused)),
];

#[derive(Debug, Template)]
#[template(path = "security.html")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a box on the page, ticked or not"
)]
struct Security {
    shell: Shell,
    path: String,
    /// From where the reader comes.
    own: String,
    limits: SessionLimits,
    console: bool,
    api: bool,
    networks: Vec<NetworkLine>,
    /// Who may come where no network is named.
    without_networks: &'static str,
    heads: Heads,
    pager: Pager,
    csv: String,
    /// What was typed and not taken.
    typed: String,
    /// None for the installation, to which no web page sends.
    domains: Option<Domains>,
    takes_encrypted: bool,
    reveals: Option<RevealQuota>,
    retention: Option<Kept>,
    /// How long the request log is kept where the account says nothing, days.
    request_days: u32,
    versions: Vec<VersionLine>,
    /// How far the report of TLS looks back, days.
    report_days: u32,
    version_heads: Heads,
    version_csv: String,
    is_installation: bool,
}

#[derive(Debug)]
struct NetworkLine {
    network: String,
    label: String,
    since: Moment,
}

/// How long what was sent is kept, as it is or as it was typed and not taken.
#[derive(Debug)]
struct Kept {
    days: String,
    request_days: String,
    /// Why it was not taken.
    error: Option<String>,
}

impl Kept {
    fn of(retention: Retention, form: &Fields, error: Option<&str>) -> Self {
        if let Some(error) = error.filter(|_| form.text("what") == "retention") {
            return Self {
                days: form.text("days").to_owned(),
                request_days: form.text("request_days").to_owned(),
                error: Some(error.to_owned()),
            };
        }
        let own = retention.request_days;
        Self {
            days: retention.days.to_string(),
            request_days: own.map(|days| days.to_string()).unwrap_or_default(),
            error: None,
        }
    }
}

/// The domains whose pages may send.
#[derive(Debug)]
struct Domains {
    /// Whether there is any: pages of every domain may send until there is.
    has_any: bool,
    /// What the list is filtered by.
    q: String,
    lines: Vec<String>,
    heads: Heads,
    pager: Pager,
    csv: String,
}

/// One version of TLS on one plane.
#[derive(Debug)]
struct VersionLine {
    plane: String,
    version: String,
    number: u64,
    requests: String,
    share: String,
    is_refused: bool,
}

/// The page, or one of its tables as a file.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    let done = match asked.text("done") {
        "networks" => Some("The allowlist is changed; it holds from now on."),
        "domains" => Some("The domains are changed."),
        "encryption" => Some("Encryption in transit is set."),
        "sessions" => Some("How long users stay signed in is set; it holds from now on."),
        "reveals" => Some("The quota is set; it holds from now on."),
        "retention" => Some("The retention is set; what is older goes with the next sweep."),
        _ => None,
    };
    let form = Fields::default();
    answer(
        &staff,
        show(&staff, &state, &asked, done, None, &form).await,
    )
}

/// A change of one of the settings.
pub(crate) async fn post(staff: Staff, Of(state): Of<State>, Posted(form): Posted) -> Response {
    let shown = match change(&staff, &state, &form).await {
        Ok(word) => Ok(redirect(&format!("{}?done={word}", path(&staff)))),
        Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Conflict) => {
            let (asked, words) = (Fields::default(), Some(error.words()));
            show(&staff, &state, &asked, None, words, &form).await
        }
        Err(error) => Err(error),
    };
    answer(&staff, shown)
}

fn path(staff: &Staff) -> String {
    format!("/a/{}/settings/security", staff.account())
}

async fn change(staff: &Staff, state: &State, form: &Fields) -> Result<&'static str> {
    let (control, actor, account) = (state.control(), staff.actor(), staff.account());
    let owned = |it: Vec<&str>| it.into_iter().map(str::to_owned).collect::<Vec<_>>();
    match form.text("what") {
        "add" => {
            let change = AllowlistChange {
                add: lines(form.text("networks")),
                ..AllowlistChange::default()
            };
            control.change_allowlist(actor, account, change).await?;
            Ok("networks")
        }
        "remove" => {
            let change = AllowlistChange {
                remove: owned(form.all("network")),
                ..AllowlistChange::default()
            };
            control.change_allowlist(actor, account, change).await?;
            Ok("networks")
        }
        "switch" => {
            let change = AllowlistChange {
                console: Some(form.ticked("console")),
                api: Some(form.ticked("api")),
                ..AllowlistChange::default()
            };
            control.change_allowlist(actor, account, change).await?;
            Ok("networks")
        }
        "domains" => {
            let add: Vec<String> = form
                .text("domains")
                .split_whitespace()
                .map(str::to_owned)
                .collect();
            let remove = owned(form.all("domain"));
            control
                .change_domains(actor, account, &add, &remove)
                .await?;
            Ok("domains")
        }
        "sessions" => {
            let number = |name: &str| form.text(name).trim().parse().unwrap_or(0);
            let limits = SessionLimits {
                idle_minutes: number("idle_minutes"),
                hours: number("hours"),
            };
            control.set_session_limits(actor, account, limits).await?;
            Ok("sessions")
        }
        "reveals" => {
            let wrong = || operate::Error::Invalid(String::from("a quota is a number"));
            let number = |name: &str| form.text(name).parse::<u32>().map_err(|_| wrong());
            let quota = RevealQuota {
                per_minute: number("per_minute")?,
                per_day: number("per_day")?,
            };
            control.set_reveal_quota(actor, account, quota).await?;
            Ok("reveals")
        }
        "retention" => {
            retain(staff, state, form).await?;
            Ok("retention")
        }
        "encryption" => {
            let takes = form.ticked("takes");
            control.set_takes_encrypted(actor, account, takes).await?;
            Ok("encryption")
        }
        _ => Err(Error::Absent),
    }
}

/// Sets the retention. Whoever shortens it says that it is meant: what is removed does not come back.
async fn retain(staff: &Staff, state: &State, form: &Fields) -> Result<()> {
    let (control, actor, account) = (state.control(), staff.actor(), staff.account());
    let wrong = |text: &str| operate::Error::Invalid(text.to_owned());
    let number = |name: &str| {
        let days = form.text(name).parse::<u32>();
        days.map_err(|_| wrong("a retention is a number of days"))
    };
    let change = RetentionChange {
        days: Some(number("days")?),
        requests: Some(match form.text("request_days") {
            "" => RequestRetention::AsConfigured,
            _ => RequestRetention::Days(number("request_days")?),
        }),
        as_configured: state.settings().request_retention_days,
        may_shorten: form.ticked("shorter"),
    };
    let set = control.set_retention(actor, account, change).await;
    if matches!(set, Err(control::Error::Shortens)) {
        let text = "less would be kept than now: tick the box if that is meant";
        return Err(wrong(text).into());
    }
    set?;
    Ok(())
}

/// One network a line, and after it what it is called.
fn lines(typed: &str) -> Vec<(String, String)> {
    typed
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| match line.split_once(char::is_whitespace) {
            Some((network, label)) => (network.to_owned(), label.trim().to_owned()),
            None => (line.to_owned(), String::new()),
        })
        // One more than is taken, so that too many are refused and not cut.
        .take(LINES_MAX.saturating_add(1))
        .collect()
}

/// The page; with the `form` that was sent where it was not taken, and `error` says why.
async fn show(
    staff: &Staff,
    state: &State,
    asked: &Fields,
    done: Option<&str>,
    error: Option<String>,
    form: &Fields,
) -> Answer {
    let times = Times::new(staff.time_zone(), state.clock().now());
    let (control, actor, account) = (state.control(), staff.actor(), staff.account());
    let mut list: AllowlistView = control.allowlist(actor, account).await?;
    let at = path(staff);
    let sheet = Sheet::new(asked, &at);
    let heads = sheet.sort(COLUMNS, None, &mut list.entries);
    if sheet.is_file() {
        return Ok(file(COLUMNS, &list.entries, &times, "networks.csv"));
    }
    let is_installation = account == AccountId::installation();
    let own = match is_installation {
        true => None,
        false => Some(control.account(actor, account).await?),
    };
    let request_days = state.settings().request_retention_days;
    let own_days = own.as_ref().and_then(|it| it.request_retention_days);
    let report_days = REPORT_DAYS.min(own_days.unwrap_or(request_days));
    let report = sheet.named(REPORT_NAME);
    let mut versions = versions(state, account, report_days).await?;
    let version_heads = report.sort(VERSION_COLUMNS, None, &mut versions);
    if report.is_file() {
        return Ok(file(VERSION_COLUMNS, &versions, &times, "tls.csv"));
    }
    let of_domains = sheet.named(DOMAINS_NAME);
    if of_domains.is_file() {
        let all = own.ok_or(Error::Absent)?.domains;
        let (found, _) = chosen_domains(all, &of_domains, asked);
        return Ok(file(DOMAIN_COLUMNS, &found, &times, "domains.csv"));
    }
    let (entries, pager) = sheet.cut(list.entries, "network");
    let limits = control.session_limits(actor, account).await?;
    let is_wrong = error.is_some();
    let retention = own
        .as_ref()
        .map(|it| Kept::of(it.retention(), form, error.as_deref()));
    let page = Security {
        shell: Shell::new(staff, Section::Security, "Security")
            .done(done)
            .error(error),
        path: at.clone(),
        own: actor
            .peer
            .map(|it| it.to_canonical().to_string())
            .unwrap_or_default(),
        limits,
        console: list.console,
        api: list.api,
        without_networks: AllowlistView::without_networks(list.console, list.api),
        networks: entries
            .into_iter()
            .map(|it| NetworkLine {
                network: it.network,
                label: it.label,
                since: times.on(it.created_at),
            })
            .collect(),
        heads,
        pager,
        csv: sheet.csv(),
        typed: form.text("networks").to_owned(),
        reveals: own.as_ref().map(|it| it.reveals),
        retention,
        request_days,
        takes_encrypted: own.as_ref().is_some_and(|it| it.takes_encrypted),
        domains: own.map(|it| domains(it.domains, &of_domains, asked)),
        versions,
        report_days,
        version_heads,
        version_csv: report.csv(),
        is_installation,
    };
    if is_wrong {
        unusable(&page)
    } else {
        html(&page)
    }
}

/// The domains that are asked for, in the order that is asked for.
fn chosen_domains(mut all: Vec<String>, sheet: &Sheet<'_>, asked: &Fields) -> (Vec<String>, Heads) {
    let q = asked.text("domain").to_lowercase();
    all.retain(|it| it.contains(&q));
    let heads = sheet.sort(DOMAIN_COLUMNS, Some(("domain", false)), &mut all);
    (all, heads)
}

fn domains(all: Vec<String>, sheet: &Sheet<'_>, asked: &Fields) -> Domains {
    let has_any = !all.is_empty();
    let (found, heads) = chosen_domains(all, sheet, asked);
    let (lines, pager) = sheet.cut(found, "domain");
    Domains {
        has_any,
        q: asked.text("domain").to_owned(),
        lines,
        heads,
        pager,
        csv: sheet.csv(),
    }
}

/// By which versions of TLS the account's requests came; refused handshakes are the installation's,
/// because nobody knows whose they were.
async fn versions(state: &State, account: AccountId, days: u32) -> Result<Vec<VersionLine>> {
    let since = moment(state.clock().now().minus(DAY.saturating_mul(days)));
    let sql = format!(
        "SELECT plane, tls_version, reason = 'refused_tls' AS refused, \
         CAST(sum(1 + {MORE}) AS BIGINT) AS count \
         FROM requests WHERE ts >= {since} AND tls_version <> '' \
         GROUP BY plane, tls_version, reason = 'refused_tls' ORDER BY plane, tls_version"
    );
    let found = rows_of(state, account, &sql).await?;
    let all: u64 = found.iter().map(|row| number(row, "count")).sum();
    Ok(found
        .iter()
        .map(|row| {
            let requests = number(row, "count");
            VersionLine {
                plane: text(row, "plane").to_owned(),
                version: text(row, "tls_version").to_owned(),
                number: requests,
                requests: count(requests),
                share: share(requests, all),
                is_refused: row.get("refused").and_then(serde_json::Value::as_bool) == Some(true),
            }
        })
        .collect())
}
