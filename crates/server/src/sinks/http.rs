//! A sink that takes `POST`: JSON Lines, entries and signed heads, as in a download
//! (`docs/formats/audit.md`). It has taken a batch when it answers 2xx, and nothing else.

use anyhow::{Context as _, Result, bail};
use control::{Control, sink_head_line};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use model::AccountId;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::Step;
use crate::config;
use crate::heads::Heads;
use crate::outbound::{self, Host};

const JSON_LINES: &str = "application/x-ndjson";
/// The same for a batch that is sent again, and another for every other: a receiver may drop repeats by
/// it.
const BATCH_HEADER: &str = "strongroom-batch";

#[derive(Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    url: String,
    headers: HeaderMap,
    heads: Arc<Heads>,
    /// The size of each account's head that it has.
    heads_sent: HashMap<AccountId, u64>,
}

impl Http {
    pub(super) fn new(
        settings: &config::Sink,
        host: Host,
        url: String,
        folder: &Path,
        heads: &Arc<Heads>,
    ) -> Result<Self> {
        let some = |path: &Path| (!path.as_os_str().is_empty()).then(|| folder.join(path));
        let ca = some(&settings.ca);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON_LINES));
        if let Some(file) = some(&settings.token_file) {
            let token = std::fs::read_to_string(&file)
                .with_context(|| format!("failed to read `{}`", file.display()))?;
            let value = HeaderValue::try_from(format!("Bearer {}", token.trim()));
            let mut value = value.context("the token has characters that no header may have")?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(Self {
            client: outbound::client(&host, ca.as_deref(), settings.timeout())?,
            url,
            headers,
            heads: Arc::clone(heads),
            heads_sent: HashMap::new(),
        })
    }

    /// Sends one batch of entries; when none wait, heads that were published since.
    pub(super) async fn step(&mut self, control: &Control, name: &str) -> Result<Step> {
        let batch = control.sink_batch(name).await;
        let Some(batch) = batch.context("failed to read what is to be sent")? else {
            return self.send_heads(control).await;
        };
        let mut body = String::new();
        for entry in &batch.entries {
            body.push_str(&entry.line);
            body.push('\n');
        }
        if !batch.entries.is_empty() {
            self.send(&format!("{}-{}", batch.account, batch.through), body)
                .await?;
        }
        let noted = control.sink_took(name, batch.account, batch.through).await;
        noted.context("failed to note what a sink took: it will be sent again")?;
        Ok(Step::Took(u64::try_from(batch.entries.len())?))
    }

    async fn send_heads(&mut self, control: &Control) -> Result<Step> {
        let mut accounts: Vec<AccountId> =
            control.rules().borrow().accounts.keys().copied().collect();
        // The same heads make the same batch.
        accounts.sort_unstable();
        accounts.push(AccountId::installation());
        let mut sent = Vec::new();
        let mut body = String::new();
        for account in accounts {
            let Some(note) = self.heads.published(account)? else {
                continue;
            };
            let size = Heads::size(&note);
            if self.heads_sent.get(&account) != Some(&size) {
                body.push_str(&sink_head_line(account, &note)?);
                body.push('\n');
                sent.push((account, size));
            }
        }
        if sent.is_empty() {
            return Ok(Step::Idle);
        }
        let batch = format!("heads-{}", blake3::hash(body.as_bytes()).to_hex());
        self.send(&batch, body).await?;
        self.heads_sent.extend(sent);
        Ok(Step::Took(0))
    }

    async fn send(&self, batch: &str, body: String) -> Result<()> {
        let request = self
            .client
            .post(&self.url)
            .headers(self.headers.clone())
            .header(BATCH_HEADER, batch)
            .body(body);
        // The cause names the host and not what was sent.
        let answer = request.send().await.context("failed to send a batch")?;
        let status = answer.status();
        if !status.is_success() {
            bail!("it answered {status}");
        }
        Ok(())
    }
}
