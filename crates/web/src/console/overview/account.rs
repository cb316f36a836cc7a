//! The overview of one account.

use control::Act;
use governance::PasscodeRule;
use query::{EventsQuery, ReadPolicy};
use std::collections::BTreeMap;
use std::time::Duration;

use super::{Overview, Panel, Reject, Tile, Todo, red, spans, times};
use crate::console::counts::{Bin, bins, events_over_time, series, total};
use crate::console::period::Period;
use crate::console::staff::Staff;
use crate::console::view::{
    Answer, Chart, Fields, Mark, Rank, Ranks, Section, Series, Shell, Spark, Times, Tone, count,
    html, link, plural, share,
};
use crate::operate::quarantine::{self, ErrorGroup};
use crate::operate::requests::{MORE, REJECTED};
use crate::operate::rows_under;
use crate::{Error, Result, State};

/// Events that are ranked.
const TOP: usize = 8;
/// Kinds of errors that are listed.
const REJECTS: usize = 6;
/// A passcode that ends within this is worth a look.
const ENDS_SOON: Duration = Duration::from_secs(14 * 86_400);

/// What the page is made of.
struct Found {
    requests: Vec<Bin>,
    /// How often events happened, by the slots of the period.
    events: Option<Vec<f64>>,
    /// … and by their names.
    names: BTreeMap<Box<str>, u64>,
    people: Option<u64>,
    errors: Option<Vec<ErrorGroup>>,
    waiting: Option<usize>,
    has_any: bool,
}

/// The page.
pub(super) async fn show(staff: &Staff, state: &State, asked: &Fields) -> Answer {
    let policy = staff.policy().ok_or(Error::Absent)?;
    let times = times(staff, state);
    let period = Period::asked(&times, asked, 7);
    let base = format!("/a/{}", staff.account());
    let found = Box::pin(find(staff, state, &policy, &period)).await?;
    let accepted = series(&found.requests, &period, "accepted");
    let rejected = series(&found.requests, &period, "rejected");

    let mut charts = Vec::new();
    if let Some(events) = &found.events {
        let drawn = [Series::new("Events", 0, events.clone())];
        charts.push(Panel {
            title: "Events over time",
            note: format!("by {}", period.step.as_str()),
            more: Some((format!("{base}/events"), "Trends")),
            body: Chart::new(
                "events",
                "Events over time",
                Mark::Block,
                &period.slots,
                &drawn,
            ),
            empty: None,
        });
    }
    let drawn = [
        Series::new("Accepted", 0, accepted),
        Series::new("Rejected", 3, rejected.clone()),
    ];
    let title = "Records received, accepted and rejected";
    charts.push(Panel {
        title: "Records received",
        note: format!("by {}", period.step.as_str()),
        more: staff
            .may(Act::ReadRequests)
            .then(|| (format!("{base}/requests"), "Request log")),
        body: Chart::new("records", title, Mark::Block, &period.slots, &drawn),
        empty: None,
    });
    let shell = Shell::new(staff, Section::Overview, "Overview");
    html(&Overview {
        shell,
        spans: spans(&format!("{base}/overview"), asked.text("days")),
        todos: todos(staff, state, &found, &base, &times),
        tiles: tiles(&found, &rejected),
        charts,
        ranks: ranks(staff, &found, &base, &period),
        rejects: found.errors.as_ref().map(|it| rejects(it, &base, &times)),
        rejects_href: format!("{base}/quarantine"),
        first_steps: (!found.has_any).then(|| format!("{base}/settings/credentials")),
    })
}

