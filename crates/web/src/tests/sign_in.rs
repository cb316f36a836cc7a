//! The sign-in's pages, and what tries to get around them.

use axum::body::Body;
use control::{Actor, AllowlistChange};
use expect_test::expect_file;
use governance::access::{Grant, GrantedRole, Standing, SystemRole};
use http::Request;
use model::{AccountId, Timestamp};
use std::time::Duration;

use super::browser::{Browser, HOST, PASSWORD, between, employed, to};
use super::harness::Room;
use crate::console::pages::{Entry, PAGES};

const STEP: Duration = Duration::from_secs(30);
const EMAIL: &str = "admin@example.com";

async fn setup(room: &Room) -> Browser {
    let link = room
        .control
        .create_setup_link(&Actor::os_user("tester"), room.account)
        .await
        .unwrap();
    let mut browser = Browser::new();
    let codes = browser.join(room, link.expose(), EMAIL).await;
    assert_eq!(codes.len(), 10);
    browser
}

#[tokio::test]
async fn from_a_link_to_the_account_and_out_again() {
    let room = Room::new().await;
    let mut ann = setup(&room).await;
    assert_eq!(
        to(&ann.get(&room, "/").await),
        format!("/a/{}/overview", room.account)
    );
    let me = ann.get(&room, "/me").await;
    assert!(me.body.contains("Somebody") && me.body.contains("10 recovery codes left"));
    let before = ann.cookie.clone();
    let out = ann.post(&room, "/sign-out", &[]).await;
    assert_eq!((to(&out), &ann.cookie), ("/sign-in?done=out", &None));
    ann.cookie = before;
    assert_eq!(to(&ann.get(&room, "/me").await), "/sign-in?next=%2Fme");

    room.clock.advance(STEP);
    let mut again = Browser {
        cookie: None,
        ..ann
    };
    assert_eq!(to(&again.sign_in(&room, EMAIL).await), "/");
    assert_eq!(again.get(&room, "/me").await.status, 200);
}

#[tokio::test]
async fn e06_half_a_sign_in_opens_no_page_and_sets_nothing_up() {
    let room = Room::new().await;
    let mut ann = setup(&room).await;
    room.clock.advance(STEP);
    let mut half = Browser {
        cookie: None,
        ..ann.clone()
    };
    half.get(&room, "/sign-in").await;
    let fields = [("email", EMAIL), ("password", PASSWORD)];
    half.post(&room, "/sign-in", &fields).await;
    half.get(&room, "/sign-in/factor").await;
    for page in PAGES.iter().filter(|it| it.entry != Entry::Public) {
        let path = page.path.replace("{account}", room.account.as_str());
        let answer = match page.method {
            "GET" => half.get(&room, &path).await,
            _ => half.post(&room, &path, &[]).await,
        };
        assert!(
            to(&answer).starts_with("/sign-in?next="),
            "{} {path}",
            page.method
        );
    }
    assert!(to(&half.get(&room, "/enrol").await).starts_with("/sign-in/factor"));
    for path in ["/enrol/app", "/enrol/passkey"] {
        let answer = half.post(&room, path, &[("passkey", "{}")]).await;
        assert_eq!(answer.status, 422, "{path}: {answer:?}");
        assert!(!answer.body.contains("id=\"secret\""));
    }
    let options = half.post(&room, "/enrol/passkey/options", &[]).await;
    assert_eq!(options.status, 403);
    // The page before the fall-back: a whole session that is not fresh enough for a new factor.
    room.clock.advance(Duration::from_secs(601));
    assert!(to(&ann.get(&room, "/enrol").await).starts_with("/sign-in/factor"));
}

