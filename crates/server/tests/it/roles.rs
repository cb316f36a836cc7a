//! What each role opens in a real browser and what it does not; and what an Admin does there that
//! wants care: a step-up, a deletion to its end, an allowlist that would lock them out.

use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::browser::Browser;
use crate::console::origin;
use crate::harness::{Account, Installation, Server, peers};
use crate::pages::{faults, furnish};
use crate::visitor::{Visitor, code};

/// How the paths of files end: a browser opens no page for one.
pub(crate) const FILES: [&str; 4] = ["/download", "/export", "/active", "/history"];
/// Which role opens which page, as it is reviewed.
const MATRIX: &str = include_str!("../../../web/authz_pages.txt");
/// The rights of the role that the account made itself, and the pages that they open.
const DESK: (&str, &str) = ("desk", "people=read,quarantine=read");
const DESK_PAGES: [&str; 6] = [
    "/a/{account}/overview",
    "/a/{account}/people",
    "/a/{account}/people/found",
    "/a/{account}/people/{key}",
    "/a/{account}/quarantine",
    "/a/{account}/quarantine/{record}",
];

fn now() -> u64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    since.unwrap().as_secs()
}

/// The pages that are shown, each with the roles that may open it.
fn matrix() -> Vec<(String, Vec<String>)> {
    let mut lines = MATRIX.lines();
    let roles: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    let mut pages = Vec::new();
    for line in lines.filter(|it| it.starts_with("GET ")) {
        let line = line.replace("yes, fresh", "yes");
        let mut words = line.split_whitespace().skip(1);
        let path = words.next().unwrap().to_owned();
        let may = roles.iter().zip(words).filter(|(_, word)| *word == "yes");
        pages.push((path, may.map(|(role, _)| (*role).to_owned()).collect()));
    }
    pages
}

/// What pages are about.
struct Subjects {
    account: String,
    key: String,
    record: String,
}

impl Subjects {
    async fn of(account: &Account, admin: &mut Visitor) -> Self {
        let base = format!("/a/{}", account.id);
        let first = async |visitor: &mut Visitor, list: &str| {
            let page = visitor.get(&format!("{base}/{list}")).await.unwrap().body;
            let before = format!("href=\"{base}/{list}/");
            let links = page.split(&before).skip(1);
            let ids = links.filter_map(|it| it.get(..32));
            let mut ids = ids.filter(|it| it.bytes().all(|byte| byte.is_ascii_hexdigit()));
            ids.next().expect("a list has something in it").to_owned()
        };
        Self {
            account: account.id.clone(),
            key: first(admin, "people").await,
            record: first(admin, "quarantine").await,
        }
    }

    fn fill(&self, path: &str, account: &str) -> String {
        let path = path
            .replace("{account}", account)
            .replace("{key}", &self.key)
            .replace("{record}", &self.record);
        let query = match path.rsplit('/').next() {
            Some("event") => "?name=Charged",
            Some("property") if path.contains("/dictionary/") => "?of=person&name=Email",
            Some("user") if account == "0" => "?email=operator%40example.com",
            Some("user") => "?email=admin%40example.com",
            Some("samples") => "?reason=unknown_url",
            _ => "",
        };
        format!("{path}{query}")
    }
}

/// Puts somebody's session into the browser.
async fn wear(browser: &Browser, server: &Server, visitor: &Visitor) {
    let (name, value) = visitor.cookie.split_once('=').unwrap();
    browser.cdp("Network.clearBrowserCookies", json!({})).await;
    let cookie = json!({
        "name": name, "value": value, "url": origin(server), "path": "/", "secure": true,
        "httpOnly": true, "sameSite": "Lax",
    });
    let set = browser.cdp("Network.setCookie", cookie).await;
    assert_eq!(set["success"], true, "{set}");
}

/// The status and the heading of each page, asked for by the page that is shown.
async fn ask(browser: &Browser, paths: &[String]) -> Vec<(u64, String)> {
    let script = "const done = arguments[arguments.length - 1]; \
        Promise.all(arguments[0].map(async (path) => { \
          const answer = await fetch(path, {redirect: 'manual'}); \
          const page = new DOMParser().parseFromString(await answer.text(), 'text/html'); \
          return [answer.status, page.querySelector('h1')?.textContent ?? '']; \
        })).then(done, (error) => done([[0, String(error)]]));";
    let arguments = vec![json!(paths)];
    let found = browser.client.execute_async(script, arguments).await;
    serde_json::from_value(found.unwrap()).unwrap()
}

