//! `/a/{account}/settings/audit`: the audit log, filtered and paged, and its download.

mod sinks;

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::{Act, Action, AuditEntry, AuditFilter, AuditOutcome, DownloadFormat};
use jiff::civil::Date;
use model::Timestamp;

use sinks::Sinks;

use crate::console::exports::still_may;
use crate::console::overview::times;
use crate::console::records::short;
use crate::console::staff::Staff;
use crate::console::view::{
    Answer, Asked, Badge, Fields, Head, Heads, Moment, Pager, Section, Sheet, Shell, Times, Tone,
    answer, download, html, plural, unusable,
};
use crate::operate::audit::{Wanted, file as download_of, kind};
use crate::{Error, Result, State};

/// Entries on a page.
const PAGE: u32 = 100;
/// The columns: the log has one order, and it is read from either end.
const HEADS: &[Head] = &[
    Head::new("date", "Date").falling(),
    Head::new("email", "Email"),
    Head::new("action", "Action"),
    Head::new("action_id", "Action ID"),
    Head::new("description", "Description"),
    Head::new("outcome", "Outcome"),
    Head::new("ip_address", "IP address"),
];
/// Characters of an object's id that are shown whole.
const OBJECT_CHARS: usize = 20;
/// Addresses in one filter.
const ACTORS_MAX: usize = 50;

/// The page, or its table of sinks as a file.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    answer(&staff, show(&staff, &state, &asked).await)
}

/// The download, as it is made.
pub(crate) async fn file(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    answer(&staff, Box::pin(write(&staff, &state, &asked)).await)
}

