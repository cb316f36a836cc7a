//! What turned red, and what is in order again, is told: once each.

#[cfg(test)]
mod tests;

use anyhow::{Context as _, Result, bail, ensure};
use control::{Alert, Turn};
use model::{Secret, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::attention::Concern;
use crate::compose::Installation;
use crate::config;
use crate::outbound;

/// What a receiver checks: when it was sent, and an HMAC-SHA-256 over that and the body.
const SIGNATURE: &str = "strongroom-signature";
/// The same each time that a call is made again.
const ID: &str = "strongroom-alert";

/// Who is called.
#[derive(Debug)]
pub(crate) struct Receiver {
    client: reqwest::Client,
    url: String,
    secret: Secret<[u8; 32]>,
    /// What was told while it could not be written down.
    unwritten: Mutex<BTreeSet<(String, String, String)>>,
}

impl Receiver {
    /// The one of the configuration; none when it names none.
    ///
    /// # Errors
    /// When the secret cannot be read, or is none.
    pub(crate) fn open(settings: &config::Alerts, folder: &Path) -> Result<Option<Self>> {
        if settings.webhook_url.is_empty() {
            return Ok(None);
        }
        let file = folder.join(&settings.webhook_secret_file);
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("failed to read `{}`", file.display()))?;
        let secret = hex::decode(text.trim())
            .ok()
            .and_then(|it| it.try_into().ok());
        let Some(secret) = secret else {
            bail!(
                "`{}` is no secret: it must hold 64 hexadecimal digits (`openssl rand -hex 32`)",
                file.display()
            );
        };
        let ca = &settings.webhook_ca;
        let ca = (!ca.as_os_str().is_empty()).then(|| folder.join(ca));
        Ok(Some(Self {
            client: outbound::client(&settings.host()?, ca.as_deref(), settings.timeout())?,
            url: settings.webhook_url.clone(),
            secret: Secret::new(secret),
            unwritten: Mutex::default(),
        }))
    }

    async fn call(&self, id: &str, now: Timestamp, body: &str) -> Result<()> {
        let at = now.seconds().to_string();
        let parts: [&[u8]; 3] = [at.as_bytes(), b".", body.as_bytes()];
        let mac = hex::encode(seal::hmac_sha256(&self.secret, &parts));
        let request = self
            .client
            .post(&self.url)
            .header("content-type", "application/json")
            .header(ID, id)
            .header(SIGNATURE, format!("t={at},v1={mac}"))
            .body(body.to_owned());
        let answer = request
            .send()
            .await
            .context("failed to call the receiver")?;
        let status = answer.status();
        ensure!(status.is_success(), "the receiver answered {status}");
        Ok(())
    }

    /// Tells what cannot be written down, once: better twice than never.
    async fn tell_unwritten(&self, alert: &Alert, now: Timestamp) {
        let key = (
            alert.kind.clone(),
            alert.subject.clone(),
            alert.account.to_string(),
        );
        {
            let unwritten = self.unwritten.lock();
            let mut unwritten = unwritten.unwrap_or_else(PoisonError::into_inner);
            if !unwritten.insert(key) {
                return;
            }
        }
        let called = self
            .call("unwritten", now, &body(alert, Turn::Red, now))
            .await;
        if let Err(error) = called {
            tracing::warn!("the receiver of alerts did not take one: {error:#}");
        }
    }
}

/// Compares what is red with what was told, tells what turned, and makes the calls that are due.
pub(super) async fn run(installation: &Installation) -> Result<Value> {
    let control = installation.control();
    let now = installation.clock().now();
    let red: Vec<Alert> = installation.attention().find().iter().map(alert).collect();
    let told = match control.told_alerts().await {
        Ok(told) => told,
        Err(error) => {
            tell_all_unwritten(installation, &red, now).await;
            return Err(error).context("failed to read what was told");
        }
    };
    let (mut raised, mut cleared) = (0_u32, 0_u32);
    for it in red
        .iter()
        .filter(|it| !told.iter().any(|old| old.is_about(it)))
    {
        if let Err(error) = turn(installation, it, Turn::Red, now).await {
            tell_all_unwritten(installation, &red, now).await;
            return Err(error);
        }
        raised += 1;
    }
    for it in told
        .iter()
        .filter(|it| !red.iter().any(|new| new.is_about(it)))
    {
        turn(installation, it, Turn::Green, now).await?;
        cleared += 1;
    }
    if let Some(receiver) = installation.receiver() {
        let unwritten = receiver.unwritten.lock();
        unwritten.unwrap_or_else(PoisonError::into_inner).clear();
    }
    let called = call_due(installation, now).await?;
    Ok(json!({"raised": raised, "cleared": cleared, "called": called}))
}

async fn turn(
    installation: &Installation,
    alert: &Alert,
    turn: Turn,
    now: Timestamp,
) -> Result<()> {
    match turn {
        Turn::Red => tracing::error!(kind = alert.kind, "{}", alert.text),
        Turn::Green => tracing::info!(kind = alert.kind, "in order again: {}", alert.text),
    }
    let called = installation.receiver().is_some();
    let body = called.then(|| body(alert, turn, now));
    let by_mail = installation.alerts().mail;
    let told = installation
        .control()
        .turn_alert(alert, turn, by_mail, body)
        .await;
    told.context("failed to write an alert down")
}

async fn tell_all_unwritten(installation: &Installation, red: &[Alert], now: Timestamp) {
    if let Some(receiver) = installation.receiver() {
        for alert in red {
            receiver.tell_unwritten(alert, now).await;
        }
    }
}

async fn call_due(installation: &Installation, now: Timestamp) -> Result<u32> {
    let Some(receiver) = installation.receiver() else {
        return Ok(0);
    };
    let control = installation.control();
    let due = control.due_alert_calls().await;
    let mut taken = 0_u32;
    for call in due.context("failed to read which calls are due")? {
        let called = receiver.call(&call.id, now, &call.body).await;
        match &called {
            Ok(()) => taken += 1,
            Err(error) => tracing::warn!("the receiver of alerts did not take one: {error:#}"),
        }
        let noted = control.note_alert_call(&call.id, called.is_ok()).await;
        noted.context("failed to note a call")?;
    }
    Ok(taken)
}

fn alert(concern: &Concern) -> Alert {
    let text = match concern.words.is_empty() {
        true => concern.text.clone(),
        false => format!("{}: {}", concern.text, concern.words),
    };
    Alert {
        kind: concern.kind.as_str().to_owned(),
        subject: concern.subject.clone(),
        account: concern.account,
        text,
    }
}

/// What a receiver is sent.
fn body(alert: &Alert, turn: Turn, now: Timestamp) -> String {
    let state = match turn {
        Turn::Red => "red",
        Turn::Green => "green",
    };
    json!({
        "state": state,
        "kind": alert.kind,
        "subject": alert.subject,
        "account": alert.account.as_str(),
        "text": alert.text,
        "at": now.to_string(),
    })
    .to_string()
}
