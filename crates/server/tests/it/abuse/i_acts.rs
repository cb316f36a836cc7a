//! I08: every kind of act leaves its entries. The acts are those of `audit_acts.txt`, which is made of
//! the router and of the tree of commands; each is done on a running server, and what it left in the
//! audit log is compared.

mod book;
mod pages;

use serde_json::{Value, json};
use std::path::Path;

use book::Book;
use pages::{Person, account_pages, installation_pages, own, settings, sign_in};

use crate::console::{origin, reached};
use crate::harness::{Account, Installation, Server, text};
use crate::raw::Door;

fn old_event(number: u32) -> Value {
    json!({"type": "event", "identity": format!("q{number}"), "evtName": "Old", "ts": 1_000})
}

async fn furnish(server: &Server, account: &Account) {
    let now = jiff::Timestamp::now().as_second();
    let mut records = Vec::new();
    for who in ["ann", "bob", "cyd", "dee", "eve"] {
        let profile = json!({"Email": format!("{who}@example.com"), "Plan": "gold"});
        records.push(json!({"type": "profile", "identity": who, "profileData": profile}));
        let event = json!({"What": "hat", "Price": 3});
        records.push(json!({
            "type": "event", "identity": who, "evtName": "Bought", "ts": now - 60, "evtData": event,
        }));
    }
    let client = server.client(account);
    client.upload(records).await;
    let refused: Vec<Value> = (0..4).map(old_event).collect();
    client.post("/1/upload", json!({"d": refused})).await;
}

async fn be_dropped(room: &Installation, server: &Server) {
    let door = Door::of(room, server, "collect");
    let request = "GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    assert_eq!(door.say(request).await, b"");
}

#[tokio::test]
async fn i08_every_kind_of_act_leaves_its_entries_with_all_fields() {
    let room = Installation::new();
    let mut book = Book::new(&room);
    book.expect("command", "init");
    let made = book.room.json(&["account", "create", "Shop"]);
    let word = |field: &str| made[field].as_str().unwrap().to_owned();
    let account = Account {
        id: word("account_id"),
        passcode: word("passcode"),
        sdk_token: word("sdk_token"),
    };
    book.forget();
    book.logs.insert(account.id.clone(), 0);
    // Opening the installation for one command is a start of the node, too.
    let opened = book.left();
    assert!(
        opened.iter().any(|it| it["action"] == "account.created"),
        "{opened:?}"
    );
    let server = room.serve();
    book.expect("command", "serve");
    furnish(&server, &account).await;
    book.expect("api", "POST /1/upload");

    commands(&mut book, &server, &account).await;
    api(&mut book, &server, &account).await;
    let setup = reached(&server, &word("setup_url"));
    let setup = setup.strip_prefix(&origin(&server)).unwrap();
    let mut ada = Person::new(&room, &server);
    sign_in(&mut book, &server, &mut ada, setup, &account).await;
    account_pages(&mut book, &mut ada, &account.id).await;
    settings(&mut book, &mut ada, &account.id).await;
    let setup = room.printed["setup_url"].as_str().unwrap();
    let setup = reached(&server, setup);
    let setup = setup.strip_prefix(&origin(&server)).unwrap();
    installation_pages(&mut book, &server, setup).await;
    own(&mut book, &mut ada).await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert!(!super::ops(&server, path).is_empty());
        book.expect("ops", &format!("GET {path}"));
    }

    assert!(book.wrong.is_empty(), "{}", book.wrong.join("\n"));
    let missing: Vec<_> = book
        .rows
        .keys()
        .filter(|it| !book.done.contains(*it))
        .collect();
    assert!(missing.is_empty(), "not done: {missing:?}");
    let kinds = book.rows.values().filter(|it| !it.is_empty()).count() + book.failures;
    assert!(kinds >= 60, "{kinds} kinds of acts");
}

