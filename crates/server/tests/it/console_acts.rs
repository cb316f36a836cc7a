//! What a security officer does in a real browser: downloads the audit log and has it verified, and
//! switches the IP allowlist on without being locked out.

use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use crate::browser::{Browser, code};
use crate::console::{join, origin, reached};
use crate::harness::{Installation, Server, strongroom, text};
use crate::visitor::{PASSWORD, Shown, Visitor};

/// How long a file may take to be there.
const PATIENCE: Duration = Duration::from_secs(20);

/// An account whose first Admin sits in the browser; with the secret of her authenticator app.
async fn admin(
    installation: &Installation,
    server: &Server,
    browser: &Browser,
) -> (String, String) {
    let made = installation.json(&["account", "create", "Shop"]);
    let id = made["account_id"].as_str().unwrap().to_owned();
    let link = reached(server, made["setup_url"].as_str().unwrap());
    let (secret, _) = join(browser, &link, "ada@example.com").await;
    browser.arrive(&format!("/a/{id}/overview")).await;
    (id, secret)
}

/// Waits until the browser has kept a file with that ending.
async fn kept(folder: &Path, ending: &str) -> PathBuf {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let files = std::fs::read_dir(folder).unwrap();
        let mut files = files.map(|it| it.unwrap().path());
        let found = files.find(|it| it.extension().is_some_and(|it| it == ending));
        if let Some(file) = found {
            return file;
        }
        let now = tokio::time::Instant::now();
        assert!(now < deadline, "no file ends with {ending}");
        tokio::task::yield_now().await;
    }
}

/// Offline: without the installation's configuration.
fn verify(file: &Path, words: &[&str]) -> Output {
    let mut command = strongroom();
    command.args(["audit", "verify"]).arg(file).args(words);
    command.output().unwrap()
}

#[tokio::test]
async fn all_logs_are_downloaded_in_the_page_and_verify_offline() {
    let installation = Installation::new();
    let server = installation.serve();
    let browser = Browser::start(&installation).await;
    let (account, _) = admin(&installation, &server, &browser).await;
    let folder = tempfile::tempdir().unwrap();
    let allow = json!({"behavior": "allow", "downloadPath": folder.path()});
    browser.cdp("Browser.setDownloadBehavior", allow).await;
    let page = format!("{}/a/{account}/settings/audit", origin(&server));
    browser.open(&page).await;
    assert_eq!(
        browser.text("details.drop > summary").await,
        "Download All Logs"
    );
    for format in ["jsonl", "csv"] {
        browser.open(&page).await;
        browser.press("details.drop > summary").await;
        let link = format!("details.drop a[href*=\"format={format}\"]");
        browser.press(&link).await;
        kept(folder.path(), format).await;
    }
    let file = kept(folder.path(), "jsonl").await;
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with(&format!("audit-{account}-")), "{name}");
    let key = installation.run(&["audit", "key"]);
    let key = text(&key.stdout).trim().to_owned();
    let whole = verify(&file, &["--key", &key]);
    assert_eq!(whole.status.code(), Some(0), "{}", text(&whole.stderr));

    let content = std::fs::read_to_string(&file).unwrap();
    assert!(content.contains("\"sign_in.password\"") || content.contains("\"terms.accepted\""));
    let lines: Vec<&str> = content.lines().collect();
    let without_one = [&lines[..2], &lines[3..]].concat().join("\n") + "\n";
    for (what, touched) in [
        (
            "edited",
            content.replace("ada@example.com", "eve@example.com"),
        ),
        ("with an entry less", without_one),
    ] {
        assert_ne!(touched, content, "{what}");
        let copy = folder.path().join("touched.txt");
        std::fs::write(&copy, touched).unwrap();
        let refused = verify(&copy, &["--key", &key]);
        assert_eq!(refused.status.code(), Some(1), "{what}");
    }
    // The other file is for spreadsheets, with the columns of the page.
    let table = std::fs::read_to_string(kept(folder.path(), "csv").await).unwrap();
    let head = table.lines().next().unwrap();
    assert!(
        head.contains("email,action,action_id,description"),
        "{head}"
    );
    assert!(table.contains("ada@example.com"), "{table}");
    browser.close().await.unwrap();
}