#[derive(Debug, Template)]
#[template(path = "audit.html")]
struct Log {
    shell: Shell,
    path: String,
    form: Form,
    users: Vec<Pick>,
    actions: Vec<Pick>,
    chosen_users: usize,
    chosen_actions: usize,
    entries: Vec<Entry>,
    heads: Heads,
    pager: Pager,
    sinks: Sinks,
    /// Downloads of everything, and of what is filtered.
    all: [(String, &'static str); 2],
    some: Option<[(String, &'static str); 2]>,
}

#[derive(Debug, Default)]
struct Form {
    from: String,
    to: String,
    others: String,
}

/// A box to tick.
#[derive(Debug)]
struct Pick {
    value: String,
    is_ticked: bool,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    at: Moment,
    actor: String,
    kind: String,
    role: String,
    action: &'static str,
    /// The object's id; the first digits of a long one.
    object: String,
    full_object: String,
    description: String,
    outcome: Badge,
    peer: String,
}

async fn show(staff: &Staff, state: &State, asked: &Fields) -> Answer {
    let times = times(staff, state);
    let path = format!("/a/{}/settings/audit", staff.account());
    let filter = filter(asked, &times);
    let sheet = Sheet::new(asked, &path);
    let of_sinks = sheet.named(sinks::NAME);
    if of_sinks.is_file() {
        return sinks::as_file(staff, state, &of_sinks, &times).await;
    }
    let newest_first = sheet.order() != Some(("date", false));
    let place = asked.text("after").parse().ok();
    let wanted = AuditFilter {
        before: place.filter(|_| newest_first),
        after: place.filter(|_| !newest_first),
        newest_first,
        limit: PAGE,
        ..filter.clone().unwrap_or_default()
    };
    let control = state.control();
    let users = match staff.may(Act::ReadUsers) {
        true => control.users(staff.actor(), staff.account()).await?,
        false => Vec::new(),
    };
    let actors = &wanted.actors;
    let users: Vec<Pick> = users
        .into_iter()
        .map(|it| Pick {
            is_ticked: actors.contains(&it.email),
            value: it.email,
        })
        .collect();
    let known = |actor: &&String| users.iter().any(|it| it.value == **actor);
    let others: Vec<&str> = actors
        .iter()
        .filter(|it| !known(it))
        .map(String::as_str)
        .collect();
    let actions: Vec<Pick> = Action::ALL
        .iter()
        .map(|it| Pick {
            value: it.as_str().to_owned(),
            is_ticked: wanted.actions.contains(it),
        })
        .collect();
    let file = |format: &str, filtered: bool| {
        let base = format!("{path}/download");
        match filtered {
            true => {
                let without = ["after", "sort", "format", "sinks_sort", "sinks_page"];
                asked.link(&base, &without, &[("format", format)])
            }
            false => format!("{base}?format={format}"),
        }
    };
    let files = |filtered| {
        [
            (file("csv", filtered), "CSV, for spreadsheets"),
            (file("jsonl", filtered), "JSON Lines, with proofs"),
        ]
    };
    let mut page = Log {
        shell: Shell::new(staff, Section::Audit, "Audit Logs"),
        form: Form {
            from: asked.text("from").to_owned(),
            to: asked.text("to").to_owned(),
            others: others.join(", "),
        },
        chosen_users: users.iter().filter(|it| it.is_ticked).count() + others.len(),
        chosen_actions: wanted.actions.len(),
        users,
        actions,
        entries: Vec::new(),
        heads: sheet.heads(HEADS, Some(("date", true))),
        pager: Pager::default(),
        sinks: Sinks::new(staff, state, &of_sinks, &times),
        all: files(false),
        some: wanted.restricts().then(|| files(true)),
        path: path.clone(),
    };
    if let Err(text) = filter {
        page.shell = page.shell.error(Some(text));
        return unusable(&page);
    }
    let found = control.audit_log(staff.actor(), staff.account(), &wanted);
    let found = found.await?;
    let is_full = usize::try_from(PAGE).is_ok_and(|full| found.len() >= full);
    let last = found.last().map(|it| it.sequence.to_string());
    page.pager = Pager {
        note: plural(u64::try_from(found.len()).unwrap_or(u64::MAX), "entry")
            .replace("entrys", "entries"),
        first: place.map(|_: u64| asked.link(&path, &["after"], &[])),
        next: last
            .filter(|it| is_full && !(newest_first && it == "1"))
            .map(|it| asked.link(&path, &["after"], &[("after", &it)])),
    };
    page.entries = found.iter().map(|it| entry(it, &times)).collect();
    html(&page)
}

fn entry(entry: &AuditEntry, times: &Times) -> Entry {
    Entry {
        number: entry.sequence,
        at: times.at(entry.at),
        actor: entry.actor.clone(),
        kind: match entry.actor_kind.as_str() {
            "user" => String::new(),
            kind => kind.replace('_', " "),
        },
        role: entry.role.replace('_', " "),
        action: entry.action.as_str(),
        object: match entry.action_id.len() > OBJECT_CHARS {
            true => format!("{}…", short(&entry.action_id)),
            false => entry.action_id.clone(),
        },
        full_object: entry.action_id.clone(),
        description: entry.description.clone(),
        outcome: match entry.outcome {
            AuditOutcome::Begun => Badge::new(Tone::Info, "Begun"),
            AuditOutcome::Done => Badge::new(Tone::Ok, "Done"),
            AuditOutcome::Refused => Badge::new(Tone::Bad, "Refused"),
            AuditOutcome::Failed => Badge::new(Tone::Bad, "Failed"),
        },
        peer: entry.peer.map(|it| it.to_string()).unwrap_or_default(),
    }
}

/// What is asked for; or what is wrong with it.
fn filter(asked: &Fields, times: &Times) -> Result<AuditFilter, String> {
    let day = |name: &str| -> Result<Option<Date>, String> {
        let text = asked.some(name);
        let day = text.map(|it| {
            it.parse::<Date>()
                .map_err(|_| format!("{it} is not a day."))
        });
        day.transpose()
    };
    let start = |day: Date| {
        let zoned = day.to_zoned_datetime(times.zone().clone());
        zoned
            .ok()
            .map(|it| Timestamp::from_ms(it.timestamp().as_millisecond()))
    };
    let (from, to) = (day("from")?, day("to")?);
    if from.zip(to).is_some_and(|(from, to)| to < from) {
        return Err(String::from("The last day is before the first one."));
    }
    let typed = asked.text("actors").split([',', '\n', ' ']);
    let typed = typed.map(str::trim).filter(|it| !it.is_empty());
    let mut actors: Vec<String> = asked
        .all("actor")
        .into_iter()
        .chain(typed)
        .map(str::to_owned)
        .collect();
    actors.sort_unstable();
    actors.dedup();
    if actors.len() > ACTORS_MAX {
        return Err(format!("At most {ACTORS_MAX} people at a time."));
    }
    let actions = asked
        .all("action")
        .into_iter()
        .map(|name| Action::from_name(name).ok_or_else(|| format!("There is no action {name}.")));
    Ok(AuditFilter {
        from: from.and_then(start),
        to: to.and_then(|it| it.tomorrow().ok()).and_then(start),
        actors,
        actions: actions.collect::<Result<_, _>>()?,
        ..AuditFilter::default()
    })
}

async fn write(staff: &Staff, state: &State, asked: &Fields) -> Answer {
    let times = times(staff, state);
    let filter = filter(asked, &times);
    let filter = filter.map_err(crate::operate::Error::Invalid)?;
    let format = match asked.text("format") {
        "jsonl" => DownloadFormat::JsonLines,
        _ => DownloadFormat::Csv,
    };
    let (content_type, ending) = kind(format);
    let (account, actor) = (staff.account(), staff.actor());
    let reader = (state.clone(), staff.clone());
    let still_may = move || {
        let (state, staff) = reader.clone();
        async move { still_may(&state, &staff, Act::ReadAudit).await }
    };
    let wanted = Wanted {
        actor,
        account,
        filter,
        format,
    };
    let body = download_of(state, wanted, still_may).await?;
    let day = times.text(times.now(), "%Y-%m-%d");
    let name = format!("audit-{account}-{day}.{ending}");
    Ok::<_, Error>(download(&name, content_type, body))
}

#[cfg(test)]
mod tests {
    use super::filter;
    use crate::console::view::{Fields, Times};
    use jiff::tz::TimeZone;
    use model::Timestamp;

    #[test]
    fn filters_take_several_people_and_actions_and_whole_days() {
        let zone = TimeZone::get("Asia/Kolkata").unwrap();
        let times = Times::new(zone, Timestamp::from_seconds(1_790_000_000));
        let asked = "from=2026-09-20&to=2026-09-21&actor=b%40x.y&actors=a@x.y,+b@x.y\
                     &action=audit.read&action=person.shown";
        let found = filter(&Fields::parse(asked.as_bytes()), &times).unwrap();
        assert_eq!(found.actors, ["a@x.y", "b@x.y"]);
        assert_eq!(found.actions.len(), 2);
        assert_eq!(found.from.unwrap().to_string(), "2026-09-19T18:30:00.000Z");
        assert_eq!(found.to.unwrap().to_string(), "2026-09-21T18:30:00.000Z");
        for wrong in [
            "from=x",
            "to=2026-09-31",
            "from=2026-02-02&to=2026-02-01",
            "action=nothing",
        ] {
            assert!(
                filter(&Fields::parse(wrong.as_bytes()), &times).is_err(),
                "{wrong}"
            );
        }
        assert!(!filter(&Fields::default(), &times).unwrap().restricts());
    }
}
