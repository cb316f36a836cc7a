//! What a browser does, without one: a cookie, a host, forms with what their page put into them.

use axum::body::Body;
use http::Request;
use model::record::Plane;
use model::{AccountId, Clock as _};
use totp_rs::{Algorithm, Builder};

use super::harness::{Answer, Room};

pub(super) const HOST: &str = "localhost:8443";
pub(super) const PASSWORD: &str = "a lamp beside nine walnuts";

/// One browser.
#[derive(Debug, Clone)]
pub(super) struct Browser {
    pub(super) cookie: Option<String>,
    /// The `csrf` of the page that it saw last.
    pub(super) csrf: String,
    pub(super) origin: Option<String>,
    pub(super) peer: &'static str,
    /// The secret of the authenticator app beside it.
    pub(super) secret: String,
}

impl Browser {
    pub(super) fn new() -> Self {
        Self {
            cookie: None,
            csrf: String::new(),
            origin: Some(format!("https://{HOST}")),
            peer: "203.0.113.9:4711",
            secret: String::new(),
        }
    }

    pub(super) async fn get(&mut self, room: &Room, path: &str) -> Answer {
        let request = self.request("GET", path).body(Body::empty()).unwrap();
        let answer = self.send(room, request).await;
        if let Some(csrf) = between(&answer.body, "name=\"csrf\" value=\"", "\"") {
            csrf.clone_into(&mut self.csrf);
        }
        answer
    }

    /// Posts a form, with the `csrf` of the page seen last.
    pub(super) async fn post(
        &mut self,
        room: &Room,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        let csrf = self.csrf.clone();
        let all = fields.iter().copied().chain([("csrf", csrf.as_str())]);
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(all);
        let request = self
            .request("POST", path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(body.finish()))
            .unwrap();
        self.send(room, request).await
    }

    pub(super) fn request(&self, method: &str, path: &str) -> http::request::Builder {
        let mut builder = Request::builder()
            .method(method)
            .uri(path)
            .header("host", HOST);
        if let Some(cookie) = &self.cookie {
            builder = builder.header("cookie", format!("__Host-session={cookie}"));
        }
        if method != "GET"
            && let Some(origin) = &self.origin
        {
            builder = builder.header("origin", origin);
        }
        builder
    }

    pub(super) async fn send(&mut self, room: &Room, mut request: Request<Body>) -> Answer {
        let connection = collect::Connection {
            peer: self.peer.parse().unwrap(),
            tls_version: "1.3",
            plane: Plane::Console,
        };
        request.extensions_mut().insert(connection);
        let answer = room.send_to_console(request).await;
        for set in answer.headers.get_all("set-cookie") {
            let set = set.to_str().unwrap();
            let value = set.strip_prefix("__Host-session=").unwrap();
            for flag in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"] {
                assert!(value.contains(flag), "{set}");
            }
            let value = value.split(';').next().unwrap();
            self.cookie = (!value.is_empty()).then(|| value.to_owned());
        }
        answer
    }

    /// Follows a link to the end: password, authenticator app, recovery codes. Returns the codes.
    pub(super) async fn join(&mut self, room: &Room, link: &str, email: &str) -> Vec<String> {
        let path = format!("/link/{link}");
        assert_eq!(self.get(room, &path).await.status, 200);
        let fields = [
            ("email", email),
            ("name", "Somebody"),
            ("password", PASSWORD),
            ("terms", "yes"),
        ];
        let joined = self.post(room, &path, &fields).await;
        assert_eq!(to(&joined), "/enrol?next=%2F", "{joined:?}");
        self.get(room, "/enrol?next=%2F").await;
        let offered = self.post(room, "/enrol/app", &[]).await;
        let secret = between(&offered.body, "<code id=\"secret\">", "<").unwrap();
        secret.clone_into(&mut self.secret);
        let code = self.code(room);
        let done = self.post(room, "/enrol/app", &[("code", &code)]).await;
        assert_eq!(done.status, 200, "{done:?}");
        let codes = done.body.split("<li><code>").skip(1);
        codes
            .map(|it| it.split('<').next().unwrap().to_owned())
            .collect()
    }

    /// What the authenticator app shows.
    pub(super) fn code(&self, room: &Room) -> String {
        Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_secret(totp_rs::Secret::try_from_base32(&self.secret).unwrap())
            .build_noncompliant()
            .generate(u64::try_from(room.clock.now().ms()).unwrap() / 1_000)
            .to_string()
    }

    /// Both steps.
    pub(super) async fn sign_in(&mut self, room: &Room, email: &str) -> Answer {
        self.get(room, "/sign-in").await;
        let fields = [("email", email), ("password", PASSWORD)];
        let half = self.post(room, "/sign-in", &fields).await;
        assert_eq!(to(&half), "/sign-in/factor?next=%2F", "{half:?}");
        self.get(room, "/sign-in/factor").await;
        let code = self.code(room);
        self.post(room, "/sign-in/factor", &[("code", &code)]).await
    }
}

/// Somebody with a role in an account, signed in.
pub(super) async fn employed(room: &Room, account: AccountId, role: &str) -> Browser {
    let operator = control::Actor::os_user("tester");
    let email = format!("{role}@example.com");
    let link = room
        .control
        .invite_user(&operator, account, &email, role, role, None)
        .await
        .unwrap();
    let mut browser = Browser::new();
    browser.join(room, link.expose(), &email).await;
    browser
}

/// Where an answer leads.
pub(super) fn to(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303, "{answer:?}");
    answer.headers["location"].to_str().unwrap()
}

/// What stands between two texts.
pub(super) fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}
