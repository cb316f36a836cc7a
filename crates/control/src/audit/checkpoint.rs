//! Signed heads of the audit logs: what somebody keeps elsewhere to find out later that entries
//! were taken away.
//!
//! Nothing is signed that does not continue the checkpoint that was published before it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::AccountId;
use seal::merkle::{Frontier, Hash};
use seal::{SigningKey, VerifyingKey};

use super::{Action, log};
use crate::authz::Act;
use crate::control::Control;
use crate::{Actor, Error, Result, SharedKeyring};

/// The head of a log: how many entries it has, and their root.
///
/// # Source
/// C2SP tlog-checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: the key's name, then `/audit/` and the account.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// Their root.
    pub root: Hash,
}

impl Checkpoint {
    /// Reads the text of a note.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let found = Self {
            origin: origin.to_owned(),
            size: size.parse().ok()?,
            root: hash_from_text(root)?,
        };
        (lines.next().is_none() && found.text() == text).then_some(found)
    }

    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            hash_text(&self.root)
        )
    }

    /// The account whose log this is, when a key of the name `key_name` signs it.
    #[must_use]
    pub fn account(&self, key: &VerifyingKey) -> Option<AccountId> {
        let rest = self.origin.strip_prefix(key.name())?;
        rest.strip_prefix("/audit/")?.parse().ok()
    }
}

pub(crate) fn hash_text(hash: &Hash) -> String {
    STANDARD.encode(hash)
}

pub(crate) fn hash_from_text(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// The name of the log of `account` among everything that the key signs.
pub(crate) fn origin(key: &VerifyingKey, account: &str) -> String {
    format!("{}/audit/{account}", key.name())
}

/// How the installation's log tells the head of another.
pub(crate) fn head_words(size: u64, root: &Hash) -> String {
    format!("size {size} root {}", hash_text(root))
}

/// What [`head_words`] said.
pub(crate) fn head_from_words(words: &str) -> Option<(u64, Hash)> {
    let (size, root) = words.strip_prefix("size ")?.split_once(" root ")?;
    Some((size.parse().ok()?, hash_from_text(root)?))
}

/// The key that signs heads, downloads and receipts of deletions. It follows from the root key, so it
/// is wherever the keyring is, and nowhere else.
pub(crate) fn signing_key(keyring: &SharedKeyring) -> Result<SigningKey> {
    let store = hex::encode(keyring.current().store_id());
    let seed = keyring.secret("audit signing v1");
    Ok(SigningKey::from_seed(
        &format!("strongroom/{store}"),
        &seed,
    )?)
}

impl Control {
    /// The key that checks what this installation has signed, as text: `name+id+key`.
    ///
    /// # Errors
    /// [`model::ErrorKind::Internal`] when the library refuses.
    pub fn audit_key(&self) -> Result<String> {
        Ok(signing_key(&self.keyring)?.verifying().to_string())
    }

    /// The signed head of an account's log, to be published; none when it has not grown since
    /// `published`, the signed head of before. An account's head is also written into the
    /// installation's log.
    ///
    /// # Errors
    /// [`model::ErrorKind::Corrupt`] when the log does not continue what was published, or its
    /// leaves do not give its head: nothing is signed then. [`model::ErrorKind::Unavailable`] when
    /// the database does not answer.
    pub async fn audit_checkpoint(
        &self,
        actor: &Actor,
        account: AccountId,
        published: Option<&str>,
    ) -> Result<Option<String>> {
        self.authorize(actor, Act::ManageInstallation, AccountId::installation())
            .await?;
        let key = signing_key(&self.keyring)?;
        let head = self
            .database
            .read(move |session| Box::pin(log::frontier(session, account)))
            .await?;
        let before = match published {
            Some(note) => continued(&key, account, note)?,
            None => (0, Frontier::default().root()),
        };
        if before == (head.size(), head.root()) {
            return Ok(None);
        }
        let past = log::roots(&self.database, account, before.0, &head).await?;
        if before.0 > head.size() || past != before.1 {
            let reason = "it does not continue the checkpoint that was published last";
            return Err(log::damaged(account, reason));
        }
        if account != AccountId::installation() {
            let (object, words) = (account.to_string(), head_words(head.size(), &head.root()));
            self.act(
                actor,
                Act::ManageInstallation,
                AccountId::installation(),
                move |session, desk| {
                    Box::pin(async move {
                        desk.note(session, Action::AuditHeadLogged, object, words)
                            .await
                    })
                },
            )
            .await?;
        }
        Ok(Some(sign(&key, account, &head)))
    }

    /// Removes entries from before a moment, at most a page of them: the answer says how many. Their
    /// leaves stay, so that every proof still holds.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`]; [`model::ErrorKind::Unavailable`].
    pub async fn purge_audit(
        &self,
        actor: &Actor,
        account: AccountId,
        before: model::Timestamp,
    ) -> Result<u64> {
        self.act(
            actor,
            Act::ManageInstallation,
            account,
            move |session, desk| {
                Box::pin(async move {
                    let purged = log::purge(session, account, before).await?;
                    if purged > 0 {
                        let words = format!("{purged} entries from before {before}");
                        let object = account.to_string();
                        desk.note(session, Action::AuditPurged, object, words)
                            .await?;
                    }
                    Ok(purged)
                })
            },
        )
        .await
    }
}

/// A head as a signed note.
pub(crate) fn sign(key: &SigningKey, account: AccountId, head: &Frontier) -> String {
    let checkpoint = Checkpoint {
        origin: origin(key.verifying(), account.as_str()),
        size: head.size(),
        root: head.root(),
    };
    key.sign_note(&checkpoint.text())
}

/// What a published note says of the account's log.
fn continued(key: &SigningKey, account: AccountId, note: &str) -> Result<(u64, Hash)> {
    let name = || format!("the published checkpoint of account `{account}`");
    let text = key.verifying().open_note(note);
    let text =
        text.ok_or_else(|| Error::damaged(name(), "it is not signed by this installation"))?;
    let found = Checkpoint::parse(text)
        .filter(|it| it.origin == origin(key.verifying(), account.as_str()))
        .ok_or_else(|| Error::damaged(name(), "it is not of this log"))?;
    Ok((found.size, found.root))
}
