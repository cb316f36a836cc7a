//! Every page, as somebody with a browser does it.

use crate::browser::{Browser, code};
use crate::console::origin;
use crate::harness::{Account, Installation, Server};
use crate::visitor::{PASSWORD, Shown, Visitor, between};

use super::be_dropped;
use super::book::Book;

/// Somebody's browser, whose pages must come.
pub(super) struct Person(Visitor);

impl Person {
    pub(super) fn new(room: &Installation, server: &Server) -> Self {
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

/// From a link to a session, with what goes wrong on the way.
pub(super) async fn sign_in(
    book: &mut Book<'_>,
    server: &Server,
    ada: &mut Person,
    link: &str,
    account: &Account,
) {
    let email = "ada@example.com";
    let security = "/.well-known/security.txt";
    for path in [
        "/console.css",
        "/console.js",
        "/passkey.js",
        "/icon.svg",
        security,
    ] {
        ada.get(path).await;
        book.expect("console", &format!("GET {path}"));
    }
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

    add_passkey(book, server, account, &codes[1]).await;
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

/// A second factor of the other kind takes a real browser.
async fn add_passkey(book: &mut Book<'_>, server: &Server, account: &Account, recovery: &str) {
    let email = "ada@example.com";
    let browser = Browser::start(book.room).await;
    browser.add_authenticator().await;
    browser.open(&format!("{}/sign-in", origin(server))).await;
    browser.fill("email", email).await;
    browser.fill("password", PASSWORD).await;
    browser.press("button.primary").await;
    browser.arrive("/sign-in/factor").await;
    browser.press("details.fold summary").await;
    browser.fill("recovery", recovery).await;
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
}

/// The pages about an account's data.
pub(super) async fn account_pages(book: &mut Book<'_>, ada: &mut Person, id: &str) {
    let at = |path: &str| format!("/a/{id}{path}");
    for path in [
        "/overview",
        "/requests",
        "/events",
        "/people",
        "/people/found",
        "/people/deletions",
        "/dictionary",
        "/quarantine",
        "/people/export",
        "/people/active",
        "/events/export",
    ] {
        ada.get(&at(path)).await;
        book.expect("console", &format!("GET /a/{{account}}{path}"));
    }
    let having = [("by", "property"), ("property", "Plan"), ("value", "gold")];
    ada.post(&at("/people/found"), &having).await;
    book.expect("console", "POST /a/{account}/people/found");
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
    ada.get(&format!("{person}/history")).await;
    book.expect("console", &format!("GET {page}/history"));
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
    dictionary_and_quarantine(book, ada, id).await;
}

async fn dictionary_and_quarantine(book: &mut Book<'_>, ada: &mut Person, id: &str) {
    let at = |path: &str| format!("/a/{id}{path}");
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
pub(super) async fn settings(book: &mut Book<'_>, ada: &mut Person, id: &str) {
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
pub(super) async fn installation_pages(book: &mut Book<'_>, server: &Server, link: &str) {
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
pub(super) async fn own(book: &mut Book<'_>, ada: &mut Person) {
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