async fn find(staff: &Staff, state: &State, policy: &ReadPolicy, period: &Period) -> Result<Found> {
    let analyses = staff.may(Act::Analyse);
    let sums = format!(
        "CAST(sum(1 + {MORE}) AS BIGINT) AS n, sum(accepted) AS accepted, \
         sum({REJECTED}) AS rejected, \
         CAST(sum(CASE WHEN outcome = 'answered' THEN 0 ELSE 1 + {MORE} END) AS BIGINT) AS refused"
    );
    let requests = bins(state, policy, "requests", period, "true", &[], &sums);
    let events = async {
        match analyses {
            true => events_over_time(state, policy, &period.query(None), period)
                .await
                .map(Some),
            false => Ok(None),
        }
    };
    let people = async {
        match analyses {
            true => Ok(Some(
                state.engine().active_people(policy, period.from).await?,
            )),
            false => Ok::<_, Error>(None),
        }
    };
    let names = async {
        match analyses {
            true => {
                let engine = state.engine();
                Ok(engine
                    .events_by_name(policy, period.from, period.to)
                    .await?)
            }
            false => Ok::<_, Error>(BTreeMap::new()),
        }
    };
    let errors = async {
        match staff.may(Act::ReadQuarantine) {
            true => Ok(Some(
                quarantine::groups(state, staff.actor(), policy.account, period.from).await?,
            )),
            false => Ok::<_, Error>(None),
        }
    };
    let waiting = async {
        match staff.may(Act::DeletePeople) {
            true => deletions(staff, state).await.map(Some),
            false => Ok(None),
        }
    };
    let (requests, events, names, people, errors, waiting) =
        tokio::try_join!(requests, events, names, people, errors, waiting)?;
    let has_any = !requests.is_empty() || !names.is_empty() || has_any(state, policy).await?;
    Ok(Found {
        requests,
        events,
        names,
        people,
        errors,
        waiting,
        has_any,
    })
}

/// Whether anything has ever come.
async fn has_any(state: &State, policy: &ReadPolicy) -> Result<bool> {
    let sql = "SELECT record_id FROM requests LIMIT 1";
    if !rows_under(state, policy, sql).await?.is_empty() {
        return Ok(true);
    }
    let all = EventsQuery::default();
    let page = state.engine().latest_events(policy, &all, None, None, 1);
    Ok(!page.await?.records.is_empty())
}

/// Deletions under way.
async fn deletions(staff: &Staff, state: &State) -> Result<usize> {
    let all = state.control().deletions(staff.actor(), staff.account());
    let all = all.await?;
    let open = all.iter().filter(|it| it.is_open());
    Ok(open.count())
}

fn tiles(found: &Found, rejected: &[f64]) -> Vec<Tile> {
    let mut tiles = Vec::new();
    if let Some(events) = &found.events {
        tiles.push(Tile {
            label: "Events",
            number: count(found.names.values().sum()),
            note: String::new(),
            is_bad: false,
            spark: Some(Spark::new(events, 0)),
        });
    }
    if let Some(people) = found.people {
        tiles.push(Tile {
            label: "Active people",
            number: count(people),
            note: String::from("who did anything"),
            is_bad: false,
            spark: None,
        });
    }
    let requests = total(&found.requests, "n");
    let refused = total(&found.requests, "refused");
    tiles.push(Tile {
        label: "Requests",
        number: count(requests),
        note: format!("{} refused", count(refused)),
        is_bad: false,
        spark: None,
    });
    let (accepted, refused) = (
        total(&found.requests, "accepted"),
        total(&found.requests, "rejected"),
    );
    tiles.push(Tile {
        label: "Rejected records",
        number: count(refused),
        note: format!(
            "{} of all",
            share(refused, accepted.saturating_add(refused))
        ),
        is_bad: refused > 0,
        spark: (refused > 0).then(|| Spark::new(rejected, 3)),
    });
    tiles
}