async fn invited(
    room: &Installation,
    server: &Server,
    account: &str,
    role: &str,
) -> (Visitor, String) {
    let email = format!("{role}@example.com");
    let words = [
        "user",
        "invite",
        &email,
        "--role",
        role,
        "--account",
        account,
    ];
    let made = room.json(&words);
    let mut visitor = Visitor::new(&room.ca(), &origin(server), None).unwrap();
    let link = made["setup_url"].as_str().unwrap();
    let secret = visitor.join(link, &email, now()).await.unwrap();
    (visitor, secret)
}

#[tokio::test]
async fn each_role_opens_its_pages_and_is_refused_the_others() {
    let axe = std::fs::read_to_string(peers().join("node_modules/axe-core/axe.min.js")).unwrap();
    let room = Installation::new();
    let account = room.account("Shop");
    let server = room.serve();
    furnish(&room, &server, &account).await;
    let (desk, rights) = DESK;
    room.json(&["role", "set", desk, rights, "--account", &account.id]);
    let mut people: BTreeMap<&str, Visitor> = BTreeMap::new();
    let roles = [
        "admin",
        "creator",
        "member",
        "auditor",
        "privacy_officer",
        desk,
    ];
    for role in roles {
        let (visitor, _) = invited(&room, &server, &account.id, role).await;
        people.insert(role, visitor);
    }
    people.insert("operator", invited(&room, &server, "0", "operator").await.0);
    let subjects = Subjects::of(&account, people.get_mut("admin").unwrap()).await;

    let browser = Browser::start(&room).await;
    let mut problems = Vec::new();
    let mut opened = 0;
    for (role, visitor) in &people {
        let place = if *role == "operator" {
            "0"
        } else {
            &subjects.account
        };
        wear(&browser, &server, visitor).await;
        let mut others = Vec::new();
        for (path, may) in matrix() {
            let may = match *role == desk {
                true => DESK_PAGES.contains(&path.as_str()),
                false => may.iter().any(|it| it == role),
            };
            let filled = subjects.fill(&path, place);
            let is_file = FILES.iter().any(|it| path.ends_with(it));
            if !may || is_file {
                others.push((filled, may));
                continue;
            }
            browser.open(&format!("{}{filled}", origin(&server))).await;
            let heading = browser.text("h1").await;
            let is_open = browser.path().await == filled.split('?').next().unwrap();
            if !is_open || ["Not allowed", "Not found"].contains(&heading.as_str()) {
                problems.push(format!("{role} {filled}: {heading}"));
            }
            for fault in faults(&browser, &axe).await {
                problems.push(format!("{role} {filled}: {fault}"));
            }
            for line in browser.said().await {
                problems.push(format!("{role} {filled}: {line}"));
            }
            opened += 1;
        }
        let paths: Vec<String> = others.iter().map(|(path, _)| path.clone()).collect();
        let answers = ask(&browser, &paths).await;
        assert_eq!(answers.len(), others.len(), "{answers:?}");
        for ((path, may), (status, heading)) in others.iter().zip(answers) {
            let is_right = match may {
                true => status == 200,
                false => status == 403 && heading == "Not allowed",
            };
            if !is_right {
                problems.push(format!("{role} {path}: {status} {heading}"));
            }
        }
        // What the browser says of the refusals is that they were refused.
        browser.said().await;
    }
    // One refusal stands for all: it is sound too.
    wear(&browser, &server, &people["member"]).await;
    let refused = format!("{}/a/{}/settings/users", origin(&server), account.id);
    browser.open(&refused).await;
    assert_eq!(browser.text("h1").await, "Not allowed");
    problems.extend(faults(&browser, &axe).await);
    browser.close().await.unwrap();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(opened >= 50, "{opened} pages were opened");
}

/// A server whose clock a file moves.
fn moved_by(file: &std::path::Path) -> Installation {
    let library = ["x86_64", "aarch64"]
        .map(|it| format!("/usr/lib/{it}-linux-gnu/faketime/libfaketime.so.1"));
    let library = library.iter().find(|it| std::path::Path::new(it).exists());
    let library = library.expect("libfaketime is installed (Debian: faketime)");
    std::fs::write(file, "+0").unwrap();
    let words = [
        "env".to_owned(),
        format!("LD_PRELOAD={library}"),
        format!("FAKETIME_TIMESTAMP_FILE={}", file.display()),
        "FAKETIME_NO_CACHE=1".to_owned(),
        "DONT_FAKE_MONOTONIC=1".to_owned(),
    ];
    Installation::within(words.into(), &[])
}

