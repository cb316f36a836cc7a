//! Every page of the console, opened in a real browser as the people who may open it: sound for
//! everybody (axe, WCAG 2.2 AA), quiet (no script that is not ours, no error), in light and dark, on a
//! desk and on a phone. `cargo xtask screenshots` keeps the pictures.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use crate::browser::Browser;
use crate::console::{PASSWORD, join, origin, password, reached, sign_out};
use crate::harness::{Account, Installation, Server, peers};
use crate::raw::Door;
use crate::roles::FILES;

/// Pages that a walk opens at most; more would be a page that links to itself under other names.
const PAGES_MAX: usize = 120;
/// Pages of one kind that are opened: they stand for all, whomever and whatever they are about.
const OF_ONE_KIND: usize = 2;

/// What people try in names and values; whatever runs would be an error or a dialog.
const HOSTILE: [&str; 40] = [
    "<script>alert(1)</script>",
    "\"><script>alert(1)</script>",
    "'><img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "javascript:alert(1)",
    "\" onmouseover=\"alert(1)",
    "' autofocus onfocus='alert(1)",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<style>@import'//evil.example'</style>",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}",
    "<a href=javascript:alert(1)>x</a>",
    "<math><mtext></mtext><script>alert(1)</script></math>",
    "\u{2028}alert(1)\u{2029}",
    "<!--><script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "=cmd|'/c calc'!A1",
    "<img src=x onerror=alert`1`>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<object data=javascript:alert(1)>",
    "<embed src=javascript:alert(1)>",
    "<form action=javascript:alert(1)><button>x",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "\"/><svg><animate onbegin=alert(1) attributeName=x>",
    "<template><script>alert(1)</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "</option></select><script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e",
    "';alert(1);//",
    "data:text/html,<script>alert(1)</script>",
    "\u{202e}<b onclick=alert(1)>\u{202c}",
];

