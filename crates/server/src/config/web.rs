//! `[web]`: the console's address, and what it says to people who find a weakness.

use anyhow::{Result, bail};

section! {
    /// The console, and what its `/.well-known/security.txt` says (RFC 9116).
    struct Web {
        /// The name by which browsers reach the console. Passkeys are bound to it: an address will
        /// not do.
        console_name: String = "localhost".to_owned(),
        /// Where links in mails lead, where that is not https://NAME:PORT (a proxy stands before):
        /// an `https:` address without a path.
        console_url: String = String::new(),
        /// Where to report a weakness: a `mailto:` or `https:` address.
        security_contact: String = "mailto:security@localhost".to_owned(),
        /// The address of the policy; none when empty.
        security_policy: String = String::new(),
        /// The address that the file itself has; none when empty.
        security_canonical: String = String::new(),
        /// The languages of reports.
        preferred_languages: String = "en".to_owned(),
    }
}

impl Web {
    /// Whether the values are within their bounds.
    pub(super) fn check(&self) -> Result<()> {
        let is_name = !self.console_name.is_empty()
            && self.console_name.parse::<std::net::IpAddr>().is_err()
            && self
                .console_name
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'.'));
        if !is_name {
            bail!(
                "`web.console_name` is `{}`: it must be a host name, not an address",
                self.console_name
            );
        }
        let url = &self.console_url;
        if !url.is_empty() && (!url.starts_with("https://") || url.ends_with('/')) {
            bail!(
                "`web.console_url` is `{url}`: it must begin with https:// and end without a slash"
            );
        }
        Ok(())
    }

    /// Where people reach the console, when it listens on `port`.
    pub(crate) fn console_url(&self, port: u16) -> String {
        if !self.console_url.is_empty() {
            return self.console_url.clone();
        }
        let name = &self.console_name;
        match port {
            443 => format!("https://{name}"),
            port => format!("https://{name}:{port}"),
        }
    }
}
