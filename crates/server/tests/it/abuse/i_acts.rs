//! I08: every kind of act leaves its entries. The acts are those of `audit_acts.txt`, which is made of
//! the router and of the tree of commands; each is done on a running server, and what it left in the
//! audit log is compared.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::browser::{Browser, code};
use crate::console::{origin, reached};
use crate::harness::{Account, Installation, Server, text};
use crate::raw::Door;
use crate::visitor::{PASSWORD, Shown, Visitor, between};

const ACTS: &str = include_str!("../../../audit_acts.txt");

/// What the table says, what was done of it, and how far the logs were read.
struct Book<'r> {
    room: &'r Installation,
    /// By place and act: the actions; empty when nothing is left.
    rows: BTreeMap<(&'static str, &'static str), Vec<&'static str>>,
    done: BTreeSet<(&'static str, &'static str)>,
    /// Failures, beside the rows.
    failures: usize,
    /// What was not as the table says.
    wrong: Vec<String>,
    /// The logs that are looked at, each with the number of the last entry that was seen.
    logs: BTreeMap<String, u64>,
}

impl<'r> Book<'r> {
    fn new(room: &'r Installation) -> Self {
        // A test of `web` does each operation of the management API.
        let lines = ACTS.lines().filter(|line| !line.contains(" /v2/"));
        let rows = lines.map(|line| {
            let (place, rest) = line.split_once(' ').unwrap();
            let (act, leaves) = rest.trim_start().split_once("  ").unwrap();
            let actions = match leaves.trim_start() {
                words if words.starts_with("none: ") => Vec::new(),
                words => words.split(' ').collect(),
            };
            ((place, act), actions)
        });
        Self {
            room,
            rows: rows.collect(),
            done: BTreeSet::new(),
            failures: 0,
            wrong: Vec::new(),
            logs: BTreeMap::from([("0".to_owned(), 0)]),
        }
    }

    /// What was left in the logs since they were read last, without what jobs leave. Reading leaves an
    /// entry itself, right behind what is read: the first one of the next time.
    fn left(&mut self) -> Vec<Value> {
        let mut left = Vec::new();
        for (account, seen) in &mut self.logs {
            let after = seen.to_string();
            let list = ["audit", "list", "--account", account, "--after", &after];
            let Value::Array(found) = self.room.json(&list) else {
                panic!("a list of entries");
            };
            let is_first = *seen == 0;
            *seen = found
                .last()
                .map_or(*seen, |it| it["sequence"].as_u64().unwrap());
            let own = usize::from(!is_first);
            if !is_first {
                assert_eq!(found[0]["action"], "audit.read", "{found:?}");
            }
            left.extend(found.into_iter().skip(own));
        }
        left
    }

    fn forget(&mut self) {
        self.left();
    }

    /// An act of the table was done: it left what the table says.
    fn expect(&mut self, place: &str, act: &str) {
        let found = self.rows.iter().find(|it| it.0.0 == place && it.0.1 == act);
        let Some((key, actions)) = found.map(|(key, actions)| (*key, actions.clone())) else {
            panic!("`{place} {act}` is not in audit_acts.txt");
        };
        let left = self.left();
        let is_start = matches!(act, "init" | "serve");
        let left: Vec<&Value> = left
            .iter()
            .filter(|it| is_start || it["actor_kind"] != "system")
            .collect();
        let names: Vec<&str> = left
            .iter()
            .map(|it| it["action"].as_str().unwrap())
            .collect();
        for entry in &left {
            check_fields(entry);
        }
        let strange = names.iter().any(|it| !actions.contains(it));
        let is_there = actions.first().is_none_or(|first| {
            left.iter().any(|it| {
                it["action"] == **first && matches!(it["outcome"].as_str(), Some("begun" | "done"))
            })
        });
        if strange || !is_there {
            let line = format!("{place} {act}: {actions:?}, and it left {left:?}");
            self.wrong.push(line);
        }
        self.done.insert(key);
    }

