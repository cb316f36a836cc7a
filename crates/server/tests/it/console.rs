//! The console in a real browser: set-up, both kinds of second factor, and what they let one see.

use crate::browser::{Browser, code};
use crate::harness::{Installation, Server};

pub(crate) const PASSWORD: &str = "a lamp beside nine walnuts";

/// A link as it is reached: `init` cannot know a port that the system chooses later.
pub(crate) fn reached(server: &Server, url: &str) -> String {
    let (_, path) = url.split_once("/link/").unwrap();
    format!("{}/link/{path}", origin(server))
}

pub(crate) fn origin(server: &Server) -> String {
    format!("https://localhost:{}", server.address("console").port())
}

/// From a link to a session; returns the secret of the app and the recovery codes.
pub(crate) async fn join(browser: &Browser, link: &str, email: &str) -> (String, Vec<String>) {
    browser.open(link).await;
    browser.fill("email", email).await;
    browser.fill("name", "Ada Example").await;
    browser.fill("password", PASSWORD).await;
    browser.press("input[name=terms]").await;
    browser.press("button.primary").await;
    browser.arrive("/enrol").await;
    browser.press("#use-app").await;
    browser.press("details.fold summary").await;
    let secret = browser.text("#secret").await;
    browser.fill("code", &code(&secret, 0)).await;
    browser.press("button.primary").await;
    let codes = browser.text("#codes").await;
    let codes: Vec<String> = codes.lines().map(str::to_owned).collect();
    assert_eq!(codes.len(), 10, "{codes:?}");
    browser.press("#go-on").await;
    (secret, codes)
}

/// Gives address and password, and goes on.
pub(crate) async fn password(browser: &Browser, server: &Server, email: &str, password: &str) {
    browser.open(&format!("{}/sign-in", origin(server))).await;
    browser.fill("email", email).await;
    browser.fill("password", password).await;
    browser.press("button.primary").await;
}

/// Signs out, by the form of the page of one's account.
pub(crate) async fn sign_out(browser: &Browser, server: &Server) {
    browser.open(&format!("{}/me", origin(server))).await;
    let script = "document.querySelector('form[action=\"/sign-out\"]').submit()";
    browser.client.execute(script, Vec::new()).await.unwrap();
    browser.arrive("/sign-in").await;
}

#[tokio::test]
async fn the_first_admin_sets_up_and_comes_back_by_app_by_code_and_by_passkey() {
    let installation = Installation::new();
    let made = installation.json(&["account", "create", "Shop"]);
    let account = made["account_id"].as_str().unwrap();
    let server = installation.serve();
    let browser = Browser::start(&installation).await;
    browser.add_authenticator().await;
    let overview = format!("/a/{account}/overview");

    let link = reached(&server, made["setup_url"].as_str().unwrap());
    let (secret, recovery) = join(&browser, &link, "ada@example.com").await;
    browser.arrive(&overview).await;
    // The link is used up.
    browser.open(&link).await;
    assert_eq!(browser.text("h1").await, "This link does not work");

    // By the app: the code of the step that follows, as the one of now was used.
    sign_out(&browser, &server).await;
    password(&browser, &server, "ada@example.com", PASSWORD).await;
    browser.arrive("/sign-in/factor").await;
    browser.fill("code", &code(&secret, 1)).await;
    browser.press("form:has(#code) button").await;
    browser.arrive(&overview).await;

    // A passkey is added, and signs in.
    browser
        .open(&format!("{}/enrol?next=/me", origin(&server)))
        .await;
    browser.fill("name", "Laptop").await;
    browser.press("#make-passkey").await;
    browser.arrive("/me").await;
    assert!(browser.client.source().await.unwrap().contains("Laptop"));
    sign_out(&browser, &server).await;
    password(&browser, &server, "ada@example.com", PASSWORD).await;
    browser.press("#use-passkey").await;
    browser.arrive(&overview).await;

    // By a recovery code.
    sign_out(&browser, &server).await;
    password(&browser, &server, "ada@example.com", PASSWORD).await;
    browser.press("details.fold summary").await;
    browser.fill("recovery", &recovery[0]).await;
    browser.press("form:has(#recovery) button").await;
    browser.arrive(&overview).await;
    let me = format!("{}/me", origin(&server));
    browser.open(&me).await;
    assert!(
        browser
            .client
            .source()
            .await
            .unwrap()
            .contains("9 recovery codes left")
    );

    // Wrong passwords: one answer, which also stands for the pause that follows. (What the right one meets
    // meanwhile is held where time is an argument: `control`'s e01.)
    sign_out(&browser, &server).await;
    for _ in 0..4 {
        password(&browser, &server, "ada@example.com", "wrong").await;
        assert!(
            browser
                .text("[role=alert]")
                .await
                .contains("wrong, or signing in is paused")
        );
    }
    let unlock = ["user", "unlock", "ada@example.com", "--account", account];
    installation.json(&unlock);
    password(&browser, &server, "ada@example.com", PASSWORD).await;
    browser.arrive("/sign-in/factor").await;

    // What was done is in the account's log.
    let log = installation.json(&["audit", "list", "--account", account]);
    let actions: Vec<&str> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["action"].as_str().unwrap())
        .collect();
    for action in [
        "link.used",
        "terms.accepted",
        "factor.added",
        "sign_in.password",
        "sign_in.done",
        "session.signed_out",
        "sign_in.failed",
        "user.unlocked",
    ] {
        assert!(actions.contains(&action), "{action} in {actions:?}");
    }
    browser.close().await.unwrap();
}

#[tokio::test]
async fn an_invited_user_joins_and_sees_what_the_role_gives() {
    let installation = Installation::new();
    let account = installation.account("Shop");
    let server = installation.serve();
    let browser = Browser::start(&installation).await;
    let invite = [
        "user",
        "invite",
        "mel@example.com",
        "--name",
        "Mel",
        "--role",
        "member",
        "--account",
        &account.id,
    ];
    let invited = installation.json(&invite);
    let link = reached(&server, invited["setup_url"].as_str().unwrap());
    browser.open(&link).await;
    let shown = browser.wait("#email").await.prop("value").await.unwrap();
    assert_eq!(shown.as_deref(), Some("mel@example.com"));
    browser.fill("password", PASSWORD).await;
    browser.press("input[name=terms]").await;
    browser.press("button.primary").await;
    browser.arrive("/enrol").await;
    browser.press("#use-app").await;
    browser.press("details.fold summary").await;
    let secret = browser.text("#secret").await;
    browser.fill("code", &code(&secret, 0)).await;
    browser.press("button.primary").await;
    browser.press("#go-on").await;
    browser.arrive(&format!("/a/{}/overview", account.id)).await;
    for (page, heading) in [
        ("events", "Events"),
        ("settings/users", "Not allowed"),
        ("settings/audit", "Not allowed"),
    ] {
        let url = format!("{}/a/{}/{page}", origin(&server), account.id);
        browser.open(&url).await;
        assert_eq!(browser.text("h1").await, heading, "{page}");
    }
    let other = installation.account("Other");
    let url = format!("{}/a/{}/events", origin(&server), other.id);
    browser.open(&url).await;
    assert_eq!(browser.text("h1").await, "Not found");
    // Whoever loses the last role has lost the session with the next request.
    let revoke = [
        "user",
        "revoke",
        "mel@example.com",
        "--account",
        &account.id,
    ];
    installation.json(&revoke);
    browser
        .open(&format!("{}/a/{}/events", origin(&server), account.id))
        .await;
    browser.arrive("/sign-in").await;
    browser.close().await.unwrap();
}