#[tokio::test]
async fn e09_a_session_has_a_new_id_at_each_step_and_none_from_outside() {
    let room = Room::new().await;
    let ann = setup(&room).await;
    room.clock.advance(STEP);
    let mut browser = Browser {
        cookie: Some("chosen-by-somebody-else".to_owned()),
        csrf: String::new(),
        ..ann
    };
    browser.get(&room, "/sign-in").await;
    let fields = [("email", EMAIL), ("password", PASSWORD)];
    browser.post(&room, "/sign-in", &fields).await;
    let half = browser.cookie.clone().unwrap();
    assert_ne!(half, "chosen-by-somebody-else");
    browser.get(&room, "/sign-in/factor").await;
    let code = browser.code(&room);
    browser
        .post(&room, "/sign-in/factor", &[("code", &code)])
        .await;
    let full = browser.cookie.clone().unwrap();
    assert_ne!(half, full);
    // Shown again, it is another one; the ones before are dead.
    room.clock.advance(STEP);
    browser.get(&room, "/sign-in/factor?next=/me").await;
    let code = browser.code(&room);
    let shown = browser
        .post(
            &room,
            "/sign-in/factor",
            &[("code", &code), ("next", "/me")],
        )
        .await;
    assert_eq!(to(&shown), "/me");
    assert_ne!(browser.cookie.as_ref().unwrap(), &full);
    for old in ["chosen-by-somebody-else", &half, &full] {
        let mut other = Browser {
            cookie: Some(old.to_owned()),
            ..browser.clone()
        };
        assert_eq!(to(&other.get(&room, "/me").await), "/sign-in?next=%2Fme");
        // Nor in the URL.
        let mut other = Browser {
            cookie: None,
            ..browser.clone()
        };
        let path = format!("/me?session={old}&__Host-session={old}");
        assert!(to(&other.get(&room, &path).await).starts_with("/sign-in"));
    }
}

#[tokio::test]
async fn e12_nothing_is_changed_by_a_request_from_elsewhere() {
    let room = Room::new().await;
    let mut ann = setup(&room).await;
    ann.get(&room, "/me").await;
    let mut tried = 0;
    for page in PAGES.iter().filter(|it| it.method == "POST") {
        let path = page
            .path
            .replace("{account}", room.account.as_str())
            .replace("{token}", "x");
        let form = "application/x-www-form-urlencoded";
        let good = format!("csrf={}", ann.csrf);
        let cases = [
            ("no origin", None, form, good.as_str()),
            ("foreign", Some("https://evil.example"), form, &good),
            ("null", Some("null"), form, &good),
            ("plain", Some("http://localhost:8443"), form, &good),
            ("another port", Some("https://localhost:8444"), form, &good),
            (
                "a suffix",
                Some("https://localhost:8443.evil.example"),
                form,
                &good,
            ),
            ("text", Some("https://localhost:8443"), "text/plain", &good),
            (
                "JSON",
                Some("https://localhost:8443"),
                "application/json",
                "{}",
            ),
            ("no csrf", Some("https://localhost:8443"), form, "a=b"),
            (
                "wrong csrf",
                Some("https://localhost:8443"),
                form,
                "csrf=0123",
            ),
        ];
        for (what, origin, kind, body) in cases {
            let mut builder = Request::builder()
                .method("POST")
                .uri(&path)
                .header("host", HOST)
                .header("content-type", kind)
                .header(
                    "cookie",
                    format!("__Host-session={}", ann.cookie.as_ref().unwrap()),
                );
            if let Some(origin) = origin {
                builder = builder.header("origin", origin);
            }
            let request = builder.body(Body::from(body.to_owned())).unwrap();
            let answer = ann.send(&room, request).await;
            assert_eq!(answer.status, 403, "{path} {what}: {answer:?}");
            tried += 1;
        }
        // Nor by a link.
        let request = ann.request("GET", &path).body(Body::empty()).unwrap();
        let answer = ann.send(&room, request).await;
        let is_page_too = PAGES
            .iter()
            .any(|it| it.method == "GET" && it.path == page.path);
        assert!(is_page_too || answer.status == 405, "{path}: {answer:?}");
    }
    assert!(tried >= 100, "{tried} requests from elsewhere");
    assert_eq!(ann.get(&room, "/me").await.status, 200, "still signed in");
}

