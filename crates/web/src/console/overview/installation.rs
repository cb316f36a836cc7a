//! The overview of the installation.

use control::Act;
use model::AccountId;
use query::ReadPolicy;
use std::sync::Arc;

use super::{Overview, Panel, Tile, Todo, red, spans, times};
use crate::console::counts::{Bin, bins, series, total};
use crate::console::period::Period;
use crate::console::staff::Staff;
use crate::console::view::{
    Answer, Chart, Fields, Mark, Rank, Ranks, Section, Series, Shell, Tone, bytes, count, html,
    link, plural,
};
use crate::operate::requests::MORE;
use crate::operate::{drops, number, text};
use crate::state::Volumes;
use crate::{Error, Result, State};

/// Reasons that are ranked.
const TOP: usize = 8;
/// The planes, in order.
const PLANES: [&str; 3] = ["collect", "api", "console"];

/// The page.
pub(super) async fn show(staff: &Staff, state: &State, asked: &Fields) -> Answer {
    let times = times(staff, state);
    let period = Period::asked(&times, asked, 7);
    let base = "/a/0";
    let operates = staff.may(Act::ReadInstallation);
    drops::flush(state).await?;
    let (dropped, requests) =
        tokio::try_join!(drops_of(state, &period), requests_of_all(state, &period))?;
    let groups = match operates {
        true => drops::groups(state, staff.actor()).await?,
        false => Vec::new(),
    };
    let volumes = state.volumes().volumes();

    let of_plane = |plane: &str| -> Vec<Bin> {
        let own = requests.iter().filter(|it| text(&it.row, "plane") == plane);
        own.cloned().collect()
    };
    let by_plane: Vec<Series> = PLANES
        .iter()
        .enumerate()
        .map(|(place, plane)| Series::new(*plane, place, series(&of_plane(plane), &period, "n")))
        .collect();
    let dropped_over_time = [Series::new("Drops", 3, series(&dropped, &period, "count"))];
    let note = format!("by {}", period.step.as_str());
    let charts = vec![
        Panel {
            title: "Requests by plane",
            note: note.clone(),
            more: staff
                .may(Act::ReadRequests)
                .then(|| (format!("{base}/requests"), "Request log")),
            body: Chart::new(
                "planes",
                "Requests by plane",
                Mark::Block,
                &period.slots,
                &by_plane,
            ),
            empty: None,
        },
        Panel {
            title: "Drops",
            note,
            more: operates.then(|| (format!("{base}/drops"), "Review")),
            body: Chart::new(
                "drops",
                "Drops over time",
                Mark::Block,
                &period.slots,
                &dropped_over_time,
            ),
            empty: None,
        },
    ];
    let unreviewed = groups.iter().filter(|it| it.new > 0).count();
    html(&Overview {
        shell: Shell::new(staff, Section::Overview, "Overview"),
        spans: spans(&format!("{base}/overview"), asked.text("days")),
        todos: todos(state, &volumes, unreviewed, operates),
        tiles: tiles(&volumes, &requests, &dropped),
        charts,
        ranks: vec![reasons(&dropped, base)],
        rejects: None,
        rejects_href: String::new(),
        first_steps: None,
    })
}

/// What was dropped, by reason.
async fn drops_of(state: &State, period: &Period) -> Result<Vec<Bin>> {
    let policy = ReadPolicy::new(AccountId::installation(), Arc::default());
    let (condition, sums) = (drops::DROPPED, drops::COUNT);
    bins(
        state,
        &policy,
        "requests",
        period,
        condition,
        &["reason"],
        sums,
    )
    .await
}

/// How many requests came on each plane, whosever they were.
async fn requests_of_all(state: &State, period: &Period) -> Result<Vec<Bin>> {
    let accounts: Vec<AccountId> = {
        let rules = state.control().rules();
        let rules = rules.borrow();
        std::iter::once(AccountId::installation())
            .chain(rules.accounts.keys().copied())
            .collect()
    };
    let mut all = Vec::new();
    let sums = format!("CAST(sum(1 + {MORE}) AS BIGINT) AS n, sum(size_bytes) AS bytes");
    for account in accounts {
        let policy = ReadPolicy::new(account, Arc::default());
        let found = bins(
            state,
            &policy,
            "requests",
            period,
            "outcome <> 'dropped'",
            &["plane"],
            &sums,
        );
        all.extend(found.await?);
    }
    Ok::<_, Error>(all)
}

fn tiles(volumes: &Volumes, requests: &[Bin], dropped: &[Bin]) -> Vec<Tile> {
    let all = volumes.volumes.len();
    let is_whole = volumes.healthy == all;
    let plain = |label, number, note| Tile {
        label,
        number,
        note,
        is_bad: false,
        spark: None,
    };
    vec![
        Tile {
            label: "Volumes in service",
            number: format!("{} of {all}", volumes.healthy),
            note: match is_whole {
                true => format!("any {} may be lost", volumes.parity),
                false => format!("{} out of service", all.saturating_sub(volumes.healthy)),
            },
            is_bad: !is_whole,
            spark: None,
        },
        plain(
            "Stored",
            bytes(volumes.object_bytes),
            plural(volumes.objects, "object"),
        ),
        plain(
            "Requests",
            count(total(requests, "n")),
            bytes(total(requests, "bytes")),
        ),
        plain(
            "Drops",
            count(total(dropped, "count")),
            String::from("refused in silence"),
        ),
    ]
}

/// What is red, as the alerts and the metrics have it; then what is under way.
fn todos(state: &State, volumes: &Volumes, unreviewed: usize, operates: bool) -> Vec<Todo> {
    let mut todos = red(state, AccountId::installation(), |_| operates);
    let href = |page: &str| operates.then(|| format!("/a/0/{page}"));
    let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    if volumes.shards_wanted > 0 {
        todos.push(Todo {
            tone: Tone::Warn,
            text: format!("{} to rebuild", plural(volumes.shards_wanted, "shard")),
            words: String::from("repair is under way"),
            href: href("storage"),
        });
    }
    if unreviewed > 0 {
        todos.push(Todo {
            tone: Tone::Warn,
            text: format!(
                "{} of drops nobody has reviewed",
                plural(wide(unreviewed), "group")
            ),
            words: String::new(),
            href: href("drops"),
        });
    }
    if todos.is_empty() {
        todos.push(Todo {
            tone: Tone::Ok,
            text: String::from("Nothing needs attention"),
            words: String::new(),
            href: None,
        });
    }
    todos
}

fn reasons(dropped: &[Bin], base: &str) -> Panel<Ranks> {
    let mut reasons: Vec<(&str, u64)> = Vec::new();
    for bin in dropped {
        let (reason, more) = (text(&bin.row, "reason"), number(&bin.row, "count"));
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some(known) => known.1 += more,
            None => reasons.push((reason, more)),
        }
    }
    reasons.sort_by_key(|it| std::cmp::Reverse(it.1));
    let rank = |(reason, number): &(&str, u64)| Rank {
        label: reason.replace('_', " "),
        href: Some(link(&format!("{base}/drops"), &[("reason", reason)])),
        number: *number,
        note: String::new(),
        colour: 3,
    };
    Panel {
        title: "Drops by reason",
        note: String::new(),
        more: None,
        body: Ranks::new(
            "Drops by reason",
            reasons.iter().take(TOP).map(rank).collect(),
        ),
        empty: Some("Nothing was dropped in this time."),
    }
}