fn todos(staff: &Staff, state: &State, found: &Found, base: &str, times: &Times) -> Vec<Todo> {
    // What is red of an account is about deletions: for those who see them.
    let mut todos = match found.waiting {
        Some(_) => red(state, staff.account(), |_| true),
        None => Vec::new(),
    };
    if let Some(open) = found.waiting.filter(|open| *open > 0) {
        todos.push(Todo {
            tone: Tone::Info,
            text: format!("{} under way", plural(wide(open), "deletion")),
            words: String::from("people are hidden already"),
            href: Some(format!("{base}/people/deletions")),
        });
    }
    let (accepted, rejected) = (
        total(&found.requests, "accepted"),
        total(&found.requests, "rejected"),
    );
    if rejected.saturating_mul(20) > accepted.saturating_add(rejected) {
        todos.push(Todo {
            tone: Tone::Warn,
            text: format!(
                "{} of the records were rejected",
                share(rejected, accepted + rejected)
            ),
            words: String::from("more than one in twenty"),
            href: staff
                .may(Act::ReadQuarantine)
                .then(|| format!("{base}/quarantine")),
        });
    }
    if let Some(rules) = staff.rules().filter(|_| staff.may(Act::ReadCredentials)) {
        let ending = |it: &&PasscodeRule| {
            let end = it.terms.expires_at;
            end.is_some_and(|end| end < times.now().plus(ENDS_SOON))
        };
        for passcode in rules.passcodes.iter().filter(ending) {
            let end = passcode.terms.expires_at.unwrap_or_else(|| times.now());
            todos.push(Todo {
                tone: Tone::Warn,
                text: format!("Passcode {} ends soon", passcode.name),
                words: times.text(end, "on %-d %B"),
                href: Some(format!("{base}/settings/credentials")),
            });
        }
    }
    if todos.is_empty() && found.has_any {
        todos.push(Todo {
            tone: Tone::Ok,
            text: String::from("Nothing needs attention"),
            words: String::new(),
            href: None,
        });
    }
    todos
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn ranks(staff: &Staff, found: &Found, base: &str, period: &Period) -> Vec<Panel<Ranks>> {
    let mut panels = Vec::new();
    if found.events.is_some() {
        // The most frequent first, by name among those that are as frequent.
        let mut names: Vec<(&str, u64)> = found.names.iter().map(|(it, n)| (&**it, *n)).collect();
        names.sort_by_key(|it| std::cmp::Reverse(it.1));
        let rank = |(name, number): &(&str, u64)| Rank {
            href: Some(link(
                &format!("{base}/events"),
                &[
                    ("event", name),
                    ("from", &period.days.0),
                    ("to", &period.days.1),
                ],
            )),
            label: (*name).to_owned(),
            number: *number,
            note: String::new(),
            colour: 0,
        };
        panels.push(Panel {
            title: "Top events",
            note: String::new(),
            more: None,
            body: Ranks::new(
                "Events by how often they happened",
                names.iter().take(TOP).map(rank).collect(),
            ),
            empty: Some("No event happened in this time."),
        });
    }
    if let Some(errors) = &found.errors {
        let mut by_error: Vec<(u16, &str, u64)> = Vec::new();
        for it in errors {
            match by_error
                .iter_mut()
                .find(|(code, error, _)| (*code, *error) == (it.code, it.error.as_str()))
            {
                Some(known) => known.2 += it.count,
                None => by_error.push((it.code, &it.error, it.count)),
            }
        }
        by_error.sort_by_key(|it| std::cmp::Reverse(it.2));
        let rank = |(code, error, number): &(u16, &str, u64)| Rank {
            label: format!("{code} {}", words(error)),
            href: Some(link(
                &format!("{base}/quarantine"),
                &[("code", &code.to_string())],
            )),
            number: *number,
            note: String::new(),
            colour: 3,
        };
        panels.push(Panel {
            title: "Rejections by reason",
            note: String::new(),
            more: staff
                .may(Act::ReadQuarantine)
                .then(|| (format!("{base}/quarantine"), "Quarantine")),
            body: Ranks::new(
                "Rejected records by reason",
                by_error.iter().take(TOP).map(rank).collect(),
            ),
            empty: Some("No record was rejected in this time."),
        });
    }
    panels
}

fn rejects(errors: &[ErrorGroup], base: &str, times: &Times) -> Vec<Reject> {
    let reject = |it: &ErrorGroup| Reject {
        code: it.code.to_string(),
        error: words(&it.error),
        source: it.source.clone(),
        number: count(it.count),
        last: times.ago(it.last_seen),
        href: link(
            &format!("{base}/quarantine"),
            &[("code", &it.code.to_string()), ("source", &it.source)],
        ),
    };
    errors.iter().take(REJECTS).map(reject).collect()
}

/// A stable name as words: `time_out_of_range` is `time out of range`.
fn words(name: &str) -> String {
    name.replace('_', " ")
}
