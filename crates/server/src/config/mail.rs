//! `[mail]`: how mail goes out.

use anyhow::{Result, bail};

section! {
    /// How invitations and links for forgotten passwords go out. Without a mail server they wait in the
    /// outbox (`strongroom user outbox`).
    struct Mail {
        /// The mail server; none when empty.
        smtp_host: String = String::new(),
        /// Its port.
        smtp_port: u16 = 587,
        /// How the connection is kept secret: `starttls`, `tls` from the first byte, or `none` (on a
        /// loopback address only).
        smtp_security: String = "starttls".to_owned(),
        /// The name to sign in with; none when empty.
        smtp_user: String = String::new(),
        /// The file that holds the password, mode 0600.
        smtp_password_file: std::path::PathBuf = std::path::PathBuf::new(),
        /// The authority of the server's certificate, PEM; the public ones when empty.
        smtp_ca: std::path::PathBuf = std::path::PathBuf::new(),
        /// Whom mails come from.
        from: String = "Strongroom <strongroom@localhost>".to_owned(),
    }
}

impl Mail {
    /// Whether the values are within their bounds.
    pub(super) fn check(&self) -> Result<()> {
        let is_local = matches!(self.smtp_host.as_str(), "localhost" | "127.0.0.1" | "::1");
        match self.smtp_security.as_str() {
            "starttls" | "tls" => Ok(()),
            "none" if is_local || self.smtp_host.is_empty() => Ok(()),
            "none" => bail!(
                "`mail.smtp_security` is `none`: that is allowed for a server on this machine only"
            ),
            other => bail!("`mail.smtp_security` is `{other}`: it must be starttls, tls or none"),
        }
    }
}