    /// Something was tried and did not succeed: there is one entry of that, in one log.
    fn expect_failure(&mut self, what: &str, action: &str, outcome: &str) {
        let left = self.left();
        let left: Vec<&Value> = left
            .iter()
            .filter(|it| it["actor_kind"] != "system")
            .collect();
        let is_so = |it: &Value| it["action"] == action && it["outcome"] == outcome;
        if left.len() != 1 || !left.iter().all(|it| is_so(it)) {
            let line = format!("{what}: {action} {outcome}, and it left {left:?}");
            self.wrong.push(line);
        }
        left.into_iter().for_each(check_fields);
        self.failures += 1;
    }

    /// A command that prints JSON, and what it leaves.
    fn command(&mut self, act: &str, words: &[&str]) -> Value {
        let words: Vec<&str> = act.split(' ').chain(words.iter().copied()).collect();
        let printed = self.room.json(&words);
        self.expect("command", act);
        printed
    }
}

/// The six fields of PCI DSS 10.2.2: who, what kind, when, how it ended, from where, to what.
fn check_fields(entry: &Value) {
    let said = |field: &str| entry[field].as_str().is_some_and(|it| !it.is_empty());
    for field in [
        "actor",
        "actor_kind",
        "action",
        "at",
        "outcome",
        "action_id",
    ] {
        assert!(said(field), "no `{field}` in {entry}");
    }
    let at: jiff::Timestamp = entry["at"].as_str().unwrap().parse().unwrap();
    let age = jiff::Timestamp::now().duration_since(at).as_secs();
    assert!((-5..600).contains(&age), "{entry}");
    // Whoever is at the machine itself comes from no address: the kind of actor says so.
    let is_here = matches!(entry["actor_kind"].as_str(), Some("os_user" | "system"));
    assert_eq!(entry["peer"].is_null(), is_here, "{entry}");
}

/// Somebody's browser, whose pages must come.
struct Person(Visitor);

impl Person {
    fn new(room: &Installation, server: &Server) -> Self {
        Self(Visitor::new(&room.ca(), &origin(server), None).unwrap())
    }

    async fn get(&mut self, path: &str) -> Shown {
        let page = self.0.get(path).await.unwrap();
        assert!(page.status < 400, "{path}: {} {}", page.status, page.body);
        page
    }

    async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Shown {
        self.0.post(path, form).await.unwrap()
    }

    /// As `post`, where the form must lead on.
    async fn done(&mut self, path: &str, form: &[(&str, &str)]) -> Shown {
        let page = self.post(path, form).await;
        assert_eq!(page.status, 303, "{path}: {}", page.body);
        page
    }

    /// The first step of signing in.
    async fn password(&mut self, email: &str, password: &str) -> Shown {
        self.get("/sign-in").await;
        self.post("/sign-in", &[("email", email), ("password", password)])
            .await
    }

    /// Both steps, the second by a recovery code.
    async fn sign_in(&mut self, email: &str, recovery: &str) {
        self.password(email, PASSWORD).await;
        self.get("/sign-in/factor").await;
        self.done("/sign-in/factor", &[("recovery", recovery)])
            .await;
    }

    /// From a link to a session; returns the recovery codes.
    async fn join(&mut self, link: &str, email: &str) -> Vec<String> {
        self.get(link).await;
        let form = [
            ("email", email),
            ("name", "Ada"),
            ("password", PASSWORD),
            ("terms", "yes"),
        ];
        self.done(link, &form).await;
        self.enrol().await
    }

    async fn enrol(&mut self) -> Vec<String> {
        self.get("/enrol").await;
        let offer = self.post("/enrol/app", &[]).await;
        let secret = between(&offer.body, "id=\"secret\">", "<").unwrap();
        let done = self.post("/enrol/app", &[("code", &code(secret, 0))]).await;
        let codes = done.body.split("<li><code>").skip(1);
        codes
            .map(|it| it.split('<').next().unwrap().to_owned())
            .collect()
    }
}