#[tokio::test]
async fn e17_a_redirect_stays_here() {
    let room = Room::new().await;
    let ann = setup(&room).await;
    for evil in [
        "//evil.example",
        "/\\evil.example",
        "https:evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/x\r\nset-cookie: a=b",
        "%2F%2Fevil.example",
        "\\\\evil.example",
    ] {
        room.clock.advance(STEP);
        let mut browser = Browser {
            cookie: None,
            csrf: String::new(),
            ..ann.clone()
        };
        browser.get(&room, "/sign-in").await;
        let fields = [("email", EMAIL), ("password", PASSWORD), ("next", evil)];
        let half = browser.post(&room, "/sign-in", &fields).await;
        assert_eq!(to(&half), "/sign-in/factor?next=%2F", "{evil}");
        browser.get(&room, "/sign-in/factor").await;
        let code = browser.code(&room);
        let fields = [("code", code.as_str()), ("next", evil)];
        let full = browser.post(&room, "/sign-in/factor", &fields).await;
        assert_eq!(to(&full), "/", "{evil}");
    }
}

#[tokio::test]
async fn e02_unknown_wrong_and_locked_are_one_answer() {
    let room = Room::new().await;
    setup(&room).await;
    let mut browser = Browser::new();
    browser.get(&room, "/sign-in").await;
    let mut bodies = Vec::new();
    for (email, password) in [
        ("nobody@example.com", PASSWORD),
        (EMAIL, "wrong"),
        ("nobody@example.com", "wrong"),
    ]
    .into_iter()
    .chain((0..12).map(|_| (EMAIL, "wrong")))
    {
        let fields = [("email", email), ("password", password)];
        let answer = browser.post(&room, "/sign-in", &fields).await;
        assert_eq!(answer.status, 422);
        assert!(!answer.headers.contains_key("set-cookie"));
        let nonce = between(&answer.body, "nonce=\"", "\"").unwrap().to_owned();
        bodies.push(answer.body.replace(&nonce, "").replace(email, ""));
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
    // And so are the two answers to a forgotten password.
    let mut asked = Vec::new();
    for email in [EMAIL, "nobody@example.com", "not an address"] {
        browser.get(&room, "/forgot").await;
        let answer = browser.post(&room, "/forgot", &[("email", email)]).await;
        let nonce = between(&answer.body, "nonce=\"", "\"").unwrap().to_owned();
        asked.push((answer.status, answer.body.replace(&nonce, "")));
    }
    asked.dedup();
    assert_eq!(asked.len(), 1);
}

#[tokio::test]
async fn g05_an_allowlist_holds_at_once_and_lets_nobody_lock_themselves_out() {
    let room = Room::new().await;
    let mut inside = setup(&room).await;
    let operator = Actor::os_user("tester");
    let admin = inside.clone();
    let by = room
        .control
        .session(
            admin.cookie.as_ref().unwrap(),
            Some("203.0.113.9".parse().unwrap()),
        )
        .await
        .unwrap()
        .unwrap();
    let on = |network: &str| AllowlistChange {
        add: vec![(network.to_owned(), "office".to_owned())],
        console: Some(true),
        ..AllowlistChange::default()
    };
    let elsewhere = on("198.51.100.0/24");
    let locked = room
        .control
        .change_allowlist(&by.actor, room.account, elsewhere.clone())
        .await;
    assert_eq!(locked.unwrap_err().kind(), model::ErrorKind::Conflict);
    let own = on("203.0.113.0/24");
    room.control
        .change_allowlist(&by.actor, room.account, own)
        .await
        .unwrap();
    assert_eq!(inside.get(&room, "/me").await.status, 200);
    // The same session from elsewhere is over, whatever it says of where it is.
    let mut stolen = Browser {
        peer: "192.0.2.1:1",
        ..inside.clone()
    };
    let request = stolen
        .request("GET", "/me")
        .header("x-forwarded-for", "203.0.113.9")
        .header("forwarded", "for=203.0.113.9")
        .header("x-real-ip", "203.0.113.9")
        .body(Body::empty())
        .unwrap();
    let answer = stolen.send(&room, request).await;
    assert!(to(&answer).starts_with("/sign-in"));
    assert!(
        to(&inside.get(&room, "/me").await).starts_with("/sign-in"),
        "ended"
    );
    // Nobody signs in from there either; from inside one does.
    room.clock.advance(STEP);
    let mut outside = Browser {
        cookie: None,
        csrf: String::new(),
        ..stolen
    };
    outside.get(&room, "/sign-in").await;
    let fields = [("email", EMAIL), ("password", PASSWORD)];
    assert_eq!(outside.post(&room, "/sign-in", &fields).await.status, 422);
    room.clock.advance(STEP);
    let mut again = Browser {
        cookie: None,
        csrf: String::new(),
        ..inside
    };
    assert_eq!(to(&again.sign_in(&room, EMAIL).await), "/");
    // Break-glass: an empty list that is on admits nobody, the operator switches it off.
    let only = AllowlistChange {
        remove: vec!["203.0.113.0/24".to_owned()],
        ..AllowlistChange::default()
    };
    room.control
        .change_allowlist(&operator, room.account, only)
        .await
        .unwrap();
    assert!(to(&again.get(&room, "/me").await).starts_with("/sign-in"));
    let off = AllowlistChange {
        console: Some(false),
        ..AllowlistChange::default()
    };
    room.control
        .change_allowlist(&operator, room.account, off)
        .await
        .unwrap();
    room.clock.advance(STEP);
    assert_eq!(to(&again.sign_in(&room, EMAIL).await), "/");
}

#[tokio::test]
async fn g05_the_api_asks_the_list_where_it_is_told_to() {
    let room = Room::new().await;
    let operator = Actor::os_user("tester");
    let change = |network: &str| AllowlistChange {
        add: vec![(network.to_owned(), String::new())],
        api: Some(true),
        ..AllowlistChange::default()
    };
    assert_eq!(room.get("/v1/connect").await.status, 200);
    room.control
        .change_allowlist(&operator, room.account, change("192.0.2.0/24"))
        .await
        .unwrap();
    assert_ne!(room.get("/v1/connect").await.status, 200);
    room.control
        .change_allowlist(&operator, room.account, change("203.0.113.9"))
        .await
        .unwrap();
    assert_eq!(room.get("/v1/connect").await.status, 200);
}

#[tokio::test]
async fn every_page_is_there_for_whom_the_roles_allow_and_for_nobody_else() {
    let room = Room::new().await;
    let other = room
        .control
        .create_account(&Actor::os_user("tester"), "Other", "UTC")
        .await
        .unwrap()
        .account_id;
    let installation = AccountId::installation();
    let mut people = Vec::new();
    for role in ["admin", "creator", "member", "auditor", "privacy_officer"] {
        people.push((role, employed(&room, room.account, role).await));
    }
    people.push(("operator", employed(&room, installation, "operator").await));
    let mut judged = 0;
    for (role, browser) in &mut people {
        for account in [room.account, other, installation] {
            for page in PAGES {
                let (Entry::May(act) | Entry::Fresh(act)) = page.entry else {
                    continue;
                };
                let path = page.path.replace("{account}", account.as_str());
                let path = path.replace("{key}", &"0".repeat(32));
                let token = browser.cookie.clone().unwrap();
                let seen = room.control.session(&token, None).await.unwrap().unwrap();
                let has_role = !seen.actor.role_in(account).is_empty();
                let allowed = control::authz::allows(&seen.actor, act, account);
                let answer = match page.method {
                    "GET" => browser.get(&room, &path).await,
                    // Without a `csrf`: whoever may is refused for that, and nothing is changed.
                    _ => {
                        let blank = Browser {
                            csrf: String::new(),
                            ..browser.clone()
                        };
                        blank.clone().post(&room, &path, &[]).await
                    }
                };
                let what = format!("{role} {} {path}: {}", page.method, answer.status);
                match (has_role, allowed) {
                    (false, _) => assert_eq!(answer.status, 404, "{what}"),
                    (true, false) => assert_eq!(answer.status, 403, "{what}"),
                    (true, true) if page.method == "GET" => {
                        assert!(answer.status < 400 || answer.status == 404, "{what}");
                    }
                    (true, true) => assert_eq!(answer.status, 403, "{what}"),
                }
                judged += 1;
            }
        }
    }
    assert!(judged > 0 || PAGES.iter().all(|it| !it.path.starts_with("/a/")));
}

/// The pages that no test of roles covers, because they ask for none: those in front of the sign-in.
/// The file is looked at in review; a page that is about data must never be in it.
#[test]
fn pages_without_a_test_of_authorization_are_in_front_of_the_sign_in() {
    let lines: Vec<String> = PAGES
        .iter()
        .filter(|page| page.entry == Entry::Public)
        .map(|page| format!("{:5}{}\n", page.method, page.path))
        .collect();
    expect_file!["../../authz_uncovered.txt"].assert_eq(&lines.concat());
}

/// Which role opens which page of its own account, or of the installation.
#[test]
fn the_matrix_of_roles_and_pages() {
    let account: AccountId = "TEST-ACC".parse().unwrap();
    let mut text = format!("{:5}{:42}", "", "");
    for role in SystemRole::ALL {
        text.push_str(&format!("{:16}", role.as_str()));
    }
    for page in PAGES {
        let (Entry::May(act) | Entry::Fresh(act)) = page.entry else {
            continue;
        };
        text = format!("{}\n{:5}{:42}", text.trim_end(), page.method, page.path);
        for role in SystemRole::ALL {
            let place = match role.is_of_installation() {
                true => AccountId::installation(),
                false => account,
            };
            let grant = Grant {
                role: GrantedRole::System(role),
                expires_at: None,
            };
            let standing = Standing::of(&[grant], Timestamp::from_ms(0));
            let actor = Actor::user("somebody@example.com", [(place, standing)]);
            let word = match (control::authz::allows(&actor, act, place), page.entry) {
                (true, Entry::Fresh(_)) => "yes, fresh",
                (true, _) => "yes",
                (false, _) => "-",
            };
            text.push_str(&format!("{word:16}"));
        }
    }
    let text = format!("{}\n", text.trim_end());
    expect_file!["../../authz_pages.txt"].assert_eq(&text);
}

#[tokio::test]
async fn h02_every_page_has_a_policy_with_a_nonce_of_its_own() {
    let room = Room::new().await;
    let mut ann = setup(&room).await;
    let mut nonces = std::collections::BTreeSet::new();
    let mut pages = 0;
    for page in PAGES.iter().filter(|it| it.method == "GET") {
        let path = page
            .path
            .replace("{account}", room.account.as_str())
            .replace("{token}", "x")
            .replace("{key}", "x");
        let answer = ann.get(&room, &path).await;
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        if !policy.contains("script-src") {
            assert!(
                answer.status == 404 && !answer.body.contains("<script"),
                "{path}"
            );
            continue;
        }
        for part in [
            "default-src 'none'",
            "object-src 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        let nonce = between(policy, "script-src 'nonce-", "'").unwrap();
        assert!(nonces.insert(nonce.to_owned()), "{path} repeats a nonce");
        for (before, _) in answer.body.match_indices("<script") {
            let tag = answer.body[before..].split('>').next().unwrap();
            assert!(tag.contains(&format!("nonce=\"{nonce}\"")), "{path}: {tag}");
        }
        assert!(
            !answer.body.contains(" style="),
            "{path} has an inline style"
        );
        assert!(!answer.body.contains(" onclick="), "{path} has a handler");
        pages += 1;
    }
    assert_eq!(nonces.len(), pages);
}
