//! A plain client of the REST API.

use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::harness::Account;

/// Talks to the api plane of one server as one account.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    account: Account,
}

/// Status and JSON body of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, ca: &Path, account: Account) -> Self {
        Self::built(reqwest::Client::builder(), address, ca, account)
    }

    /// As `new`; its connections come from another address of this machine.
    pub(crate) fn coming_from(
        local: &str,
        address: SocketAddr,
        ca: &Path,
        account: Account,
    ) -> Self {
        let local: IpAddr = local.parse().unwrap();
        let builder = reqwest::Client::builder().local_address(local);
        Self::built(builder, address, ca, account)
    }

    fn built(
        builder: reqwest::ClientBuilder,
        address: SocketAddr,
        ca: &Path,
        account: Account,
    ) -> Self {
        let bundle = std::fs::read(ca).unwrap();
        let roots = reqwest::Certificate::from_pem_bundle(&bundle).unwrap();
        let http = builder.tls_certs_only(roots).build().unwrap();
        Self {
            http,
            base: format!("https://{address}"),
            account,
        }
    }

    /// A request with the account's credentials.
    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().unwrap();
        self.http
            .request(method, format!("{}{path}", self.base))
            .header("X-CleverTap-Account-Id", &self.account.id)
            .header("X-CleverTap-Passcode", &self.account.passcode)
    }

    /// A request without credentials.
    pub(crate) fn anonymous(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method.parse().unwrap(), format!("{}{path}", self.base))
    }

    /// Sends, and reads the answer; `Err` when no answer came.
    pub(crate) async fn send(request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let bytes = response.bytes().await?;
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Ok(Answer { status, body })
    }

    /// POSTs JSON text.
    pub(crate) async fn post_text(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self
            .request("POST", path)
            .header("Content-Type", "application/json");
        Self::send(request.body(body)).await.unwrap()
    }

    /// POSTs a JSON value.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.post_text(path, body.to_string()).await
    }

    /// GETs.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        Self::send(self.request("GET", path)).await.unwrap()
    }

    /// Uploads records that must all be accepted.
    pub(crate) async fn upload(&self, records: Vec<Value>) {
        let count = records.len();
        let answer = self.post("/1/upload", json!({ "d": records })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body["status"], "success", "{answer:?}");
        assert_eq!(answer.body["processed"], count, "{answer:?}");
    }

    /// Every record of an export by cursor, page after page.
    pub(crate) async fn export(&self, path: &str, batch_size: usize, query: Value) -> Vec<Value> {
        let first = self
            .post(&format!("{path}?batch_size={batch_size}"), query)
            .await;
        assert_eq!(first.body["status"], "success", "{first:?}");
        let mut records = Vec::new();
        let mut cursor = first.body["cursor"].as_str().map(str::to_owned);
        while let Some(at) = cursor.filter(|cursor| !cursor.is_empty()) {
            let page = self.get(&format!("{path}?cursor={at}")).await;
            assert_eq!(page.body["status"], "success", "{page:?}");
            records.extend(
                page.body["records"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .cloned(),
            );
            cursor = page.body["next_cursor"].as_str().map(str::to_owned);
        }
        records
    }
}

/// The protocol's 14 digits of a second, in UTC.
pub(crate) fn stamp(seconds: u64) -> u64 {
    let at = jiff::Timestamp::from_second(seconds as i64).unwrap();
    at.strftime("%Y%m%d%H%M%S").to_string().parse().unwrap()
}