/// What a page leads to that begins like this; the last part of the path.
fn linked(page: &Shown, beginning: &str) -> String {
    let rest = between(&page.body, &format!("href=\"{beginning}"), "\"");
    rest.unwrap_or_else(|| panic!("no link to {beginning} in {}", page.body))
        .split(['?', '/'])
        .next()
        .unwrap()
        .to_owned()
}

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
    run("dictionary show", &[]);
    run("dictionary list", &[]);
    run("dictionary define", &["Bought", "--property", "What"]);
    run(
        "dictionary property",
        &["What", "--event", "Bought", "--kind", "text"],
    );
    run("dictionary forget-property", &["What", "--event", "Bought"]);
    run("dictionary discard", &["Unwanted"]);
    run("dictionary forget", &["Unwanted"]);
    run("dictionary policy", &["--events", "accept"]);
    run("dictionary class", &["Size", "sensitive", "--of", "person"]);
    run("dictionary mask", &["Size", "partial", "--of", "person"]);
    run("errors list", &[]);
    run("user invite", &["bea@example.com", "--role", "member"]);
    run("user resend", &["bea@example.com"]);
    run("user disable", &["bea@example.com"]);
    run("user enable", &["bea@example.com"]);
    run("user grant", &["bea@example.com", "--role", "creator"]);
    run("user list", &[]);
    run("user withdraw", &["bea@example.com", "--role", "creator"]);
    run("user unlock", &["bea@example.com"]);
    run("user reset-factors", &["bea@example.com"]);
    run("user revoke", &["bea@example.com"]);
    run("user setup-link", &[]);
    run("user outbox", &[]);
    run("access show", &[]);
    run("access change", &["--add", "192.0.2.0/24"]);
    run("access unlock", &[]);
    run("role set", &["Analyst", "analysis=read"]);
    run("role list", &[]);
    run("role delete", &["Analyst"]);
    run("credential create", &["second"]);
    run("credential list", &[]);
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
    let other = book.room.json(&["account", "create", "Other"]);
    let log = other["account_id"].as_str().unwrap();
    book.logs.insert(log.to_owned(), 0);
    book.expect("command", "account create");
    book.command("account list", &[]);
    book.command("account show", &[id]);
    book.command("account domains", &[id, "--add", "shop.example"]);
    book.command("account sessions", &[id, "--idle-minutes", "50"]);
    book.command("account reveals", &[id, "--per-minute", "6"]);
    let deletion = deletions[0]["deletion"].as_str().unwrap();
    book.command("person cancel-deletion", &[deletion, "--account", id]);
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
    files(book, id);
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
    let changes = [
        ("/1/demerge/profiles.json", json!({"identities": ["ann"]})),
        (
            "/1/subscribe",
            json!({"d": [{"type": "email", "value": "ann@example.com", "status": "Unsubscribe"}]}),
        ),
        (
            "/1/disassociate",
            json!({"d": [{"type": "phone", "value": "+14155551234"}]}),
        ),
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

/// From a link to a session, with what goes wrong on the way.
async fn sign_in(
    book: &mut Book<'_>,
    server: &Server,
    ada: &mut Person,
    link: &str,
    account: &Account,
) {
    let email = "ada@example.com";
    for path in ["/console.css", "/console.js", "/passkey.js", "/icon.svg"] {
        ada.get(path).await;
        book.expect("console", &format!("GET {path}"));
    }
    ada.get("/.well-known/security.txt").await;
    book.expect("console", "GET /.well-known/security.txt");
    ada.get(link).await;
    book.expect("console", "GET /link/{token}");
    let mut late = Person::new(book.room, server);
    late.get(link).await;
    let form = [
        ("email", email),
        ("name", "Ada"),
        ("password", PASSWORD),
        ("terms", "yes"),
    ];
    ada.done(link, &form).await;
    book.expect("console", "POST /link/{token}");
    late.post(link, &form).await;
    book.expect_failure("a used link", "link.used", "refused");
    ada.get("/enrol").await;
    book.expect("console", "GET /enrol");
    let codes = ada.enrol().await;
    assert_eq!(codes.len(), 10);
    book.expect("console", "POST /enrol/app");
    ada.get("/me").await;
    ada.done("/sign-out", &[]).await;
    book.expect("console", "POST /sign-out");

    ada.get("/sign-in").await;
    book.expect("console", "GET /sign-in");
    ada.post("/sign-in", &[("email", email), ("password", "wrong")])
        .await;
    book.expect_failure("a wrong password", "sign_in.failed", "refused");
    ada.post(
        "/sign-in",
        &[("email", "nobody@example.com"), ("password", "wrong")],
    )
    .await;
    book.expect_failure("an unknown address", "sign_in.failed", "refused");
    ada.post("/sign-in", &[("email", email), ("password", PASSWORD)])
        .await;
    book.expect("console", "POST /sign-in");
    ada.get("/sign-in/factor").await;
    book.expect("console", "GET /sign-in/factor");
    ada.post("/sign-in/factor/options", &[]).await;
    book.expect("console", "POST /sign-in/factor/options");
    ada.post("/sign-in/factor", &[("code", "000000")]).await;
    book.expect_failure("a wrong code", "sign_in.done", "refused");
    ada.done("/sign-in/factor", &[("recovery", &codes[0])])
        .await;
    book.expect("console", "POST /sign-in/factor");
    ada.post("/enrol/passkey/options", &[]).await;
    book.expect("console", "POST /enrol/passkey/options");

    // A second factor of the other kind takes a real browser.
    let browser = Browser::start(book.room).await;
    browser.add_authenticator().await;
    browser.open(&format!("{}/sign-in", origin(server))).await;
    browser.fill("email", email).await;
    browser.fill("password", PASSWORD).await;
    browser.press("button.primary").await;
    browser.arrive("/sign-in/factor").await;
    browser.press("details.fold summary").await;
    browser.fill("recovery", &codes[1]).await;
    browser.press("form:has(#recovery) button").await;
    browser.arrive(&format!("/a/{}/overview", account.id)).await;
    browser
        .open(&format!("{}/enrol?next=/me", origin(server)))
        .await;
    book.forget();
    browser.press("#make-passkey").await;
    browser.arrive("/me").await;
    book.expect("console", "POST /enrol/passkey");
    browser.close().await.unwrap();

    // Enrolling has ended the sessions before it.
    ada.0.cookie.clear();
    ada.sign_in(email, &codes[2]).await;
    ada.get("/forgot").await;
    book.forget();
    ada.get("/forgot").await;
    book.expect("console", "GET /forgot");
    ada.post("/forgot", &[("email", "bob@example.com")]).await;
    book.forget();
    ada.post("/forgot", &[("email", email)]).await;
    book.expect("console", "POST /forgot");
    let page = ada.get("/").await;
    assert_eq!(
        page.header("location"),
        format!("/a/{}/overview", account.id)
    );
    book.expect("console", "GET /");
    // The rest of what is the user's own needs a second session and other codes.
    let mut second = Person::new(book.room, server);
    second.sign_in(email, &codes[3]).await;
    ada.get("/me").await;
    book.forget();
    for path in ["/me", "/api", "/api/openapi.json"] {
        ada.get(path).await;
        book.expect("console", &format!("GET {path}"));
    }
    ada.done("/me/sessions/end", &[]).await;
    book.expect("console", "POST /me/sessions/end");
}

/// The pages about an account's data.
async fn account_pages(book: &mut Book<'_>, ada: &mut Person, id: &str) {
    let at = |path: &str| format!("/a/{id}{path}");
    for path in [
        "/overview",
        "/requests",
        "/events",
        "/people",
        "/people/deletions",
        "/dictionary",
        "/quarantine",
        "/people/export",
        "/events/export",
    ] {
        ada.get(&at(path)).await;
        book.expect("console", &format!("GET /a/{{account}}{path}"));
    }
    let form = [("by", "identity"), ("value", "bob")];
    let found = ada.post(&at("/people"), &form).await;
    book.expect("console", "POST /a/{account}/people");
    let beginning = at("/people/");
    let key = match found.header("location").strip_prefix(&beginning) {
        Some(key) => key.to_owned(),
        None => linked(&found, &beginning),
    };
    let person = at(&format!("/people/{key}"));
    let page = "/a/{account}/people/{key}";
    ada.get(&person).await;
    book.expect("console", &format!("GET {page}"));
    ada.get(&format!("{person}/property?name=Plan")).await;
    book.expect("console", &format!("GET {page}/property"));
    let change = [("name", "Plan"), ("kind", "text"), ("value", "tin")];
    ada.done(&format!("{person}/property"), &change).await;
    book.expect("console", &format!("POST {page}/property"));
    ada.get(&format!("{person}/export")).await;
    book.expect("console", &format!("GET {page}/export"));
    ada.get(&format!("{person}/delete")).await;
    book.expect("console", &format!("GET {page}/delete"));
    let reason = ("reason", "asked by telephone");
    ada.get(&format!("{person}/reveal")).await;
    book.expect("console", &format!("GET {page}/reveal"));
    let revealed = ada.post(&format!("{person}/reveal"), &[reason]).await;
    assert_eq!(revealed.status, 200, "{}", revealed.body);
    book.expect("console", &format!("POST {page}/reveal"));
    ada.get(&format!("{person}/restriction")).await;
    book.expect("console", &format!("GET {page}/restriction"));
    let restrict = [("act", "restrict"), reason];
    ada.done(&format!("{person}/restriction"), &restrict).await;
    book.expect("console", &format!("POST {page}/restriction"));
    let lift = [("act", "lift"), reason];
    ada.done(&format!("{person}/restriction"), &lift).await;
    // One form does both.
    let left = book.left();
    assert_eq!(left[0]["action"], "person.restriction_lifted", "{left:?}");
    let consent = [("consent", "yes"), reason];
    ada.done(&format!("{person}/delete"), &consent).await;
    book.expect("console", &format!("POST {page}/delete"));
    let listed = ada.get(&at("/people/deletions")).await;
    let deletion = between(&listed.body, "name=\"id\" value=\"", "\"").unwrap();
    ada.done(&at("/people/deletions"), &[("id", deletion)])
        .await;
    book.expect("console", "POST /a/{account}/people/deletions");

    let property = at("/dictionary/property");
    ada.get(&format!("{property}?of=person&name=Size")).await;
    book.expect("console", "GET /a/{account}/dictionary/property");
    let class = [
        ("of", "person"),
        ("name", "Size"),
        ("class", "none"),
        ("mask", "partial"),
    ];
    ada.done(&property, &class).await;
    book.expect("console", "POST /a/{account}/dictionary/property");

    ada.get(&at("/dictionary/event?name=Bought")).await;
    book.expect("console", "GET /a/{account}/dictionary/event");
    let define = [
        ("act", "define"),
        ("event", "Bought"),
        ("properties", "What, Price"),
    ];
    ada.done(&at("/dictionary"), &define).await;
    book.expect("console", "POST /a/{account}/dictionary");
    let page = ada.get(&at("/quarantine")).await;
    book.forget();
    let record = linked(&page, &at("/quarantine/"));
    ada.get(&at(&format!("/quarantine/{record}"))).await;
    book.expect("console", "GET /a/{account}/quarantine/{record}");
    let delete = [("act", "delete"), ("record", record.as_str())];
    ada.done(&at("/quarantine"), &delete).await;
    // One form does both.
    let left = book.left();
    assert_eq!(left[0]["action"], "quarantine.deleted", "{left:?}");
    let page = ada.get(&at("/quarantine")).await;
    book.forget();
    let record = linked(&page, &at("/quarantine/"));
    let replay = [("act", "replay"), ("record", record.as_str())];
    ada.done(&at("/quarantine"), &replay).await;
    book.expect("console", "POST /a/{account}/quarantine");
}

/// The settings of an account.
async fn settings(book: &mut Book<'_>, ada: &mut Person, id: &str) {
    let at = |path: &str| format!("/a/{id}/settings{path}");
    let bea = [
        ("act", "invite"),
        ("emails", "bea@example.com"),
        ("role", "member"),
    ];
    let bea: Vec<(&str, &str)> = bea.into_iter().chain([("confirm", "yes")]).collect();
    ada.get(&at("/users")).await;
    book.expect("console", "GET /a/{account}/settings/users");
    ada.done(&at("/users"), &bea).await;
    book.expect("console", "POST /a/{account}/settings/users");
    ada.get(&at("/users/user?email=bea%40example.com")).await;
    book.expect("console", "GET /a/{account}/settings/users/user");
    let reset = [("act", "reset"), ("email", "bea@example.com")];
    ada.done(&at("/users/sign-in"), &reset).await;
    book.expect("console", "POST /a/{account}/settings/users/sign-in");
    ada.get(&at("/users/outbox")).await;
    book.expect("console", "GET /a/{account}/settings/users/outbox");
    ada.get(&at("/audit")).await;
    book.expect("console", "GET /a/{account}/settings/audit");
    ada.get(&at("/audit/download?format=jsonl")).await;
    book.expect("console", "GET /a/{account}/settings/audit/download");
    ada.get(&at("/security")).await;
    book.expect("console", "GET /a/{account}/settings/security");
    let networks = [("what", "add"), ("networks", "198.51.100.0/24 office")];
    let changed = ada.post(&at("/security"), &networks).await;
    assert_eq!(changed.status, 303, "{}", changed.body);
    book.expect("console", "POST /a/{account}/settings/security");
    ada.get(&at("/roles")).await;
    book.expect("console", "GET /a/{account}/settings/roles");
    ada.get(&at("/roles/edit")).await;
    book.expect("console", "GET /a/{account}/settings/roles/edit");
    let role = [("new", "yes"), ("name", "Analyst"), ("analysis", "read")];
    ada.done(&at("/roles/edit"), &role).await;
    book.expect("console", "POST /a/{account}/settings/roles/edit");
    ada.done(&at("/roles"), &[("name", "Analyst")]).await;
    book.expect("console", "POST /a/{account}/settings/roles");
    ada.get(&at("/credentials")).await;
    book.expect("console", "GET /a/{account}/settings/credentials");
    let make = [("act", "make"), ("name", "third"), ("scope", "upload")];
    ada.post(&at("/credentials"), &make).await;
    book.expect("console", "POST /a/{account}/settings/credentials");

    // What is beyond the role.
    let drops = ada.0.get(&format!("/a/{id}/drops")).await.unwrap();
    assert_eq!(drops.status, 403);
    book.expect_failure("a page beyond the role", "access.refused", "refused");
}

/// The pages about the installation.
async fn installation_pages(book: &mut Book<'_>, server: &Server, link: &str) {
    let mut operator = Person::new(book.room, server);
    operator.join(link, "op@example.com").await;
    be_dropped(book.room, server).await;
    book.forget();
    for path in ["/drops", "/storage", "/drops/samples?reason=unknown_url"] {
        operator.get(&format!("/a/0{path}")).await;
        let path = path.split('?').next().unwrap();
        book.expect("console", &format!("GET /a/{{account}}{path}"));
    }
    operator
        .done("/a/0/drops", &[("reason", "unknown_url")])
        .await;
    book.expect("console", "POST /a/{account}/drops");
}

/// What a user does with the own password and second factors, last: it ends sessions.
async fn own(book: &mut Book<'_>, ada: &mut Person) {
    ada.get("/me").await;
    book.forget();
    ada.post(
        "/me/password",
        &[("old", "wrong"), ("new", "another lamp beside walnuts")],
    )
    .await;
    book.expect_failure("a wrong present password", "password.set", "refused");
    let new = "another lamp beside nine walnuts";
    ada.done("/me/password", &[("old", PASSWORD), ("new", new)])
        .await;
    book.expect("console", "POST /me/password");
    ada.get("/me").await;
    let made = ada.post("/me/recovery", &[]).await;
    assert_eq!(made.status, 200, "{}", made.body);
    book.expect("console", "POST /me/recovery");
    ada.get("/me").await;
    ada.done("/me/factors/remove", &[]).await;
    book.expect("console", "POST /me/factors/remove");
}
