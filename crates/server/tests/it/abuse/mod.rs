//! What attackers try, each case under its id: A transport, B parsing and resources, C URLs and the
//! log of what was dropped, D downloads, G networks and proxies, H injection, I traces. The
//! timing and memory halves of these cases are measured by `cargo xtask bench attack`.

mod a_transport;
mod b_drips;
mod b_exhaustion;
mod b_floods;
mod b_parsing;
mod b_resets;
mod b_streams;
mod c_urls;
mod d_g_h_console;
mod i_acts;
mod i_log;

use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::harness::{Account, Installation, Server, text};

/// An event of somebody, as an upload has it.
fn event(identity: &str) -> Value {
    json!({"type":"event","identity":identity,"evtName":"E"})
}

/// The head of a phone's batch with further headers.
fn phone_head(account: &Account, headers: &str) -> String {
    format!(
        "POST /a1 HTTP/1.1\r\nHost: localhost\r\nX-CleverTap-Account-Id: {}\r\n\
         X-CleverTap-Token: {}\r\n{headers}\r\n\r\n",
        account.id, account.sdk_token
    )
}

/// How often each reason was dropped for, by `drops list`; what the test itself does not do is left
/// out by the caller.
fn reasons(room: &Installation) -> BTreeMap<String, u64> {
    let mut reasons = BTreeMap::new();
    for group in groups(room) {
        let reason = group["reason"].as_str().unwrap().to_owned();
        *reasons.entry(reason).or_insert(0) += group["count"].as_u64().unwrap();
    }
    reasons
}

/// The groups of `drops list`.
fn groups(room: &Installation) -> Vec<Value> {
    match room.json(&["drops", "list"]) {
        Value::Array(groups) => groups,
        other => panic!("an array, not {other}"),
    }
}

fn expect<const N: usize>(pairs: [(&str, u64); N]) -> BTreeMap<String, u64> {
    pairs
        .map(|(reason, count)| (reason.to_owned(), count))
        .into()
}

/// A path of the operators' listener.
pub(crate) fn ops(server: &Server, path: &str) -> String {
    let url = format!("http://{}{path}", server.address("ops"));
    let output = std::process::Command::new("curl")
        .args(["--silent", "--max-time", "60", &url])
        .output()
        .unwrap();
    text(&output.stdout)
}

fn is_alive(server: &Server) -> bool {
    ops(server, "/healthz") == "ok\n" && ops(server, "/readyz") == "ready\n"
}

/// The sum of the samples of a metric whose labels hold all of `labels`.
pub(crate) fn metric(server: &Server, name: &str, labels: &[&str]) -> f64 {
    ops(server, "/metrics")
        .lines()
        .filter(|line| line.starts_with(name) && labels.iter().all(|label| line.contains(label)))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}
