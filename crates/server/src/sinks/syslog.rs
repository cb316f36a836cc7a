//! A sink that speaks syslog (RFC 5424): in datagrams (RFC 5426), or on a connection with octets
//! counted (RFC 6587, section 3.4.1), under TLS or not (RFC 5425).
//!
//! Syslog has no way to say that something was taken. What was written on a connection counts as taken
//! when the connection still stands at the next turn; until then the position stays, and what a broken
//! one may have lost is sent again.

use anyhow::{Context as _, Result, bail};
use control::{Control, SinkBatch, SinkEntry};
use model::AccountId;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use syslog_fmt::v5424::{Config, Formatter, Timestamp};
use syslog_fmt::{Facility, Severity};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::UdpSocket;
use tokio_rustls::TlsConnector;

use super::Step;
use crate::config::{self, Way};
use crate::outbound::Host;

/// The name under which a receiver files what we send.
const PROGRAM: &str = "strongroom";
/// The greatest number that the structured data's `sequenceId` takes (RFC 5424, section 7.3.1).
const SEQUENCE_MAX: u64 = 2_147_483_647;

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// One receiver.
pub(super) struct Syslog {
    host: Host,
    way: Way,
    tls: Option<Arc<ClientConfig>>,
    timeout: Duration,
    formatter: Formatter,
    stream: Option<Box<dyn Stream>>,
    /// What was written on the connection and is not known to be taken.
    written: Option<Written>,
}

#[derive(Debug, Clone, Copy)]
struct Written {
    account: AccountId,
    through: u64,
    entries: u64,
    /// Whether a turn has ended since.
    is_settled: bool,
}

impl std::fmt::Debug for Syslog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Syslog")
            .field("host", &self.host)
            .field("way", &self.way)
            .finish_non_exhaustive()
    }
}

impl Syslog {
    pub(super) fn new(
        settings: &config::Sink,
        host: Host,
        way: Way,
        folder: &Path,
        host_name: &str,
    ) -> Result<Self> {
        let tls = match way {
            Way::Tls(_) => Some(Arc::new(trusting(&folder.join(&settings.ca))?)),
            Way::Udp(_) | Way::Tcp(_) | Way::Http(_) => None,
        };
        let formatter = Config {
            facility: Facility::Authpriv,
            hostname: Some(host_name),
            app_name: Some(PROGRAM),
            proc_id: None,
        };
        Ok(Self {
            host,
            way,
            tls,
            timeout: settings.timeout(),
            formatter: formatter.into_formatter(),
            stream: None,
            written: None,
        })
    }

    /// Settles what was written in the turn before; then writes one batch.
    pub(super) async fn step(&mut self, control: &Control, name: &str) -> Result<Step> {
        if let Some(written) = self.written {
            if !written.is_settled {
                // One batch a turn: the next turn tells whether the connection stood.
                self.written = Some(Written {
                    is_settled: true,
                    ..written
                });
                return Ok(Step::Idle);
            }
            self.written = None;
            self.check_connection().await?;
            let noted = control
                .sink_took(name, written.account, written.through)
                .await;
            noted.context("failed to note what a sink took: it will be sent again")?;
            return Ok(Step::Took(written.entries));
        }
        let batch = control.sink_batch(name).await;
        let Some(batch) = batch.context("failed to read what is to be sent")? else {
            return Ok(Step::Idle);
        };
        match tokio::time::timeout(self.timeout, self.write(&batch)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                self.stream = None;
                return Err(error);
            }
            Err(_) => {
                self.stream = None;
                bail!("it took longer than {:?}", self.timeout);
            }
        }
        let entries = u64::try_from(batch.entries.len())?;
        if self.stream.is_none() {
            let noted = control.sink_took(name, batch.account, batch.through).await;
            noted.context("failed to note what a sink took: it will be sent again")?;
            return Ok(Step::Took(entries));
        }
        self.written = Some(Written {
            account: batch.account,
            through: batch.through,
            entries,
            is_settled: false,
        });
        Ok(Step::Took(0))
    }

    async fn write(&mut self, batch: &SinkBatch) -> Result<()> {
        if let Way::Udp(port) = self.way {
            let to = self.host.addresses(port).await?;
            let to = to.first().context("the name leads nowhere")?;
            let from = match to.is_ipv4() {
                true => "0.0.0.0:0",
                false => "[::]:0",
            };
            let socket = UdpSocket::bind(from)
                .await
                .context("failed to open a socket")?;
            for entry in &batch.entries {
                let message = self.message(entry)?;
                let sent = socket.send_to(&message, to).await;
                sent.context("failed to send a datagram")?;
            }
            return Ok(());
        }
        let mut bytes = Vec::new();
        for entry in &batch.entries {
            let message = self.message(entry)?;
            bytes.extend_from_slice(format!("{} ", message.len()).as_bytes());
            bytes.extend_from_slice(&message);
        }
        if self.stream.is_none() {
            self.stream = Some(self.connect().await?);
        }
        let stream = self.stream.as_mut().context("there is no connection")?;
        stream.write_all(&bytes).await.context("failed to write")?;
        stream.flush().await.context("failed to write")
    }

    async fn connect(&self) -> Result<Box<dyn Stream>> {
        let (Way::Tcp(port) | Way::Tls(port)) = self.way else {
            bail!("it takes no connections");
        };
        let tcp = self.host.connect(port).await?;
        let Some(config) = &self.tls else {
            return Ok(Box::new(tcp));
        };
        let name = ServerName::try_from(self.host.name.clone()).context("it is no name")?;
        let tls = TlsConnector::from(Arc::clone(config))
            .connect(name, tcp)
            .await;
        Ok(Box::new(tls.context("failed to agree on TLS")?))
    }

    /// Whether the connection still stands: a receiver that has gone has closed it or reset it.
    async fn check_connection(&mut self) -> Result<()> {
        let Some(stream) = self.stream.as_mut() else {
            bail!("the connection was lost");
        };
        // What the receiver did meanwhile is seen when the runtime has looked.
        tokio::task::yield_now().await;
        let mut byte = [0_u8; 1];
        let seen = poll_fn(|context| {
            let mut buffer = ReadBuf::new(&mut byte);
            match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                Poll::Pending => Poll::Ready(Ok(true)),
                Poll::Ready(Ok(())) => Poll::Ready(Ok(!buffer.filled().is_empty())),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            }
        });
        let seen = seen.await;
        if !matches!(seen, Ok(true)) {
            self.stream = None;
            seen.context("the connection was lost")?;
            bail!("the receiver has closed the connection");
        }
        Ok(())
    }

    /// One message: the entry as it is downloaded, under its own time and kind.
    fn message(&self, entry: &SinkEntry) -> Result<Vec<u8>> {
        let mut message = Vec::new();
        let severity = match entry.has_failed {
            true => Severity::Warning,
            false => Severity::Notice,
        };
        let sequence = (entry.sequence % SEQUENCE_MAX).to_string();
        let meta = [("meta", [("sequenceId", sequence.as_str())])];
        let at = entry.at.to_string();
        self.formatter
            .write_with_data(
                &mut message,
                severity,
                Timestamp::PreformattedStr(&at),
                entry.line.as_str(),
                Some(entry.action.as_str()),
                meta,
            )
            .context("failed to write a message")?;
        Ok(message)
    }
}

/// TLS towards a receiver whose certificate is of that authority.
fn trusting(ca: &Path) -> Result<ClientConfig> {
    let fail = || format!("failed to read the authority `{}`", ca.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).with_context(fail)? {
        roots
            .add(certificate.with_context(fail)?)
            .with_context(fail)?;
    }
    Ok(ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth())
}
