//! D, G, H and the console's halves of B and C: downloads, networks, proxies, injection into pages,
//! files and searches.

use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;
use tokio::io::AsyncWriteExt as _;

use super::{is_alive, reasons};
use crate::client::Client;
use crate::harness::{Account, Installation, Server, files, text};
use crate::raw::{Door, configure};
use crate::visitor::{Shown, Visitor};

/// What people type who would rather be read by something else than a person.
const ODD: [&str; 14] = [
    "' OR '1'='1",
    "'; DROP TABLE events; --",
    "\" OR \"\"=\"",
    "1) UNION SELECT passcode FROM users --",
    "%",
    "_",
    "odd%",
    "../../vol1/x",
    "..\\..\\vol1\\x",
    "/etc/passwd",
    "$ne",
    "{\"$gt\":\"\"}",
    "*)(uid=*",
    "a\\",
];

/// What spreadsheets would run.
const FORMULAS: [&str; 9] = [
    "=cmd|'/c calc'!A1",
    "+1+1",
    "-1+1|cmd",
    "@SUM(A1:A9)",
    "\t=1+1",
    "\r=1+1",
    "\u{ff1d}1+1",
    "\u{ff20}SUM(1)",
    "=HYPERLINK(\"https://evil.example\",\"x\")",
];

fn now() -> u64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    since.unwrap().as_secs()
}

fn console(server: &Server) -> String {
    format!("https://localhost:{}", server.address("console").port())
}

/// An account, and the link of its first Admin.
fn shop(room: &Installation, name: &str) -> (Account, String) {
    let made = room.json(&["account", "create", name]);
    let text = |field: &str| made[field].as_str().unwrap().to_owned();
    let account = Account {
        id: text("account_id"),
        passcode: text("passcode"),
        sdk_token: text("sdk_token"),
    };
    (account, text("setup_url"))
}

/// Somebody at the console, from 127.0.0.1 or another address of the same machine.
fn visitor(room: &Installation, server: &Server, last: u8) -> Visitor {
    let peer = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
    Visitor::new(&room.ca(), &console(server), Some(peer)).unwrap()
}

async fn joined(room: &Installation, server: &Server, link: &str, email: &str) -> Visitor {
    let mut visitor = visitor(room, server, 1);
    visitor.join(link, email, now()).await.unwrap();
    visitor
}

/// Where somebody without a session is sent.
fn is_sent_to_sign_in(shown: &Shown) -> bool {
    shown.status == 303 && shown.header("location").starts_with("/sign-in")
}

#[tokio::test]
async fn d03_a_download_is_for_whoever_may_now_and_for_nobody_else() {
    let room = Installation::new();
    let (account, link) = shop(&room, "shop");
    let (other, other_link) = shop(&room, "other");
    let server = room.serve();
    let mut ada = joined(&room, &server, &link, "ada@example.com").await;
    let mut eve = joined(&room, &server, &other_link, "eve@example.com").await;
    let place = ["--account", &account.id];
    let invite = ["user", "invite", "bob@example.com", "--role", "admin"];
    let invited = room.json(&[&invite[..], &place].concat());
    let invited = invited["setup_url"].as_str().unwrap();
    let mut bob = joined(&room, &server, invited, "bob@example.com").await;
    let paths = [
        "settings/audit/download?format=jsonl",
        "events/export?format=csv",
        "people/export?format=jsonl",
        "people/active?sort=person",
    ];
    for path in paths {
        let path = format!("/a/{}/{path}", account.id);
        for who in [&mut ada, &mut bob] {
            assert_eq!(who.get(&path).await.unwrap().status, 200, "{path}");
        }
        // Of another account, and with another account's name in the address.
        assert_eq!(eve.get(&path).await.unwrap().status, 404, "{path}");
        let edited = path.replace(&account.id, &other.id);
        assert_eq!(ada.get(&edited).await.unwrap().status, 404, "{edited}");
        // Nothing in the address is worth a session.
        let mut nobody = visitor(&room, &server, 1);
        for path in [path.clone(), format!("{path}&session={}", ada.cookie)] {
            assert!(
                is_sent_to_sign_in(&nobody.get(&path).await.unwrap()),
                "{path}"
            );
        }
    }
    // The role goes, and with it the file; what was open before stays no longer either.
    room.json(&[&["user", "revoke", "bob@example.com"][..], &place].concat());
    let old = ada.clone();
    ada.get("/me").await.unwrap();
    let out = ada.post("/sign-out", &[]).await.unwrap();
    assert!(is_sent_to_sign_in(&out));
    for path in paths {
        let path = format!("/a/{}/{path}", account.id);
        assert!(is_sent_to_sign_in(&bob.get(&path).await.unwrap()), "{path}");
        let after = old.clone().get(&path).await.unwrap();
        assert!(is_sent_to_sign_in(&after), "{path}");
    }
}