/// Presses the button of the form that has this field.
async fn send_form(browser: &Browser, field: &str) {
    browser.press(&format!("form:has({field}) button")).await;
}

#[tokio::test]
async fn an_admin_does_with_care_what_wants_care() {
    let axe = std::fs::read_to_string(peers().join("node_modules/axe-core/axe.min.js")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    let room = moved_by(&clock);
    let account = room.account("Shop");
    let server = room.serve();
    furnish(&room, &server, &account).await;
    room.json(&["job", "run", "flush"]);
    let (mut ada, secret) = invited(&room, &server, &account.id, "admin").await;
    let browser = Browser::start(&room).await;
    wear(&browser, &server, &ada).await;
    let base = format!("{}/a/{}", origin(&server), account.id);
    let mut problems: Vec<String> = Vec::new();

    // E11: a script finds nothing of the session, wherever it looks.
    browser.open(&format!("{base}/overview")).await;
    let held = "return [document.cookie, localStorage.length, sessionStorage.length]";
    let held = browser.client.execute(held, Vec::new()).await.unwrap();
    assert_eq!(held, json!(["", 0, 0]));

    // Step-up: eleven minutes later the page of a deletion asks for the second factor again.
    std::fs::write(&clock, "+660").unwrap();
    let subjects = Subjects::of(&account, &mut ada).await;
    let person = format!("/a/{}/people/{}", account.id, subjects.key);
    browser.open(&format!("{}{person}", origin(&server))).await;
    let name = browser.text("h1").await;
    browser.press(&format!("a[href='{person}/delete']")).await;
    browser.arrive("/sign-in/factor").await;
    problems.extend(faults(&browser, &axe).await);
    browser.fill("code", "000000").await;
    send_form(&browser, "#code").await;
    assert!(browser.text("[role=alert]").await.contains("wrong"));
    browser
        .fill("code", &code(&secret, now() + 660).unwrap())
        .await;
    send_form(&browser, "#code").await;
    browser.arrive(&format!("{person}/delete")).await;

    // A deletion: the dry run, the tick, and its state until the end.
    problems.extend(faults(&browser, &axe).await);
    browser.press("button.danger").await;
    assert!(
        browser
            .text("#consent-error")
            .await
            .contains("cannot be undone")
    );
    browser.fill("reason", "asked for on 29 November").await;
    browser.press("input[name=consent]").await;
    browser.press("button.danger").await;
    browser
        .arrive(&format!("/a/{}/people/deletions", account.id))
        .await;
    assert!(
        browser
            .text("tr[aria-current]")
            .await
            .contains("Hidden, waiting")
    );
    browser.open(&format!("{base}/people")).await;
    let list = browser.client.source().await.unwrap();
    assert!(!list.contains(&subjects.key), "{name} is hidden at once");
    room.json(&["job", "run", "deletion"]);
    browser.open(&format!("{}{person}", origin(&server))).await;
    browser
        .arrive(&format!("/a/{}/people/deletions", account.id))
        .await;
    let row = browser.text("tr[aria-current]").await;
    assert!(row.contains("Done"), "{row}");
    problems.extend(faults(&browser, &axe).await);

    // The allowlist: it is not switched on without one's own address in it.
    let security = format!("{base}/settings/security");
    browser.open(&security).await;
    browser.fill("networks", "198.51.100.0/24 Elsewhere").await;
    send_form(&browser, "#networks").await;
    browser.wait("input[value='198.51.100.0/24']").await;
    browser.press("input[name=console]").await;
    send_form(&browser, "input[name=console]").await;
    let said = browser.text("[role=alert]").await;
    assert!(
        said.contains("127.0.0.1") || said.contains("your own"),
        "{said}"
    );
    problems.extend(faults(&browser, &axe).await);
    assert_eq!(switches(&room, &account), [false, false]);
    let said = browser.said().await;
    let said: Vec<String> = said.into_iter().filter(|it| !it.contains("422")).collect();
    browser.close().await.unwrap();
    assert!(
        problems.is_empty() && said.is_empty(),
        "{problems:?} {said:?}"
    );
}

/// Whether the console and the API ask the allowlist.
fn switches(room: &Installation, account: &Account) -> [bool; 2] {
    let shown = room.json(&["access", "show", "--account", &account.id]);
    ["console", "api"].map(|it| shown[it] == Value::Bool(true))
}
