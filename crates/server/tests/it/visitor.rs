//! What a browser does at the console, without one: a cookie, an origin, forms with what their page
//! put into them. Shared with the load of the page benchmark.

use anyhow::{Context as _, ensure};
use std::net::IpAddr;
use std::path::Path;
use totp_rs::{Algorithm, Builder, Secret};

pub(crate) const PASSWORD: &str = "a lamp beside nine walnuts";

/// One browser. Redirects are not followed: a test looks at them.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    http: reqwest::Client,
    /// The console plane: `https://localhost:PORT`.
    console: String,
    /// The session's cookie, as it is sent; empty for strangers.
    pub(crate) cookie: String,
    /// What the forms of the page seen last carry.
    csrf: String,
}

/// A page as it came.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Shown {
    /// A header; empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|it| it.to_str().ok()).unwrap_or_default()
    }
}

impl Visitor {
    /// A browser that trusts the authority in `ca` alone, and comes from `peer` where it is said.
    pub(crate) fn new(ca: &Path, console: &str, peer: Option<IpAddr>) -> anyhow::Result<Self> {
        let roots = reqwest::Certificate::from_pem_bundle(&std::fs::read(ca)?)?;
        let http = reqwest::Client::builder()
            .tls_certs_only(roots)
            .no_proxy()
            .local_address(peer)
            .redirect(reqwest::redirect::Policy::none())
            .http1_only()
            .build()?;
        Ok(Self {
            http,
            console: console.to_owned(),
            cookie: String::new(),
            csrf: String::new(),
        })
    }

    /// From a link to a session, as a person does it at `now` (seconds since the epoch); returns the
    /// secret of the authenticator app.
    pub(crate) async fn join(
        &mut self,
        link: &str,
        email: &str,
        now: u64,
    ) -> anyhow::Result<String> {
        let (_, token) = link.split_once("/link/").context("this is no link")?;
        let path = format!("/link/{token}");
        self.get(&path).await?;
        let fields = [
            ("email", email),
            ("name", "Ada Example"),
            ("password", PASSWORD),
            ("terms", "yes"),
        ];
        let joined = self.post(&path, &fields).await?;
        ensure!(joined.status == 303, "the link gave {}", joined.status);
        self.get("/enrol").await?;
        let app = self.post("/enrol/app", &[("next", "/")]).await?;
        let secret = between(&app.body, "id=\"secret\">", "<").context("no secret is shown")?;
        let code = code(secret, now)?;
        let fields = [("next", "/"), ("code", code.as_str())];
        let enrolled = self.post("/enrol/app", &fields).await?;
        ensure!(
            enrolled.status == 200 && enrolled.body.contains("id=\"codes\""),
            "the second factor gave {}",
            enrolled.status
        );
        Ok(secret.to_owned())
    }

    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Shown> {
        self.send(self.request("GET", path)?).await
    }

    /// Posts a form, with what the page seen last put into its own.
    pub(crate) async fn post(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
    ) -> anyhow::Result<Shown> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields).append_pair("csrf", &self.csrf);
        let request = self
            .request("POST", path)?
            .header("Origin", &self.console)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form.finish());
        self.send(request).await
    }

    /// A request with the cookie and nothing else.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
    ) -> anyhow::Result<reqwest::RequestBuilder> {
        let url = format!("{}{path}", self.console);
        let request = self.http.request(method.parse()?, url);
        Ok(match self.cookie.as_str() {
            "" => request,
            cookie => request.header("Cookie", cookie),
        })
    }

    pub(crate) async fn send(&mut self, request: reqwest::RequestBuilder) -> anyhow::Result<Shown> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let shown = Shown {
            status,
            headers,
            body: response.text().await?,
        };
        if let Some((cookie, _)) = shown.header("set-cookie").split_once(';') {
            cookie.clone_into(&mut self.cookie);
        }
        if let Some(csrf) = between(&shown.body, "name=\"csrf\" value=\"", "\"") {
            csrf.clone_into(&mut self.csrf);
        }
        Ok(shown)
    }
}

/// What an authenticator app shows at `now`, seconds since the epoch.
pub(crate) fn code(secret: &str, now: u64) -> anyhow::Result<String> {
    let app = Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_secret(Secret::try_from_base32(secret)?)
        .build_noncompliant();
    Ok(app.generate(now).to_string())
}

/// What stands between two texts.
pub(crate) fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}
