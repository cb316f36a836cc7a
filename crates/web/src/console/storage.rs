//! `GET /a/0/storage`: volumes, redundancy, parts, and how long the accounts' data is kept.

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::{Account, Act};
use model::AccountId;
use model::catalog::Catalog as _;
use model::record::Table;
use std::collections::BTreeMap;

use super::overview::{of_installation, times};
use super::staff::Staff;
use super::view::{
    Answer, Asked, Badge, Column, Fields, Heads, Moment, Pager, Section, Sheet, Shell, Times, Tone,
    answer, bytes, count, file, html, plural,
};
use crate::{Result, State, Volume, Volumes, operate};

/// The page, or one of its tables as a file.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    answer(&staff, show(&staff, &state, &asked).await)
}

const PATH: &str = "/a/0/storage";
/// The second and the third table, in the URL.
const PARTS: &str = "parts";
const ACCOUNTS: &str = "accounts";

const VOLUME_COLUMNS: &[Column<Volume>] = &[
    Column::new("volume", "Volume", |it: &Volume, _| it.number.to_string())
        .by(|a, b| a.number.cmp(&b.number)),
    Column::new("state", "State", |it: &Volume, _| {
        String::from(if it.out.is_none() {
            "in service"
        } else {
            "out"
        })
    })
    .by(|a, b| b.out.is_some().cmp(&a.out.is_some())),
    Column::new("place", "Place", |it: &Volume, _| it.place.clone())
        .by(|a, b| a.place.cmp(&b.place)),
    Column::new("shards", "Shards", |it: &Volume, _| it.objects.to_string())
        .most(|a, b| a.objects.cmp(&b.objects))
        .number(),
    Column::new("size_bytes", "Size", |it: &Volume, _| it.bytes.to_string())
        .most(|a, b| a.bytes.cmp(&b.bytes))
        .number(),
    Column::new("out_because", "", |it: &Volume, _| {
        it.out.as_ref().map(|it| it.0.clone()).unwrap_or_default()
    }),
    Column::new("out_since", "", |it: &Volume, times| {
        times.cell(it.out.as_ref().map(|it| it.1))
    }),
];

const TABLE_COLUMNS: &[Column<(Table, Sum)>] = &[
    Column::new("table", "Table", |it: &(Table, Sum), _| {
        it.0.as_str().to_owned()
    })
    .by(|a, b| a.0.as_str().cmp(b.0.as_str())),
    Column::new("parts", "Parts", |it: &(Table, Sum), _| {
        it.1.parts.to_string()
    })
    .most(|a, b| a.1.parts.cmp(&b.1.parts))
    .number(),
    Column::new("rows", "Rows", |it: &(Table, Sum), _| it.1.rows.to_string())
        .most(|a, b| a.1.rows.cmp(&b.1.rows))
        .number(),
    Column::new("size_bytes", "Size", |it: &(Table, Sum), _| {
        it.1.bytes.to_string()
    })
    .most(|a, b| a.1.bytes.cmp(&b.1.bytes))
    .number(),
    Column::new("oldest_row", "Oldest row", |it: &(Table, Sum), times| {
        times.cell(it.1.oldest)
    })
    .by(|a, b| a.1.oldest.cmp(&b.1.oldest)),
];

const ACCOUNT_COLUMNS: &[Column<Kept>] = &[
    Column::new("account", "Account", |it: &Kept, _| it.0.name.clone())
        .by(|a, b| a.0.name.to_lowercase().cmp(&b.0.name.to_lowercase())),
    Column::new("id", "Id", |it: &Kept, _| it.0.id.to_string()).by(|a, b| a.0.id.cmp(&b.0.id)),
    Column::new("parts", "Parts", |it: &Kept, _| it.1.parts.to_string())
        .most(|a, b| a.1.parts.cmp(&b.1.parts))
        .number(),
    Column::new("size_bytes", "Size", |it: &Kept, _| it.1.bytes.to_string())
        .most(|a, b| a.1.bytes.cmp(&b.1.bytes))
        .number(),
    Column::new("data_kept_days", "Data kept", |it: &Kept, _| {
        it.0.retention_days.to_string()
    })
    .most(|a, b| a.0.retention_days.cmp(&b.0.retention_days))
    .number(),
    Column::new(
        "request_log_kept_days",
        "Request log kept",
        |it: &Kept, _| it.2.to_string(),
    )
    .most(|a, b| a.2.cmp(&b.2))
    .number(),
];

