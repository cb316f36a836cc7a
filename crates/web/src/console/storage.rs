//! `GET /a/0/storage`: volumes, redundancy, parts, and how long the accounts' data is kept.

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::Act;
use model::AccountId;
use model::catalog::Catalog as _;
use model::record::Table;
use std::collections::BTreeMap;

use super::overview::{of_installation, times};
use super::staff::Staff;
use super::view::{
    Answer, Badge, Moment, Section, Shell, Tone, answer, bytes, count, html, plural,
};
use crate::{State, operate};

/// The page.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>) -> Response {
    answer(&staff, show(&staff, &state).await)
}

#[derive(Debug, Template)]
#[template(path = "storage.html")]
struct Storage {
    shell: Shell,
    tiles: Vec<(&'static str, String, String)>,
    volumes: Vec<VolumeLine>,
    tables: Vec<TableLine>,
    accounts: Vec<AccountLine>,
}

#[derive(Debug)]
struct VolumeLine {
    index: usize,
    place: String,
    state: Badge,
    reason: Option<(String, Moment)>,
    objects: String,
    bytes: String,
}

#[derive(Debug)]
struct TableLine {
    table: &'static str,
    parts: String,
    rows: String,
    bytes: String,
    oldest: Option<Moment>,
}

#[derive(Debug)]
struct AccountLine {
    id: String,
    name: String,
    parts: String,
    bytes: String,
    retention: String,
    requests: String,
}

#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    parts: u64,
    rows: u64,
    bytes: u64,
    oldest: Option<model::Timestamp>,
}

async fn show(staff: &Staff, state: &State) -> Answer {
    of_installation(staff)?;
    let times = times(staff, state);
    let status = state.volumes().volumes();
    let view = state.control().view(None, &Table::ALL).await;
    let view = view.map_err(operate::Error::from)?;
    let mut by_table: BTreeMap<Table, Sum> = BTreeMap::new();
    let mut by_account: BTreeMap<AccountId, Sum> = BTreeMap::new();
    for part in &view.parts {
        for sum in [
            by_table.entry(part.table).or_default(),
            by_account.entry(part.account).or_default(),
        ] {
            sum.parts += 1;
            sum.rows += part.rows;
            sum.bytes += part.size_bytes;
            sum.oldest = Some(sum.oldest.map_or(part.ts_min, |it| it.min(part.ts_min)));
        }
    }
    let accounts = match staff.may(Act::ManageInstallation) {
        true => state.control().accounts(staff.actor()).await?,
        false => Vec::new(),
    };
    let volumes = status.volumes.iter().map(|it| VolumeLine {
        index: it.index,
        place: it.place.clone(),
        state: match it.out {
            None => Badge::new(Tone::Ok, "In service"),
            Some(_) => Badge::new(Tone::Bad, "Out"),
        },
        reason: it
            .out
            .as_ref()
            .map(|(reason, since)| (reason.clone(), times.ago(*since))),
        objects: count(it.objects),
        bytes: bytes(it.bytes),
    });
    let tables = Table::ALL.map(|table| {
        let sum = by_table.get(&table).copied().unwrap_or_default();
        TableLine {
            table: table.as_str(),
            parts: count(sum.parts),
            rows: count(sum.rows),
            bytes: bytes(sum.bytes),
            oldest: sum.oldest.map(|at| times.on(at)),
        }
    });
    let account = |it: &control::Account| {
        let sum = by_account.get(&it.id).copied().unwrap_or_default();
        AccountLine {
            id: it.id.to_string(),
            name: it.name.clone(),
            parts: count(sum.parts),
            bytes: bytes(sum.bytes),
            retention: plural(it.retention_days.into(), "day"),
            requests: plural(it.request_retention_days.into(), "day"),
        }
    };
    let all = status.volumes.len();
    let parity = u64::try_from(status.parity).unwrap_or(0);
    let tiles = vec![
        (
            "Volumes in service",
            format!("{} of {all}", status.healthy),
            match status.ready {
                true => String::from("writes are acknowledged"),
                false => String::from("no write is acknowledged"),
            },
        ),
        (
            "Redundancy",
            format!("{} + {}", status.data, status.parity),
            format!("any {} may be lost", plural(parity, "volume")),
        ),
        (
            "Stored",
            bytes(status.object_bytes),
            plural(status.objects, "object"),
        ),
        (
            "Shards to rebuild",
            count(status.shards_wanted),
            String::from("known to be missing"),
        ),
    ];
    html(&Storage {
        shell: Shell::new(staff, Section::Storage, "Storage"),
        tiles,
        volumes: volumes.collect(),
        tables: tables.into(),
        accounts: accounts.iter().map(account).collect(),
    })
}
