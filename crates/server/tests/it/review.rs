//! What an operator reads and decides by the command line: requests, drops, the quarantine.

use serde_json::{Value, json};
use std::process::Command;

use crate::abuse::metric;
use crate::client::Client;
use crate::harness::{Account, Installation, Server, text};
use crate::raw::{Door, configure};

/// The rows that a command prints as JSON.
fn rows(room: &Installation, words: &[&str]) -> Vec<Value> {
    match room.json(words) {
        Value::Array(rows) => rows,
        other => panic!("an array, not {other}"),
    }
}

fn event(name: &str) -> Value {
    json!({"type": "event", "identity": "u", "evtName": name, "evtData": {}})
}

/// Requests of three planes, three addresses and two accounts; some are served, one is refused, one
/// is dropped.
async fn requests(room: &Installation, server: &Server, accounts: [&Account; 2]) {
    let [first, second] = accounts;
    server.client(first).upload(vec![event("E")]).await;
    let stranger = Account {
        passcode: "wrong".to_owned(),
        ..first.clone()
    };
    let api = server.address("api");
    let stranger = Client::coming_from("127.0.0.2", api, &room.ca(), stranger);
    let refused = stranger.post("/1/upload", json!({"d": [event("E")]}));
    assert_eq!(refused.await.status, 401);
    let far = Client::coming_from("127.0.1.1", api, &room.ca(), second.clone());
    far.upload(vec![event("E")]).await;
    let door = Door::of(room, server, "collect");
    let said = door.say("GET /word HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(said.await, b"");
    let file = "GET /console.css HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let said = text(&Door::of(room, server, "console").say(file).await);
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
}

#[tokio::test]
async fn requests_are_found_by_each_flag_and_no_others_are() {
    let room = Installation::new();
    let (first, second) = (room.account("first"), room.account("second"));
    let server = room.serve();
    requests(&room, &server, [&first, &second]).await;
    // Lines that nobody waits for ride in the next commit, at the latest when the server stops.
    assert!(server.stop().success());

    let search = |words: &[&str]| rows(&room, &[&["requests", "search"], words].concat());
    let all = search(&[]);
    let told = |line: &Value| {
        let columns = ["plane", "outcome", "reason", "peer"];
        let cells = columns.map(|it| line[it].as_str().unwrap_or_default());
        cells.join(" ")
    };
    let mut seen: Vec<String> = all.iter().map(told).collect();
    seen.sort_unstable();
    let expected = [
        "api answered  127.0.0.1",
        "api answered  127.0.1.1",
        "api refused invalid_credentials 127.0.0.2",
        "collect dropped unknown_url 127.0.0.1",
        "console answered  127.0.0.1",
    ];
    assert_eq!(seen, expected);
    let check = |flag: &str, value: &str, column: &str, is_meant: &dyn Fn(&str) -> bool| {
        let meant = |line: &&Value| is_meant(line[column].as_str().unwrap());
        let expected: Vec<Value> = all.iter().filter(meant).cloned().collect();
        let some = 1..all.len();
        assert!(some.contains(&expected.len()), "{flag} {value} chooses");
        assert_eq!(search(&[flag, value]), expected, "{flag} {value}");
    };
    for (flag, column, values) in [
        ("--account", "account", &[&*first.id, &*second.id, "0"][..]),
        ("--plane", "plane", &["collect", "api", "console"][..]),
        (
            "--outcome",
            "outcome",
            &["answered", "refused", "dropped"][..],
        ),
        (
            "--reason",
            "reason",
            &["invalid_credentials", "unknown_url"][..],
        ),
        (
            "--peer",
            "peer",
            &["127.0.0.1", "127.0.0.2", "127.0.1.1"][..],
        ),
    ] {
        for value in values {
            check(flag, value, column, &|it| it == *value);
        }
    }
    check("--peer", "127.0.0.0/24", "peer", &|it| {
        it.starts_with("127.0.0.")
    });
    check("--peer", "127.0.1.0/24", "peer", &|it| {
        it.starts_with("127.0.1.")
    });
    // The last request came milliseconds after the first, and times are written alike.
    let last = all[0]["ts"].as_str().unwrap();
    check("--from", last, "ts", &|it| it >= last);
    check("--to", last, "ts", &|it| it < last);
    let both = search(&["--plane", "api", "--outcome", "answered"]);
    let peers: Vec<_> = both.iter().map(|it| &it["peer"]).collect();
    assert_eq!(peers, ["127.0.1.1", "127.0.0.1"]);
}

#[tokio::test]
async fn a_dropped_request_is_shown_as_it_came() {
    let room = Installation::new();
    let server = room.serve();
    let door = Door::of(&room, &server, "collect");
    let before = jiff::Timestamp::now().as_millisecond();
    let host = "Host: localhost\r\n\r\n";
    for request in ["GET /word?q=1", "GET /other"] {
        let said = door.say(format!("{request} HTTP/1.1\r\n{host}")).await;
        assert_eq!(text(&said), "", "{request}");
    }
    assert_eq!(door.say(format!("GET /word HTTP/1.1\n{host}")).await, b"");
    // By the older version of TLS, and with another method.
    let output = Command::new("curl")
        .args([
            "--silent",
            "--http1.1",
            "--tls-max",
            "1.2",
            "--request",
            "DELETE",
        ])
        .arg("--cacert")
        .arg(room.ca())
        .arg(format!("https://{}/word", server.address("collect")))
        .output()
        .unwrap();
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(text(&output.stdout), "");

    let show = |words: &[&str]| rows(&room, &[&["drops", "show"], words].concat());
    let shown = show(&["unknown_url", "/word"]);
    let after = jiff::Timestamp::now().as_millisecond();
    let columns = ["plane", "peer", "tls_version", "method", "path", "more"];
    let told: Vec<Value> = shown
        .iter()
        .map(|it| Value::from(columns.map(|column| it[column].clone()).to_vec()))
        .collect();
    assert_eq!(
        told,
        [
            json!(["collect", "127.0.0.1", "1.2", "DELETE", "/word", 0]),
            json!(["collect", "127.0.0.1", "1.3", "GET", "/word", 0]),
        ]
    );
    for line in &shown {
        let at: jiff::Timestamp = line["ts"].as_str().unwrap().parse().unwrap();
        assert!((before..=after).contains(&at.as_millisecond()), "{line}");
        assert!(line["size_bytes"].is_u64(), "{line}");
    }
    assert_eq!(show(&["unknown_url", "/word", "--limit", "1"]), shown[..1]);
    assert_eq!(show(&["unknown_url"]).len(), 3);
    assert_eq!(show(&["bare_lf"]).len(), 1);

    // The same for whoever reads it in a terminal.
    let output = room.run(&["drops", "show", "unknown_url", "/word"]);
    let table = text(&output.stdout);
    let mut lines = table
        .lines()
        .map(|it| it.split_whitespace().collect::<Vec<_>>());
    let head = [
        "TIME", "PLANE", "PEER", "TLS", "METHOD", "PATH", "BYTES", "MORE",
    ];
    assert_eq!(lines.next().unwrap(), head);
    let columns = [
        "ts",
        "plane",
        "peer",
        "tls_version",
        "method",
        "path",
        "size_bytes",
        "more",
    ];
    for line in &shown {
        let cell = |column: &str| match &line[column] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        assert_eq!(lines.next().unwrap(), columns.map(cell), "{table}");
    }
    assert_eq!(lines.next(), None, "{table}");
}

#[tokio::test]
async fn drops_that_wait_too_long_for_their_review_are_counted_in_the_metrics() {
    let room = Installation::new();
    configure(&room, "drops_review_days", 0);
    let server = room.serve();
    let door = Door::of(&room, &server, "collect");
    for path in ["/x", "/y"] {
        let said = door.say(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(said.await, b"");
    }
    let counted = |server: &Server| {
        room.json(&["job", "run", "drops"]);
        [
            "strongroom_drop_groups_unreviewed",
            "strongroom_drop_groups_overdue",
        ]
        .map(|name| metric(server, name, &[]))
    };
    assert_eq!(counted(&server), [2.0, 2.0]);
    room.json(&["drops", "review", "unknown_url", "/x"]);
    assert_eq!(counted(&server), [1.0, 1.0]);
    assert!(server.stop().success());
    configure(&room, "drops_review_days", 7);
    let server = room.serve();
    assert_eq!(counted(&server), [1.0, 0.0], "it has not waited that long");
}

#[tokio::test]
async fn a_quarantined_record_that_is_deleted_is_gone_and_the_audit_log_says_so() {
    let room = Installation::new();
    let account = room.account("deleted");
    let server = room.serve();
    let client = server.client(&account);
    let body = json!({"d": [event("Web Page Viewed"), event("App Launched")]});
    let answer = client.post("/1/upload", body).await;
    assert_eq!(answer.body["processed"], 0, "{answer:?}");

    let quarantine = |words: &[&str]| {
        room.run(
            &[
                &["quarantine"],
                words,
                &["--account", &account.id, "--json"],
            ]
            .concat(),
        )
    };
    let listed = || -> Vec<String> {
        let rows = rows(&room, &["quarantine", "list", "--account", &account.id]);
        let id = |it: &Value| it["record_id"].as_str().unwrap().to_owned();
        rows.iter().map(id).collect()
    };
    let shown = |id: &str| quarantine(&["show", id]).status.code();
    let before = listed();
    let [gone, left] = before.as_slice() else {
        panic!("{before:?}");
    };
    let unsaid = quarantine(&["delete", gone]);
    assert_eq!(unsaid.status.code(), Some(2), "nobody has said --yes");
    assert_eq!(shown(gone), Some(0));

    let done = crate::harness::json(&quarantine(&["delete", gone, "--yes"]));
    assert_eq!(done, json!({"deleted": 1}));
    assert_eq!(shown(gone), Some(3));
    assert_eq!(shown(left), Some(0));
    assert_eq!(listed(), std::slice::from_ref(left));
    let again = quarantine(&["delete", gone, "--yes"]);
    assert_eq!(again.status.code(), Some(3));

    let words = ["audit", "list", "--account", &account.id];
    let log = rows(
        &room,
        &[&words[..], &["--action", "quarantine.deleted"]].concat(),
    );
    let objects: Vec<_> = log.iter().map(|it| &it["action_id"]).collect();
    assert_eq!(objects, [gone]);
    // It stays so.
    assert!(server.stop().success());
    assert_eq!(shown(gone), Some(3));
}