/// Every command of the operator's.
async fn commands(book: &mut Book<'_>, server: &Server, account: &Account) {
    let id = account.id.as_str();
    let of = ["--account", id];
    let with = |words: &[&'static str]| -> Vec<String> {
        words.iter().chain(&of).map(|it| (*it).to_owned()).collect()
    };
    let mut run = |act: &str, words: &[&'static str]| {
        let words = with(words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        book.command(act, &words)
    };
    let keys = run("account api-key create", &[]);
    let key_id = keys["keys"][0]["key_id"].to_string();
    let public = keys["keys"][0]["public_key"].as_str().unwrap().to_owned();
    run("account api-key list", &[]);
    run("account api-key rotate", &[]);
    run("account api-key policy", &["--set", "optional"]);
    run("dictionary define", &["Bought", "--property", "What"]);
    run(
        "dictionary property",
        &["What", "--event", "Bought", "--kind", "text"],
    );
    run("dictionary forget-property", &["What", "--event", "Bought"]);
    for act in ["dictionary discard", "dictionary forget"] {
        run(act, &["Unwanted"]);
    }
    run("dictionary policy", &["--events", "accept"]);
    run("dictionary class", &["Size", "sensitive", "--of", "person"]);
    run("dictionary mask", &["Size", "partial", "--of", "person"]);
    for act in [
        "dictionary show",
        "dictionary list",
        "errors list",
        "user list",
        "user outbox",
        "user setup-link",
        "access show",
        "role list",
    ] {
        run(act, &[]);
    }
    run("user invite", &["bea@example.com", "--role", "member"]);
    for act in ["user resend", "user disable", "user enable"] {
        run(act, &["bea@example.com"]);
    }
    run("user grant", &["bea@example.com", "--role", "creator"]);
    run("user withdraw", &["bea@example.com", "--role", "creator"]);
    for act in ["user unlock", "user reset-factors", "user revoke"] {
        run(act, &["bea@example.com"]);
    }
    run("access change", &["--add", "192.0.2.0/24"]);
    run("access unlock", &[]);
    run("role set", &["Analyst", "analysis=read"]);
    run("role delete", &["Analyst"]);
    run("credential create", &["second"]);
    run("credential list", &[]);
    run("credential rotate-token", &["--days", "30"]);
    run("credential end-token", &["1"]);
    run("credential revoke", &["second"]);
    run("query", &["SELECT count(*) AS n FROM events"]);
    run("person show", &["--identity", "ann"]);
    let objects = ["--identity", "cyd", "--reason", "objects"];
    run("person restrict", &objects);
    run("person restrictions", &["--identity", "cyd"]);
    run("person lift", &objects);
    run("person delete", &["--identity", "eve", "--yes"]);
    let deletions = run("person deletions", &[]);
    run("audit list", &[]);
    let listed = run("quarantine list", &[]);
    let records: Vec<String> = listed
        .as_array()
        .map(|it| {
            it.iter()
                .map(|it| it["record_id"].as_str().unwrap().to_owned())
                .collect()
        })
        .unwrap_or_else(|| panic!("{listed}"));
    for (act, number) in [("show", 0), ("replay", 0), ("delete", 1)] {
        let words = [records[number].as_str(), "--account", id];
        let yes: &[&str] = if act == "delete" { &["--yes"] } else { &[] };
        book.command(&format!("quarantine {act}"), &[&words[..], yes].concat());
    }
    book.command("account api-key retire", &[&key_id, "--account", id]);
    let answers = ["--public-key", public.as_str(), "--account", id];
    book.command("account api-key answers", &answers);
    let deletion = deletions[0]["deletion"].as_str().unwrap();
    book.command("person cancel-deletion", &[deletion, "--account", id]);
    installation_commands(book, server, id).await;
    files(book, id);
}

/// The commands about accounts as a whole, and about the installation.
async fn installation_commands(book: &mut Book<'_>, server: &Server, id: &str) {
    let other = book.room.json(&["account", "create", "Other"]);
    let log = other["account_id"].as_str().unwrap();
    book.logs.insert(log.to_owned(), 0);
    book.expect("command", "account create");
    book.command("account list", &[]);
    book.command("account show", &[id]);
    book.command("account domains", &[id, "--add", "shop.example"]);
    book.command("account sessions", &[id, "--idle-minutes", "50"]);
    book.command("account reveals", &[id, "--per-minute", "6"]);
    book.command("account retention", &[id, "--days", "400"]);
    book.command("account limits", &[id, "--uploads", "16"]);
    book.command("account encryption", &[id, "--set", "refused"]);
    book.command("job run", &["checkpoint"]);
    book.command("volume status", &[]);
    book.command("audit key", &[]);
    book.command("audit sinks", &[]);
    be_dropped(book.room, server).await;
    book.command("drops list", &[]);
    book.command("drops show", &["unknown_url"]);
    book.command("drops review", &["unknown_url"]);
    book.command("requests search", &[]);
}

/// The commands that write or read files, and those without an installation.
fn files(book: &mut Book<'_>, id: &str) {
    let folder = book.room.root();
    let name = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (events, log) = (name("events.jsonl"), name("log.jsonl"));
    book.command("export", &["events", "--account", id, "-o", &events]);
    book.command("audit export", &["--account", id, "-o", &log]);
    let alone = |words: &[&str]| {
        let output = crate::harness::strongroom().args(words).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    alone(&["audit", "verify", &log]);
    book.expect("command", "audit verify");
    let fay = ["--identity", "fay", "--yes", "--account", id];
    let ordered = book.command("person delete", &fay);
    let deletion = ordered["deletion"].as_str().unwrap();
    book.command("job run", &["deletion"]);
    let shown = book.command("person receipt", &[deletion, "--account", id]);
    let receipt = name("receipt.txt");
    std::fs::write(&receipt, shown["signed_receipt"].as_str().unwrap()).unwrap();
    alone(&["person", "verify-receipt", &receipt]);
    book.expect("command", "person verify-receipt");
    alone(&["version"]);
    book.expect("command", "version");
    // What the demonstration does is done on an installation of its own.
    let demo = name("demo");
    alone(&["demo", "--once", "--dir", &demo]);
    assert!(Path::new(&demo).join("audit/checkpoints/0.txt").exists());
    book.expect("command", "demo");
}

/// Every call of the API.
async fn api(book: &mut Book<'_>, server: &Server, account: &Account) {
    let client = server.client(account);
    let day = |days: i64| {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
        at.strftime("%Y%m%d").to_string().parse::<u32>().unwrap()
    };
    let days = json!({"event_name": "Bought", "from": day(-1), "to": day(1)});
    for path in ["/1/events.json", "/1/profiles.json"] {
        let asked = client.post(path, days.clone()).await;
        let cursor = asked.body["cursor"].as_str().unwrap().to_owned();
        let paged = client.get(&format!("{path}?cursor={cursor}")).await;
        assert_eq!(paged.status, 200, "{paged:?}");
        book.expect("api", &format!("GET {path}"));
        client
            .post(&format!("{path}?cursor={cursor}"), json!({}))
            .await;
        book.expect("api", &format!("POST {path}"));
    }
    for path in [
        "/1/counts/events.json",
        "/1/counts/profiles.json",
        "/1/now.json",
    ] {
        let query = days.to_string();
        client.post_text(path, query).await;
        book.expect("api", &format!("POST {path}"));
        let request = client.request("GET", path).body(days.to_string());
        crate::client::Client::send(request).await.unwrap();
        book.expect("api", &format!("GET {path}"));
    }
    let group = |more: Value| {
        let mut body = days.clone();
        body["groups"] = json!({"a": more});
        body.to_string()
    };
    let top = json!({"property_type": "event_properties", "name": "What"});
    for (path, body) in [
        ("/1/counts/top.json", group(top)),
        (
            "/1/counts/trends.json",
            group(json!({"trend_type": "daily"})),
        ),
    ] {
        for method in ["POST", "GET"] {
            let request = client.request(method, path).body(body.clone());
            let answer = crate::client::Client::send(request).await.unwrap();
            assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
            book.expect("api", &format!("{method} {path}"));
        }
    }
    client.get("/1/profile.json?identity=ann").await;
    book.expect("api", "GET /1/profile.json");
    let unsubscribe =
        json!({"d": [{"type": "email", "value": "ann@example.com", "status": "Unsubscribe"}]});
    let disassociate = json!({"d": [{"type": "phone", "value": "+14155551234"}]});
    let changes = [
        ("/1/demerge/profiles.json", json!({"identities": ["ann"]})),
        ("/1/subscribe", unsubscribe.clone()),
        ("/1/subscribe/", unsubscribe),
        ("/1/disassociate", disassociate.clone()),
        ("/1/disassociate/", disassociate),
        ("/1/delete/profiles.json", json!({"identity": ["dee"]})),
    ];
    for (path, body) in changes {
        let answer = client.post(path, body).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        book.expect("api", &format!("POST {path}"));
    }
    let rest: Vec<(&str, &str)> = book.rows.keys().copied().collect();
    let rest = rest.into_iter().filter(|it| it.0 == "api");
    for (place, act) in rest.collect::<Vec<_>>() {
        if !book.done.contains(&(place, act)) {
            let (method, path) = act.split_once(' ').unwrap();
            let request = client.request(method, path).body("{}");
            crate::client::Client::send(request).await.unwrap();
            book.expect(place, act);
        }
    }
    refused_calls(book, server, account).await;
}

/// Calls that are not carried out.
async fn refused_calls(book: &mut Book<'_>, server: &Server, account: &Account) {
    let stranger = Account {
        passcode: "wrong".to_owned(),
        ..account.clone()
    };
    let refused = server
        .client(&stranger)
        .get("/1/profile.json?identity=ann")
        .await;
    assert_eq!(refused.status, 401, "{refused:?}");
    book.expect_failure("a wrong passcode", "program.refused", "refused");
    let narrow = [
        "credential",
        "create",
        "narrow",
        "--scopes",
        "upload",
        "--account",
        &account.id,
    ];
    let made = book.room.json(&narrow);
    book.forget();
    let narrow = Account {
        passcode: made["passcode"].as_str().unwrap().to_owned(),
        ..account.clone()
    };
    let refused = server
        .client(&narrow)
        .get("/1/profile.json?identity=ann")
        .await;
    assert!(refused.status >= 400, "{refused:?}");
    let left = book.left();
    assert!(
        left.is_empty(),
        "the same peer within a minute is counted: {left:?}"
    );
}