/// Headers by which one might say that one is somebody else.
fn pretending(request: reqwest::RequestBuilder, address: &str) -> reqwest::RequestBuilder {
    request
        .header("X-Forwarded-For", address)
        .header("X-Forwarded-For", format!("{address}, {address}"))
        .header("Forwarded", format!("for={address}"))
        .header("X-Real-IP", address)
        .header("True-Client-IP", address)
        .header("CF-Connecting-IP", address)
}

async fn api_status(server: &Server, room: &Installation, account: &Account, last: u8) -> u16 {
    let bundle = std::fs::read(room.ca()).unwrap();
    let http = reqwest::Client::builder()
        .tls_certs_only(reqwest::Certificate::from_pem_bundle(&bundle).unwrap())
        .local_address(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)))
        .build()
        .unwrap();
    let request = http
        .post(format!("https://{}/1/upload", server.address("api")))
        .header("X-CleverTap-Account-Id", &account.id)
        .header("X-CleverTap-Passcode", &account.passcode)
        .body(r#"{"d":[]}"#);
    let answer = pretending(request, "127.0.0.1").send().await.unwrap();
    answer.status().as_u16()
}

#[tokio::test]
async fn g01_an_address_is_what_the_connection_says_unless_a_trusted_proxy_speaks() {
    let room = Installation::new();
    let (account, link) = shop(&room, "shop");
    configure(&room, "trusted_proxies", "[\"127.0.0.3\"]");
    let server = room.serve();
    let mut ada = joined(&room, &server, &link, "ada@example.com").await;
    let change = ["access", "change", "--account", &account.id];
    let on = ["--add", "127.0.0.1", "--console", "on", "--api", "on"];
    room.json(&[&change[..], &on].concat());
    assert_eq!(ada.get("/me").await.unwrap().status, 200);
    assert_eq!(api_status(&server, &room, &account, 1).await, 200);
    assert!(matches!(
        api_status(&server, &room, &account, 2).await,
        401 | 403
    ));
    // The proxy's word is taken, and of its words the last that is not a proxy's.
    assert_eq!(api_status(&server, &room, &account, 3).await, 200);
    let by_proxy = async |said: &str| {
        let mut proxied = visitor(&room, &server, 3);
        proxied.cookie.clone_from(&ada.cookie);
        let request = proxied.request("GET", "/me").unwrap();
        let request = request.header("X-Forwarded-For", said);
        proxied.send(request).await.unwrap()
    };
    for good in ["127.0.0.1", "6.6.6.6, 127.0.0.1", "127.0.0.1, 127.0.0.3"] {
        assert_eq!(by_proxy(good).await.status, 200, "{good}");
    }
    // Whoever is not on the list has no session, and takes the one that was there with them.
    let mut elsewhere = visitor(&room, &server, 2);
    elsewhere.cookie.clone_from(&ada.cookie);
    let request = elsewhere.request("GET", "/me").unwrap();
    let shown = elsewhere.send(pretending(request, "127.0.0.1")).await;
    assert!(is_sent_to_sign_in(&shown.unwrap()));
    assert!(
        is_sent_to_sign_in(&ada.get("/me").await.unwrap()),
        "it has ended"
    );
    // The way back in is the host's.
    room.json(&["access", "unlock", "--account", &account.id]);
    assert_eq!(api_status(&server, &room, &account, 2).await, 200);
}