#[derive(Debug, Template)]
#[template(path = "storage.html")]
struct Storage {
    shell: Shell,
    tiles: Vec<(&'static str, String, String)>,
    volumes: Vec<VolumeLine>,
    volume_heads: Heads,
    volume_csv: String,
    tables: Vec<TableLine>,
    table_heads: Heads,
    table_csv: String,
    accounts: Vec<AccountLine>,
    account_heads: Heads,
    account_pager: Pager,
    account_csv: String,
    /// The name that accounts are looked for by.
    q: String,
    has_accounts: bool,
}

#[derive(Debug)]
struct VolumeLine {
    number: usize,
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

/// An account, what its parts come to, and how long its request log is kept, days.
type Kept = (Account, Sum, u32);

#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    parts: u64,
    rows: u64,
    bytes: u64,
    oldest: Option<model::Timestamp>,
}

async fn show(staff: &Staff, state: &State, asked: &Fields) -> Answer {
    of_installation(staff)?;
    let times = times(staff, state);
    let mut status = state.volumes().volumes();
    let (mut by_table, by_account) = sums(state).await?;
    let accounts = match staff.may(Act::ManageInstallation) {
        true => state.control().accounts(staff.actor()).await?,
        false => Vec::new(),
    };
    let has_accounts = !accounts.is_empty();
    let q = asked.text("q").to_lowercase();
    let meant = accounts.into_iter().filter(|it| {
        it.name.to_lowercase().contains(&q) || it.id.to_string().to_lowercase().contains(&q)
    });
    let as_configured = state.settings().request_retention_days;
    let mut accounts: Vec<Kept> = meant
        .map(|it| {
            let sum = by_account.get(&it.id).copied().unwrap_or_default();
            let request_days = it.request_retention_days.unwrap_or(as_configured);
            (it, sum, request_days)
        })
        .collect();
    let volumes = Sheet::new(asked, PATH);
    let (parts, kept) = (volumes.named(PARTS), volumes.named(ACCOUNTS));
    let usual = Some(("volume", false));
    let volume_heads = volumes.sort(VOLUME_COLUMNS, usual, &mut status.volumes);
    let table_heads = parts.sort(TABLE_COLUMNS, None, &mut by_table);
    let account_heads = kept.sort(ACCOUNT_COLUMNS, Some(("id", false)), &mut accounts);
    if volumes.is_file() {
        let rows = &status.volumes;
        return Ok(file(VOLUME_COLUMNS, rows, &times, "volumes.csv"));
    }
    if parts.is_file() {
        return Ok(file(TABLE_COLUMNS, &by_table, &times, "parts.csv"));
    }
    if kept.is_file() {
        return Ok(file(ACCOUNT_COLUMNS, &accounts, &times, "accounts.csv"));
    }
    let (accounts, account_pager) = kept.cut(accounts, "account");
    html(&Storage {
        shell: Shell::new(staff, Section::Storage, "Storage"),
        tiles: tiles(&status),
        volumes: status.volumes.iter().map(|it| volume(it, &times)).collect(),
        volume_heads,
        volume_csv: volumes.csv(),
        tables: by_table.iter().map(|it| table(it, &times)).collect(),
        table_heads,
        table_csv: parts.csv(),
        accounts: accounts.iter().map(account).collect(),
        account_heads,
        account_pager,
        account_csv: kept.csv(),
        q: asked.text("q").to_owned(),
        has_accounts,
    })
}

/// The numbers above the tables.
fn tiles(status: &Volumes) -> Vec<(&'static str, String, String)> {
    let all = status.volumes.len();
    let parity = u64::try_from(status.parity).unwrap_or(0);
    vec![
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
    ]
}

/// What the parts come to, by table and by account.
async fn sums(state: &State) -> Result<(Vec<(Table, Sum)>, BTreeMap<AccountId, Sum>)> {
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
    let by_table = Table::ALL.map(|it| (it, by_table.get(&it).copied().unwrap_or_default()));
    Ok((by_table.into(), by_account))
}

fn volume(it: &Volume, times: &Times) -> VolumeLine {
    VolumeLine {
        number: it.number,
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
    }
}

fn table((table, sum): &(Table, Sum), times: &Times) -> TableLine {
    TableLine {
        table: table.as_str(),
        parts: count(sum.parts),
        rows: count(sum.rows),
        bytes: bytes(sum.bytes),
        oldest: sum.oldest.map(|at| times.on(at)),
    }
}

fn account((it, sum, request_days): &Kept) -> AccountLine {
    AccountLine {
        id: it.id.to_string(),
        name: it.name.clone(),
        parts: count(sum.parts),
        bytes: bytes(sum.bytes),
        retention: plural(it.retention_days.into(), "day"),
        requests: plural((*request_days).into(), "day"),
    }
}
