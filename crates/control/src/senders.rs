//! Which senders an account takes: the domains of web pages, and messages encrypted in transit.
//!
//! The domains hold in collection, which works from the account's rules. A domain is a host's name as
//! browsers send it: in small letters, without scheme, port and path.

use model::AccountId;

use crate::account::read;
use crate::audit::Action;
use crate::authz::Act;
use crate::control::Control;
use crate::{Actor, Error, Result};

/// Domains of one account.
const DOMAINS_MAX: usize = 20;
/// Bytes of a domain (DNS).
const DOMAIN_BYTES_MAX: usize = 253;

impl Control {
    /// Changes the domains whose pages may send to an account: takes out, then adds. What is out or
    /// in already is no error.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] for what is no domain, or too many;
    /// [`model::ErrorKind::Conflict`] for a domain beside its own `www.`, which it stands for; as
    /// [`Control::account`].
    pub async fn change_domains(
        &self,
        actor: &Actor,
        id: AccountId,
        add: &[String],
        remove: &[String],
    ) -> Result<Vec<String>> {
        let add = add.iter().map(|it| legal_domain(it));
        let add = add.collect::<Result<Vec<_>>>()?;
        let remove = remove.iter().map(|it| legal_domain(it));
        let remove = remove.collect::<Result<Vec<_>>>()?;
        self.change(actor, Act::ManageAccount, id, move |session, desk| {
            Box::pin(async move {
                const ACT: &str = "change the domains";
                let mut domains = read(session, id).await?.account.domains;
                domains.retain(|it| !remove.contains(it));
                domains.extend(add);
                domains.sort_unstable();
                domains.dedup();
                check(&domains)?;
                sqlx::query("DELETE FROM account_domains WHERE account = $1")
                    .bind(id.as_str().to_owned())
                    .execute(session.connection())
                    .await
                    .map_err(Error::database(ACT))?;
                for domain in &domains {
                    sqlx::query("INSERT INTO account_domains (account, domain) VALUES ($1, $2)")
                        .bind(id.as_str().to_owned())
                        .bind(domain.clone())
                        .execute(session.connection())
                        .await
                        .map_err(Error::database(ACT))?;
                }
                let text = match domains.is_empty() {
                    true => "pages of any domain may send".to_owned(),
                    false => format!("pages of {} may send", domains.join(", ")),
                };
                desk.note(session, Action::DomainsChanged, id.to_string(), text)
                    .await
            })
        })
        .await?;
        Ok(self.account(actor, id).await?.domains)
    }

    /// Sets whether an account takes messages that SDKs have encrypted in transit.
    ///
    /// # Errors
    /// As [`Control::account`].
    pub async fn set_takes_encrypted(
        &self,
        actor: &Actor,
        id: AccountId,
        takes: bool,
    ) -> Result<()> {
        self.change(actor, Act::ManageAccount, id, move |session, desk| {
            Box::pin(async move {
                sqlx::query("UPDATE accounts SET encrypted_refused = $1 WHERE id = $2")
                    .bind(i64::from(!takes))
                    .bind(id.as_str().to_owned())
                    .execute(session.connection())
                    .await
                    .map_err(Error::database("change encryption in transit"))?;
                let text = match takes {
                    true => "messages encrypted in transit are taken",
                    false => "messages encrypted in transit are refused",
                };
                let (what, text) = (id.to_string(), text.to_owned());
                desk.note(session, Action::EncryptionChanged, what, text)
                    .await
            })
        })
        .await
    }
}

/// A domain as browsers send it.
fn legal_domain(text: &str) -> Result<String> {
    let domain = text.trim().trim_end_matches('.').to_ascii_lowercase();
    let is_legal = |label: &str| {
        let inner = |it: u8| it.is_ascii_alphanumeric() || it == b'-' || it == b'_';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-')
    };
    if domain.len() > DOMAIN_BYTES_MAX || !domain.split('.').all(is_legal) {
        let text = "a domain is a host's name in ASCII, without scheme, port and path";
        return Err(Error::Invalid(text.to_owned()));
    }
    Ok(domain)
}

fn check(domains: &[String]) -> Result<()> {
    if domains.len() > DOMAINS_MAX {
        let text = format!("an account has at most {DOMAINS_MAX} domains");
        return Err(Error::Invalid(text));
    }
    for domain in domains {
        if let Some(bare) = domain.strip_prefix("www.")
            && domains.iter().any(|it| it == bare)
        {
            let text = format!("`{bare}` stands for `{domain}` too: keep one of the two");
            return Err(Error::Conflict(text));
        }
    }
    Ok(())
}