#[tokio::test]
async fn g04_a_proxy_header_before_tls_closes_the_connection() {
    let room = Installation::new();
    let server = room.serve();
    let second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\x10\0\x20\xfb";
    let headers: [&[u8]; 3] = [
        b"PROXY TCP4 203.0.113.7 127.0.0.1 40000 8443\r\n",
        b"PROXY UNKNOWN\r\n",
        second,
    ];
    for plane in ["collect", "api", "console"] {
        let door = Door::of(&room, &server, plane);
        for header in headers {
            let mut tcp = door.tcp().await;
            tcp.write_all(header).await.unwrap();
            let mut said = Vec::new();
            // Closed well or not: what matters is that nothing was said.
            drop(tokio::io::AsyncReadExt::read_to_end(&mut tcp, &mut said).await);
            // At most the alert that this is no handshake.
            assert!(said.len() <= 7, "{plane}: {said:?}");
        }
    }
    assert!(is_alive(&server));
    assert!(!reasons(&room).is_empty(), "they are on record");
}

/// A CSV file as Python reads it, and so as others do.
fn read_csv(file: &Path) -> Vec<Vec<String>> {
    let script = "import csv, json, sys; sys.stdout.reconfigure(errors='surrogatepass'); \
                  print(json.dumps(list(csv.reader(open(sys.argv[1], newline='', \
                  encoding='utf-8')))))";
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(file)
        .output();
    let output = output.expect("python3 is installed");
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn h03_files_hold_what_was_sent_and_nothing_that_a_spreadsheet_runs() {
    let room = Installation::new();
    let (account, link) = shop(&room, "shop");
    let server = room.serve();
    let odd: Vec<&str> = FORMULAS.iter().chain(&ODD).copied().collect();
    let mut records = Vec::new();
    for value in &odd {
        records.push(json!({"type": "event", "identity": format!("i{value}"),
            "evtName": format!("{value} "), "evtData": {"Note": value}}));
        records.push(json!({"type": "event", "identity": value, "evtName": value,
            "evtData": {"Note": format!("{value},\"\r\nx")}}));
        records.push(json!({"type": "profile", "identity": value,
            "profileData": {"Name": value, "Quote": format!("{value},\"\r\nx")}}));
    }
    let client = server.client(&account);
    let answer = client.post("/1/upload", json!({ "d": records })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut ada = joined(&room, &server, &link, "ada@example.com").await;
    // Names of passcodes and labels of networks are in descriptions of the audit log.
    for (number, value) in FORMULAS.iter().enumerate() {
        let label = ["--label", value];
        let add = [
            "--add",
            &format!("192.0.2.{number}"),
            "--account",
            &account.id,
        ];
        let words = [&["access", "change"], &add[..], &label].concat();
        // Some are no names, which is an entry too.
        drop(room.run(&words));
    }
    let sent = room.query(&account, "SELECT name, \"p:Note\" AS note FROM events");
    let folder = tempfile::tempdir().unwrap();
    let mut cells = 0;
    for (name, path, column) in [
        ("events.csv", "events/export?format=csv", Some("name")),
        ("people.csv", "people/export?format=csv", None),
        ("active.csv", "people/active?sort=person", None),
        ("audit.csv", "settings/audit/download?format=csv", None),
        ("dictionary.csv", "dictionary?format=csv", Some("event")),
        ("quarantine.csv", "quarantine?format=csv", None),
    ] {
        let shown = ada.get(&format!("/a/{}/{path}", account.id)).await.unwrap();
        assert_eq!(shown.status, 200, "{path}");
        assert!(
            shown
                .header("content-disposition")
                .starts_with("attachment")
        );
        let file = folder.path().join(name);
        std::fs::write(&file, &shown.body).unwrap();
        let rows = read_csv(&file);
        let width = rows[0].len();
        let mut names: Vec<String> = Vec::new();
        for row in &rows {
            assert_eq!(row.len(), width, "{name}: {row:?}");
            for cell in row {
                let is_number = cell.parse::<f64>().is_ok();
                assert!(
                    is_number || !model::spreadsheet::runs(cell),
                    "{name}: {cell:?}"
                );
                cells += 1;
            }
        }
        let Some(place) = column.and_then(|it| rows[0].iter().position(|cell| cell == it)) else {
            assert!(column.is_none(), "{name}: {:?}", rows[0]);
            continue;
        };
        for row in &rows[1..] {
            let cell = &row[place];
            let bare = cell.strip_prefix('\'').unwrap_or(cell);
            let is_defused = bare.len() < cell.len() && model::spreadsheet::runs(bare);
            names.push(if is_defused {
                bare.to_owned()
            } else {
                cell.clone()
            });
        }
        let mut expect: Vec<&str> = sent.iter().filter_map(|it| it["name"].as_str()).collect();
        if name == "dictionary.csv" {
            expect.sort_unstable();
            expect.dedup();
        }
        expect.sort_unstable();
        names.sort_unstable();
        assert_eq!(names, expect, "{name}");
    }
    assert!(cells > 300, "{cells}");
}

#[tokio::test]
async fn h05_odd_names_are_names_and_nothing_else() {
    let room = Installation::new();
    let (account, link) = shop(&room, "shop");
    let server = room.serve();
    let client = server.client(&account);
    let mut records = vec![
        json!({"type": "event", "identity": "odd one", "evtName": "Plain", "evtData": {"Note": "odd"}}),
        json!({"type": "profile", "identity": "odd one", "profileData": {"Name": "odd"}}),
    ];
    for value in ODD {
        records.push(json!({"type": "event", "identity": value, "evtName": value,
            "evtData": {"Note": value, value: value}}));
        records.push(json!({"type": "profile", "identity": value, "profileData": {"Name": value}}));
    }
    client.upload(records).await;
    room.json(&["job", "run", "flush"]);
    let mut ada = joined(&room, &server, &link, "ada@example.com").await;
    let base = format!("/a/{}", account.id);
    for value in ODD {
        // By the API: exactly this one.
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("identity", value)
            .finish()
            .replace('+', "%20");
        let found = client.get(&format!("/1/profile.json?{query}")).await;
        let record = &found.body["record"];
        assert_eq!(record["identity"], value, "{found:?}");
        assert_eq!(record["name"], value, "{found:?}");
        // By the pages: a person by identity, people by a property, events by a name and a filter.
        ada.get(&format!("{base}/people")).await.unwrap();
        let found = [("by", "identity"), ("value", value)];
        let found = ada.post(&format!("{base}/people"), &found).await.unwrap();
        assert_eq!(found.status, 303, "{value}");
        let person = ada.get(found.header("location")).await.unwrap();
        assert_eq!(person.status, 200, "{value}");
        ada.get(&format!("{base}/people")).await.unwrap();
        let having = [("by", "property"), ("property", "Name"), ("value", value)];
        let having = ada.post(&format!("{base}/people"), &having).await.unwrap();
        assert!(
            having.body.contains("1 person found"),
            "{value}: {}",
            having.body
        );
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("event", value)
            .append_pair("name", value)
            .append_pair("operator", "is")
            .append_pair("value", value)
            .finish();
        let events = ada.get(&format!("{base}/events?{query}")).await.unwrap();
        assert_eq!(events.status, 200, "{value}");
        assert_eq!(total(&events), Some("1 event"), "{value}: {}", events.body);
    }
    // What none of them is: nobody, whatever it would match as a pattern or a condition.
    for value in [
        "odd",
        "dd_one",
        "ODD ONE",
        "odd%one",
        "' OR ''='",
        "odd one' --",
    ] {
        let found = [("by", "identity"), ("value", value)];
        ada.get(&format!("{base}/people")).await.unwrap();
        let found = ada.post(&format!("{base}/people"), &found).await.unwrap();
        assert_eq!(found.status, 422, "{value}");
    }
    assert_eq!(room.count(&account, "SELECT count(*) FROM events"), 15);
    // An identity is never a file.
    for path in files(&room.root()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name != "x" && name != "passwd", "{}", path.display());
    }
}

/// The number of events that the page says there were.
fn total(shown: &Shown) -> Option<&str> {
    let (_, rest) = shown.body.split_once("id=\"trend-h\"")?;
    crate::visitor::between(rest, "<p>", "</p>")
}

#[tokio::test]
async fn h06_no_plane_lends_its_credentials_to_another_origin() {
    let room = Installation::new();
    let (account, link) = shop(&room, "shop");
    let server = room.serve();
    let ada = joined(&room, &server, &link, "ada@example.com").await;
    let own = console(&server);
    let mut seen = 0;
    for plane in ["collect", "api", "console"] {
        let base = format!("https://localhost:{}", server.address(plane).port());
        let mut client = Visitor::new(&room.ca(), &base, None).unwrap();
        client.cookie.clone_from(&ada.cookie);
        let overview = format!("/a/{}/overview", account.id);
        for (method, path) in [
            ("GET", "/a?t=96&type=push"),
            ("OPTIONS", "/a"),
            ("OPTIONS", "/a1"),
            ("OPTIONS", "/1/upload"),
            ("POST", "/1/upload"),
            ("GET", "/1/profile.json?identity=x"),
            ("GET", overview.as_str()),
            ("OPTIONS", overview.as_str()),
        ] {
            for origin in [
                "null",
                "https://evil.example",
                &format!("{own}.evil.example"),
                &own.replace("localhost", "localhost.evil.example"),
                &own.replace("localhost", "evillocalhost"),
                "http://localhost",
            ] {
                let request = client.request(method, path).unwrap();
                let request = request
                    .header("Origin", origin)
                    .header("Access-Control-Request-Method", "POST")
                    .header("Access-Control-Request-Headers", "x-clevertap-passcode")
                    .header("X-CleverTap-Account-Id", &account.id)
                    .header("X-CleverTap-Passcode", &account.passcode);
                // Silence lends nothing either.
                let Ok(shown) = client.send(request).await else {
                    continue;
                };
                let what = format!("{plane} {method} {path} {origin}: {:?}", shown.headers);
                assert_eq!(
                    shown.header("access-control-allow-credentials"),
                    "",
                    "{what}"
                );
                let allowed = shown.header("access-control-allow-origin");
                assert!(matches!(allowed, "" | "*"), "{what}");
                assert!(plane != "console" || allowed.is_empty(), "{what}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 60, "{seen} answers were looked at");
}

#[tokio::test]
async fn c01_c05_c06_what_was_dropped_is_shown_as_text_and_secrets_are_not_there() {
    let canary = "canary-1c9f4b77";
    let room = Installation::new();
    let server = room.serve();
    let door = Door::of(&room, &server, "collect");
    let paths = [
        "/a%0d%0aSet-Cookie:%20x=y",
        "/<script>alert(1)</script>",
        "/\"},{\"",
        "/%1b[2J",
        "/\u{202e}txt",
        "/\u{2028}",
    ];
    for path in paths {
        let request = format!(
            "GET {path}?token={canary} HTTP/1.1\r\nHost: localhost\r\nCookie: session={canary}\r\n\
             User-Agent: \u{1b}[2J<script>\r\nX-CleverTap-Passcode: {canary}\r\n\r\n"
        );
        assert_eq!(text(&door.say(request).await), "");
    }
    for number in 0..120 {
        let request = format!("GET /word-{number} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(text(&door.say(request).await), "");
    }
    let link = room.printed["setup_url"].as_str().unwrap().to_owned();
    let mut olga = joined(&room, &server, &link, "olga@example.com").await;
    // Every one of them can be looked at, page after page.
    let mut pages = Vec::new();
    let mut next = Some(String::from("/a/0/drops"));
    while let Some(path) = next.take() {
        let shown = olga.get(&path).await.unwrap();
        assert_eq!(shown.status, 200, "{path}");
        next = crate::visitor::between(&shown.body, "rel=\"next\" href=\"", "\"")
            .map(|it| it.replace("&#38;", "&").replace("&amp;", "&"));
        pages.push(shown.body);
        assert!(pages.len() < 20, "pages go on and on");
    }
    let groups = pages.concat();
    for number in 0..120 {
        assert!(groups.contains(&format!(">/word-{number}<")), "{number}");
    }
    for path in [
        "/a/0/drops/samples?reason=unknown_url",
        "/a/0/requests",
        "/a/0/overview",
    ] {
        let shown = olga.get(path).await.unwrap();
        assert_eq!(shown.status, 200, "{path}");
        pages.push(shown.body);
    }
    for page in &pages {
        assert!(!page.contains(canary), "{page}");
        assert!(!page.contains("<script>alert"), "{page}");
        let odd =
            |it: char| (it.is_control() && it != '\n') || matches!(it, '\u{202e}' | '\u{2028}');
        assert!(!page.contains(odd), "{page:?}");
    }
    let csv = olga.get("/a/0/drops?format=csv").await.unwrap();
    assert!(!csv.body.contains(canary) && csv.body.contains("/word-119"));
    let one: Vec<Value> = room.json(&["drops", "list"]).as_array().cloned().unwrap();
    assert!(one.len() >= 126, "{}", one.len());
}

#[tokio::test]
async fn b21_expensive_questions_to_pages_are_answered_or_refused() {
    let room = Installation::new();
    let (account, link) = shop(&room, "shop");
    let (other, other_link) = shop(&room, "other");
    let server = room.serve();
    let events = (0..200).map(|number| {
        json!({"type": "event", "identity": format!("p{number}"), "evtName": "E",
            "evtData": {"Note": format!("{}!", "a".repeat(60))}})
    });
    server.client(&account).upload(events.collect()).await;
    let mut ada = joined(&room, &server, &link, "ada@example.com").await;
    let mut bob = joined(&room, &server, &other_link, "bob@example.com").await;
    let base = format!("/a/{}", account.id);
    let encoded =
        |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pattern = encoded("(a+)+$");
    let many = (0..3_000)
        .map(|it| format!("&user=u{it}%40example.com"))
        .collect::<String>();
    let flood = async {
        for path in [
            format!("{base}/events?name=Note&operator=contains&value={pattern}"),
            format!("{base}/events?name=Note&operator=is&value={pattern}&by=Note"),
            format!("{base}/events?from=1970-01-01&to=9999-12-31&step=hour"),
            format!("{base}/events?from=1970-01-01&step=hour&by=Note&measure=people"),
            format!("{base}/overview?days=366"),
            format!("{base}/settings/audit?from=1970-01-01&to=9999-12-31{many}"),
            format!("{base}/settings/audit?others={}", "a%2C".repeat(3_000)),
            format!("{base}/dictionary?q={pattern}"),
            format!("{base}/dictionary?page=18446744073709551615"),
            format!("{base}/requests?path={pattern}"),
            format!("{base}/quarantine?source={pattern}&code=99999999999"),
        ] {
            let short: String = path.chars().take(120).collect();
            // A head that is too long for any browser is not answered.
            if let Ok(shown) = ada.get(&path).await {
                assert!(shown.status < 500, "{short}: {}", shown.status);
                assert!(shown.body.len() < 4 << 20, "{short}");
            }
        }
    };
    // Somebody of another account opens their pages meanwhile.
    let beside = async {
        for _ in 0..10 {
            let shown = bob.get(&format!("/a/{}/overview", other.id)).await;
            assert_eq!(shown.unwrap().status, 200);
        }
    };
    tokio::join!(flood, beside);
    // A text is no pattern: nothing matches it.
    let path = format!("{base}/events?name=Note&operator=contains&value={pattern}");
    assert_eq!(total(&ada.get(&path).await.unwrap()), Some("0 events"));
    assert!(is_alive(&server));
    let answer = Client::send(server.client(&account).request("GET", "/1/now.json")).await;
    assert_eq!(answer.unwrap().status, 200);
}