/// A shop with a fortnight of traffic, and whatever people try.
pub(crate) async fn furnish(installation: &Installation, server: &Server, account: &Account) {
    let door = Door::of(installation, server, "collect");
    let client = server.client(account);
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_secs();
    let mut records = Vec::new();
    for number in 0_u64..600 {
        let person = number % 40;
        let name =
            ["Product Viewed", "Added to Cart", "Charged", "Searched"][(number % 4) as usize];
        records.push(json!({
            "identity": format!("person-{person}"), "type": "event", "evtName": name,
            "ts": now - (number * 2_011) % (14 * 86_400),
            "evtData": {"Amount": number % 97, "Category": (["shoes", "hats", "bags"][(number % 3) as usize])},
        }));
    }
    for person in 0..40 {
        records.push(json!({
            "identity": format!("person-{person}"), "type": "profile",
            "profileData": {
                "Name": format!("Person {person}"), "Email": format!("person{person}@example.com"),
                "Plan": (["free", "plus"][person % 2]),
            },
        }));
    }
    for (number, hostile) in HOSTILE.iter().enumerate() {
        records.push(json!({
            "identity": format!("h{number}{hostile}"), "type": "event", "evtName": hostile,
            "ts": now - 60, "evtData": {*hostile: hostile, "Note": hostile},
        }));
        records.push(json!({
            "identity": format!("h{number}{hostile}"), "type": "profile",
            "profileData": {"Name": hostile, *hostile: hostile},
        }));
    }
    // Some are refused: they are in quarantine, and in nobody's way.
    records.push(json!({"identity": "", "type": "event", "evtName": "x", "evtData": {}}));
    records.push(json!({"identity": "a", "type": "nothing", "evtName": HOSTILE[0]}));
    for part in records.chunks(500) {
        let answer = client.post("/1/upload", json!({ "d": part })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    // And some requests are dropped.
    for hostile in HOSTILE.iter().take(5) {
        let path = format!("/{}", hostile.replace(' ', "%20").replace('#', "%23"));
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        assert_eq!(door.say(request).await, b"");
    }
}

/// What axe finds on the page that is shown, in short.
pub(crate) async fn faults(browser: &Browser, axe: &str) -> Vec<String> {
    browser.client.execute(axe, Vec::new()).await.unwrap();
    let run = "const done = arguments[0]; axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', \
               'wcag21a', 'wcag21aa', 'wcag22aa']}).then((r) => done(r.violations.map((v) => \
               `${v.id}: ${v.help}: ${v.nodes.map((n) => n.target).slice(0, 3).join(' | ')}`)));";
    let found = browser.client.execute_async(run, Vec::new()).await.unwrap();
    let found = found.as_array().cloned().unwrap_or_default();
    found
        .into_iter()
        .map(|it| it.as_str().unwrap_or_default().to_owned())
        .collect()
}

/// The pages that the one that is shown leads to, without their filters; some are one by their query.
async fn links(browser: &Browser) -> Vec<String> {
    let script = "return [...document.querySelectorAll('a[href]')].map((a) => new URL(a.href)) \
                  .filter((u) => u.origin === location.origin) \
                  .filter((u) => !['format', 'sort'].some((it) => u.searchParams.has(it))) \
                  .map((u) => u.pathname + (/\\/(user|event|property|samples|edit)$/.test(u.pathname) ? u.search : ''))";
    let found = browser.client.execute(script, Vec::new()).await.unwrap();
    let found: Vec<String> = serde_json::from_value(found).unwrap();
    found
        .into_iter()
        .filter(|path| {
            let path = path.split('?').next().unwrap_or_default();
            !path.contains('.') && !FILES.iter().any(|it| path.ends_with(it))
        })
        .collect()
}

/// What page it is, whomever and whatever it is about: ids are left out.
fn kind(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let is_id = |word: &&str| word.len() == 32 && word.bytes().all(|it| it.is_ascii_hexdigit());
    let words = path.trim_matches('/').split('/').enumerate();
    let words = words.map(|(place, word)| match word {
        _ if is_id(&word) => "one",
        // An account's id, or a link's secret.
        _ if place == 1 && word.contains('-') && word == word.to_uppercase() => "its",
        word => word,
    });
    words.collect::<Vec<_>>().join("-")
}

struct Walk<'a> {
    browser: &'a Browser,
    server: &'a Server,
    axe: &'a str,
    pictures: Option<PathBuf>,
    problems: Vec<String>,
    seen: BTreeSet<String>,
    /// How many pages of each kind were opened.
    kinds: BTreeMap<String, usize>,
}

impl Walk<'_> {
    /// From a page to every one that it leads to.
    async fn from(&mut self, who: &str, start: &str) {
        let mut waiting = VecDeque::from([start.to_owned()]);
        while let Some(path) = waiting.pop_front() {
            let opened = self.kinds.entry(kind(&path)).or_default();
            if *opened >= OF_ONE_KIND || !self.seen.insert(path.clone()) {
                continue;
            }
            *opened += 1;
            assert!(self.seen.len() <= PAGES_MAX, "{:?}", self.seen);
            self.open(who, &path).await;
            waiting.extend(links(self.browser).await);
        }
    }

    async fn open(&mut self, who: &str, path: &str) {
        let url = format!("{}{path}", origin(self.server));
        for (size, width, height) in [("desk", 1_280, 900), ("phone", 390, 844)] {
            let metrics = json!({
                "width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "phone",
            });
            self.browser
                .cdp("Emulation.setDeviceMetricsOverride", metrics)
                .await;
            for scheme in ["light", "dark"] {
                let feature = json!({"name": "prefers-color-scheme", "value": scheme});
                let media = json!({ "features": [feature] });
                self.browser.cdp("Emulation.setEmulatedMedia", media).await;
                self.browser.open(&url).await;
                let what = format!("{who} {path} {size} {scheme}");
                for fault in faults(self.browser, self.axe).await {
                    self.problems.push(format!("{what}: {fault}"));
                }
                for line in self.browser.said().await {
                    self.problems.push(format!("{what}: {line}"));
                }
                // `innerWidth` of a phone grows with what is too wide for it.
                let wide = format!(
                    "return document.documentElement.scrollWidth > {}",
                    width + 1
                );
                let wide = self
                    .browser
                    .client
                    .execute(&wide, Vec::new())
                    .await
                    .unwrap();
                if wide == Value::Bool(true) {
                    self.problems.push(format!("{what}: wider than the window"));
                }
                if let Some(folder) = &self.pictures {
                    let name = kind(path);
                    let file = folder.join(format!("{who}-{name}-{size}-{scheme}.png"));
                    self.browser.picture(&file).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn h01_every_page_is_sound_for_everybody_and_runs_nothing_but_its_own() {
    let axe = std::fs::read_to_string(peers().join("node_modules/axe-core/axe.min.js")).unwrap();
    let pictures = std::env::var_os("STRONGROOM_SCREENSHOTS").map(PathBuf::from);
    let installation = Installation::new();
    let made = installation.json(&["account", "create", "Shop <script>alert(1)</script>"]);
    let text = |key: &str| made[key].as_str().unwrap().to_owned();
    let account = Account {
        id: text("account_id"),
        passcode: text("passcode"),
        sdk_token: text("sdk_token"),
    };
    let server = installation.serve();
    furnish(&installation, &server, &account).await;
    let mut problems = Vec::new();
    let mut opened = 0;
    let first = installation.printed["setup_url"]
        .as_str()
        .unwrap()
        .to_owned();
    let people = [
        (
            "admin",
            text("setup_url"),
            format!("/a/{}/overview", account.id),
        ),
        ("operator", first, "/a/0/overview".to_owned()),
    ];
    for (who, link, start) in people {
        let browser = Browser::start(&installation).await;
        let mut walk = Walk {
            browser: &browser,
            server: &server,
            axe: &axe,
            pictures: pictures.clone(),
            problems: Vec::new(),
            seen: BTreeSet::new(),
            kinds: BTreeMap::new(),
        };
        let link = reached(&server, &link);
        let front = link.replace(&origin(&server), "");
        for path in ["/sign-in", "/forgot", &front] {
            walk.open("front", path).await;
        }
        let email = format!("{who}@example.com");
        join(&browser, &link, &email).await;
        browser.arrive(&start).await;
        walk.from(who, &start).await;
        if who == "admin" {
            // What no link leads to: the search that failed, and the reveal, for those who see masks.
            let person = walk.seen.iter().find(|it| kind(it) == "a-its-people-one");
            let person = person.cloned().unwrap();
            let found = format!("/a/{}/people/found", account.id);
            for path in [found, format!("{person}/reveal")] {
                walk.from(who, &path).await;
            }
        }
        sign_out(&browser, &server).await;
        password(&browser, &server, &email, PASSWORD).await;
        browser.arrive("/sign-in/factor").await;
        walk.open("front", "/sign-in/factor").await;
        opened += walk.seen.len();
        problems.append(&mut walk.problems);
        browser.close().await.unwrap();
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(opened >= 45, "{opened} pages were found");
}