/// Somebody who is not at a browser, on another address of this machine.
fn outsider(installation: &Installation, server: &Server) -> Visitor {
    let peer = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    Visitor::new(&installation.ca(), &origin(server), Some(peer)).unwrap()
}

fn is_sent_to_sign_in(shown: &Shown) -> bool {
    shown.status == 303 && shown.header("location").starts_with("/sign-in")
}

async fn switch_on(browser: &Browser) {
    browser.press("input[name=console]").await;
    browser.press("form:has(input[name=console]) button").await;
}

async fn add(browser: &Browser, networks: &str) {
    browser.fill("networks", networks).await;
    browser.press("form:has(#networks) button").await;
    browser.wait("p.notice.ok").await;
}

#[tokio::test]
async fn the_allowlist_is_switched_on_in_the_page_and_nobody_locks_themselves_out() {
    let installation = Installation::new();
    let server = installation.serve();
    let browser = Browser::start(&installation).await;
    let (account, secret) = admin(&installation, &server, &browser).await;
    let page = |path: &str| format!("{}/a/{account}/{path}", origin(&server));
    let security = page("settings/security");
    browser.open(&security).await;
    // Without one's own address in it, it stays off.
    switch_on(&browser).await;
    let refused = browser.text("[role=alert]").await;
    assert!(refused.contains("own address"), "{refused}");
    browser.open(&security).await;
    add(&browser, "198.51.100.0/24 Branch").await;
    switch_on(&browser).await;
    let refused = browser.text("[role=alert]").await;
    assert!(refused.contains("own address"), "{refused}");
    let mut elsewhere = outsider(&installation, &server);
    assert_eq!(elsewhere.get("/sign-in").await.unwrap().status, 200);

    browser.open(&security).await;
    add(&browser, "127.0.0.1 This desk").await;
    switch_on(&browser).await;
    let done = browser.text("p.notice.ok").await;
    assert!(done.contains("holds from now on"), "{done}");
    for (path, heading) in [
        ("overview", "Overview"),
        ("events", "Events"),
        ("settings/users", "Users"),
        ("settings/security", "Security"),
    ] {
        browser.open(&page(path)).await;
        assert_eq!(browser.text("h1").await, heading, "{path}");
    }
    // The network that one comes from is not taken out either.
    browser
        .press("input[name=network][value^=\"127.0.0.1\"]")
        .await;
    browser
        .press("form:has(input[name=network]) button.danger")
        .await;
    let refused = browser.text("[role=alert]").await;
    assert!(refused.contains("own address"), "{refused}");

    // Somebody outside gets no session, whatever they know.
    elsewhere.get("/sign-in").await.unwrap();
    let known = [("email", "ada@example.com"), ("password", PASSWORD)];
    let shown = elsewhere.post("/sign-in", &known).await.unwrap();
    if shown.status == 303 {
        elsewhere.get("/sign-in/factor").await.unwrap();
        let proof = [("code", code(&secret, 1))];
        let proof = proof.each_ref().map(|(name, code)| (*name, code.as_str()));
        elsewhere.post("/sign-in/factor", &proof).await.unwrap();
    }
    for path in ["/me".to_owned(), format!("/a/{account}/overview")] {
        let shown = elsewhere.get(&path).await.unwrap();
        assert!(is_sent_to_sign_in(&shown), "{path}: {shown:?}");
    }
    // The desk is still in; a cookie that turns up outside is worth nothing.
    browser.open(&page("overview")).await;
    assert_eq!(browser.text("h1").await, "Overview");
    let cookies = browser.client.get_all_cookies().await.unwrap();
    let session = cookies.iter().find(|it| it.name() == "__Host-session");
    elsewhere.cookie = format!("__Host-session={}", session.unwrap().value());
    let shown = elsewhere.get(&format!("/a/{account}/overview")).await;
    assert!(is_sent_to_sign_in(&shown.unwrap()));
    browser.close().await.unwrap();
}
