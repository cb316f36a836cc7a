//! What a shop's server would do: uploads, a deletion, a lookup, over TLS. And what scanners do.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::shop::Shop;
use super::{Account, envelope};

/// Records of one upload.
const BATCH: usize = 500;

/// A client of the api plane, and of the collect plane for what does not belong there.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    api: String,
    collect: String,
    account: Account,
}

/// What the server answered.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Sent {
    /// Uploads with good records.
    pub(super) uploads: usize,
    /// Records that were taken.
    pub(super) accepted: u64,
    /// Records that were refused with a code.
    pub(super) rejected: u64,
    /// Requests that were refused with an answer.
    pub(super) refused: u64,
    /// Requests that were closed without a byte.
    pub(super) silent: u64,
}

impl Client {
    /// A client that trusts the demo's own authority and nobody else.
    pub(super) fn new(
        ca: &Path,
        api: SocketAddr,
        collect: SocketAddr,
        account: &Account,
    ) -> Result<Self> {
        let bundle =
            std::fs::read(ca).with_context(|| format!("failed to read `{}`", ca.display()))?;
        let roots = reqwest::Certificate::from_pem_bundle(&bundle)
            .context("failed to read the authority's certificates")?;
        let http = reqwest::Client::builder()
            .tls_certs_only(roots)
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()
            .context("failed to make a client")?;
        let base = |address: SocketAddr| format!("https://localhost:{}", address.port());
        Ok(Self {
            http,
            api: base(api),
            collect: base(collect),
            account: account.clone(),
        })
    }

    /// Sends everything that the shop has, good and bad.
    pub(super) async fn send_all(&self, shop: &Shop) -> Result<Sent> {
        let mut sent = Sent::default();
        let records = shop.records();
        for batch in records.chunks(BATCH) {
            let answer = self.upload(envelope(batch).to_string()).await?;
            sent.uploads += 1;
            sent.accepted += number(&answer, "processed");
            let refused = answer.get("unprocessed").and_then(Value::as_array);
            sent.rejected += refused.map_or(0, |refused| refused.len() as u64);
        }
        let bad_bodies = ["{\"d\":[{\"type\":\"event\"", "[1, 2, 3]"];
        for body in bad_bodies {
            self.upload(body.to_owned()).await?;
            sent.refused += 1;
        }
        let guess = self.http.post(format!("{}/1/upload", self.api));
        let guess = guess
            .header("X-CleverTap-Account-Id", &self.account.id)
            .header("X-CleverTap-Passcode", "guess")
            .body("{}");
        ensure!(
            guess.send().await.is_ok(),
            "a wrong passcode was not answered"
        );
        sent.refused += 1;
        for path in [
            "/.env",
            "/wp-login.php",
            "/admin",
            "/.git/config",
            "/cgi-bin/test.cgi",
        ] {
            let answer = self
                .http
                .get(format!("{}{path}", self.collect))
                .send()
                .await;
            ensure!(answer.is_err(), "a scanner got an answer");
            sent.silent += 1;
        }
        Ok(sent)
    }

    /// Deletes a person.
    pub(super) async fn delete(&self, identity: &str) -> Result<()> {
        let body = serde_json::json!({ "identity": identity });
        let request = self.signed(
            self.http
                .post(format!("{}/1/delete/profiles.json", self.api)),
        );
        let answer = answer(request.body(body.to_string())).await?;
        ensure!(
            answer.get("status").and_then(Value::as_str) == Some("success"),
            "a deletion was answered with {answer}"
        );
        Ok(())
    }

    /// What is known of a person; null for nobody.
    pub(super) async fn lookup(&self, identity: &str) -> Result<Value> {
        let url = format!("{}/1/profile.json?identity={identity}", self.api);
        let answer = answer(self.signed(self.http.get(url))).await?;
        Ok(answer.get("record").cloned().unwrap_or(Value::Null))
    }

    async fn upload(&self, body: String) -> Result<Value> {
        let request = self.signed(self.http.post(format!("{}/1/upload", self.api)));
        answer(request.body(body)).await
    }

    fn signed(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request
            .header("X-CleverTap-Account-Id", &self.account.id)
            .header("X-CleverTap-Passcode", &self.account.passcode)
            .header("Content-Type", "application/json")
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Value> {
    let response = request.send().await.context("a request was not answered")?;
    let bytes = response.bytes().await.context("an answer broke off")?;
    serde_json::from_slice(&bytes).context("an answer is not JSON")
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or(0)
}
