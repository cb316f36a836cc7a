//! Mail goes out: what was written down is handed to the mail server.

#[cfg(test)]
mod tests;

use anyhow::{Context as _, Result};
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

use crate::compose::Installation;
use crate::config;

/// How long a mail server may take over one command.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends what waits. Without a mail server it waits on: people read it in the outbox.
pub(super) async fn run(installation: &Installation) -> Result<Value> {
    let settings = installation.mail();
    if settings.smtp_host.is_empty() {
        return Ok(json!({"sent": 0, "failed": 0}));
    }
    let control = installation.control();
    let waiting = control.unsent_mails().await;
    let waiting = waiting.context("failed to read the outbox")?;
    if waiting.is_empty() {
        return Ok(json!({"sent": 0, "failed": 0}));
    }
    let transport = transport(settings, installation.folder())?;
    let from: Mailbox = settings.from.parse().context("`mail.from` is no address")?;
    let (mut sent, mut failed) = (0_u32, 0_u32);
    for entry in waiting {
        let outcome = match message(&from, &entry.mail) {
            Ok(message) => transport.send(message).await.map(drop).map_err(Into::into),
            Err(error) => Err(error),
        };
        match &outcome {
            Ok(()) => sent += 1,
            Err(error) => {
                failed += 1;
                tracing::warn!("a mail was not taken by the mail server: {}", reason(error));
            }
        }
        let noted = control.note_mail(&entry.id, outcome.is_ok()).await;
        noted.context("failed to note what became of a mail")?;
    }
    Ok(json!({"sent": sent, "failed": failed}))
}

/// Why a mail was not taken, without what the server said: it may name the recipient.
fn reason(error: &anyhow::Error) -> String {
    let Some(smtp) = error.downcast_ref::<lettre::transport::smtp::Error>() else {
        return format!("{error}");
    };
    match smtp.status() {
        Some(code) => format!("it answered {code}"),
        None if smtp.is_timeout() => String::from("it took too long"),
        None if smtp.is_tls() => String::from("TLS failed"),
        None if smtp.is_client() => String::from("it does not offer what is asked of it"),
        None => String::from("the connection failed"),
    }
}

fn message(from: &Mailbox, mail: &control::Mail) -> Result<Message> {
    let to: Mailbox = mail.to.parse().context("the mail's address is none")?;
    Message::builder()
        .from(from.clone())
        .to(to)
        .subject(&mail.subject)
        .body(mail.text.clone())
        .context("failed to put a mail together")
}

fn transport(settings: &config::Mail, folder: &Path) -> Result<AsyncSmtpTransport<Tokio1Executor>> {
    let host = &settings.smtp_host;
    let tls = match settings.smtp_security.as_str() {
        "none" => Tls::None,
        "tls" => Tls::Wrapper(parameters(settings, folder)?),
        _ => Tls::Required(parameters(settings, folder)?),
    };
    let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host).tls(tls);
    let builder = builder.port(settings.smtp_port).timeout(Some(PATIENCE));
    if settings.smtp_user.is_empty() {
        return Ok(builder.build());
    }
    let file = folder.join(&settings.smtp_password_file);
    let password = std::fs::read_to_string(&file)
        .with_context(|| format!("failed to read `{}`", file.display()))?;
    let password = password.trim_end().to_owned();
    Ok(builder
        .credentials(Credentials::new(settings.smtp_user.clone(), password))
        .build())
}

/// Whose certificates are believed: one authority's, or the public ones'.
fn parameters(settings: &config::Mail, folder: &Path) -> Result<TlsParameters> {
    let builder = TlsParameters::builder(settings.smtp_host.clone());
    let builder = match settings.smtp_ca.as_os_str().is_empty() {
        true => builder,
        false => {
            let file = folder.join(&settings.smtp_ca);
            let fail = || format!("failed to read the authority `{}`", file.display());
            let pem = std::fs::read(&file).with_context(fail)?;
            let roots = CertificateDer::pem_slice_iter(&pem);
            let mut builder = builder.certificate_store(CertificateStore::None);
            for root in roots {
                let root = root.with_context(fail)?.to_vec();
                builder = builder.add_root_certificate(Certificate::from_der(root)?);
            }
            builder
        }
    };
    builder.build().context("failed to set TLS up")
}
