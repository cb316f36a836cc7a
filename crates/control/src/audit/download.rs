//! A download of audit logs: every entry with its proof, every head signed, and a signed digest of
//! the whole at the end. Drawn in `docs/formats/audit.md`.
//!
//! It comes in pieces; the log may grow meanwhile, the download ends where its head says. What a
//! purge removes meanwhile appears as purged.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::tz::TimeZone;
use model::AccountId;
use seal::merkle::{Frontier, Tree};
use seal::{Sha256, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

use super::checkpoint::{hash_text, sign, signing_key};
use super::{Action, AuditFilter, AuditOutcome, Saved, csv, list, log};
use crate::authz::Act;
use crate::control::Control;
use crate::{Actor, Error, Result};

/// Entries in a piece.
const PIECE_ENTRIES: u32 = 256;
/// Leaves of one log that a download holds in memory, 64 bytes each.
const LEAVES_MAX: u64 = 16_000_000;

/// How a download is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownloadFormat {
    /// JSON Lines with proofs and signatures: it can be verified.
    JsonLines,
    /// For spreadsheets: it cannot.
    Csv,
}

/// The name of the format, in the first line.
pub(crate) const FORMAT: &str = "strongroom audit download";
/// Its version.
pub(crate) const VERSION: u32 = 1;

/// A line of a download.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Line {
    /// The first.
    Download(Opening),
    /// A log begins.
    Log(Head),
    /// An entry of it.
    Entry(Box<EntryLine>),
    /// An entry that is gone.
    Purged(PurgedLine),
    /// The last.
    End(End),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Opening {
    pub(crate) format: String,
    pub(crate) version: u32,
    /// Who signs, in this download's own words.
    pub(crate) key: String,
    pub(crate) made_at: String,
    /// What was asked for, when not everything was.
    pub(crate) filter: Option<FilterWords>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FilterWords {
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) actors: Vec<String>,
    pub(crate) actions: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) account: String,
    pub(crate) size: u64,
    pub(crate) checkpoint: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct EntryLine {
    pub(crate) account: String,
    pub(crate) sequence: u64,
    pub(crate) at: String,
    pub(crate) at_ms: i64,
    pub(crate) actor_kind: String,
    pub(crate) actor: String,
    pub(crate) role: String,
    pub(crate) action: String,
    pub(crate) action_id: String,
    pub(crate) description: String,
    pub(crate) outcome: String,
    pub(crate) peer: Option<String>,
    pub(crate) salt: String,
    pub(crate) leaf: String,
    pub(crate) proof: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PurgedLine {
    pub(crate) account: String,
    pub(crate) sequence: u64,
    pub(crate) leaf: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) logs: u64,
    pub(crate) entries: u64,
    pub(crate) purged: u64,
    /// A signed note: the digest of every byte before this line.
    pub(crate) note: String,
}

/// The text that is signed at the end.
pub(crate) fn digest_text(key: &VerifyingKey, digest: &[u8; 32]) -> String {
    format!("{}/audit-download\n{}\n", key.name(), hash_text(digest))
}

/// A line as it is written, with its end.
pub(crate) fn line_text(line: &Line) -> Result<String> {
    let mut text = serde_json::to_string(line)
        .map_err(|_| Error::Internal("failed to write a line of an audit download".to_owned()))?;
    text.push('\n');
    Ok(text)
}

/// A download under way.
#[derive(Debug)]
pub struct AuditDownload {
    control: Control,
    actor: Actor,
    filter: AuditFilter,
    format: DownloadFormat,
    key: SigningKey,
    waiting: VecDeque<AccountId>,
    open: Option<Section>,
    digest: Sha256,
    stage: Stage,
    checkpoints: Vec<(AccountId, String)>,
    logs: u64,
    entries: u64,
    purged: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begin,
    Logs,
    Ended,
}

/// The log that is being written.
#[derive(Debug)]
struct Section {
    account: AccountId,
    size: u64,
    tree: Option<Tree>,
    zone: TimeZone,
    /// The last number that was written or passed over.
    after: u64,
    entries: u64,
}

impl Control {
    /// Begins a download of one account's log, or of every log, the installation's first. Each log
    /// that is downloaded says so itself, before its first entry leaves and after its last.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`] when the actor may not read one of them;
    /// [`model::ErrorKind::NotFound`]; [`model::ErrorKind::Unavailable`].
    pub async fn download_audit(
        &self,
        actor: &Actor,
        account: Option<AccountId>,
        filter: AuditFilter,
        format: DownloadFormat,
    ) -> Result<AuditDownload> {
        let installation = AccountId::installation();
        let mut waiting = VecDeque::new();
        {
            let rules = self.rules();
            let rules = rules.borrow();
            match account {
                Some(id) if id != installation && rules.account(id).is_none() => {
                    return Err(Error::NotFound(format!("account `{id}`")));
                }
                Some(id) => waiting.push_back(id),
                None => {
                    let mut ids: Vec<AccountId> = rules.accounts.keys().copied().collect();
                    ids.sort_unstable();
                    waiting.push_back(installation);
                    waiting.extend(ids);
                }
            }
        }
        for id in &waiting {
            self.authorize(actor, Act::ReadAudit, *id).await?;
        }
        Ok(AuditDownload {
            control: self.clone(),
            actor: actor.clone(),
            filter,
            format,
            key: signing_key(&self.keyring)?,
            waiting,
            open: None,
            digest: Sha256::default(),
            stage: Stage::Begin,
            checkpoints: Vec::new(),
            logs: 0,
            entries: 0,
            purged: 0,
        })
    }
}

impl AuditDownload {
    /// How many entries were written so far.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// The signed heads in it so far, by account: to be published.
    #[must_use]
    pub fn checkpoints(&self) -> &[(AccountId, String)] {
        &self.checkpoints
    }

    /// The next piece of the file; none when it is whole.
    ///
    /// # Errors
    /// [`model::ErrorKind::Corrupt`] when an entry is not what was logged;
    /// [`model::ErrorKind::Unavailable`]. The file is not whole then.
    pub async fn next_piece(&mut self) -> Result<Option<String>> {
        let piece = match self.stage {
            Stage::Ended => return Ok(None),
            Stage::Begin => {
                self.stage = Stage::Logs;
                self.opening()?
            }
            Stage::Logs => match self.open.take() {
                Some(section) if section.after < section.size => self.rows(section).await?,
                Some(section) => {
                    self.close_log(&section).await?;
                    String::new()
                }
                None => match self.waiting.pop_front() {
                    Some(account) => self.open_log(account).await?,
                    None => {
                        self.stage = Stage::Ended;
                        self.ending()?
                    }
                },
            },
        };
        self.digest.update(piece.as_bytes());
        Ok(Some(piece))
    }

    fn opening(&self) -> Result<String> {
        if self.format == DownloadFormat::Csv {
            return Ok(csv::HEAD.to_owned());
        }
        let filter = self.filter.restricts().then(|| FilterWords {
            from: self.filter.from.map(|at| at.to_string()),
            to: self.filter.to.map(|at| at.to_string()),
            actors: self.filter.actors.clone(),
            actions: self
                .filter
                .actions
                .iter()
                .map(|it| it.as_str().to_owned())
                .collect(),
        });
        line_text(&Line::Download(Opening {
            format: FORMAT.to_owned(),
            version: VERSION,
            key: self.key.verifying().to_string(),
            made_at: self.control.clock.now().to_string(),
            filter,
        }))
    }

    /// Writes down that the log is downloaded, and fixes its head.
    async fn open_log(&mut self, account: AccountId) -> Result<String> {
        let begun = self.words();
        let head = self
            .control
            .act(
                &self.actor,
                Act::ReadAudit,
                account,
                move |session, desk| {
                    Box::pin(async move {
                        let (object, outcome) = (account.to_string(), AuditOutcome::Begun);
                        desk.note_outcome(session, Action::AuditExported, object, begun, outcome)
                            .await?;
                        log::frontier(session, account).await
                    })
                },
            )
            .await?;
        let tree = match self.format {
            DownloadFormat::JsonLines => Some(self.tree(account, &head).await?),
            DownloadFormat::Csv => None,
        };
        let zone = {
            let rules = self.control.rules();
            let rules = rules.borrow();
            rules
                .account(account)
                .map_or(TimeZone::UTC, |rules| rules.time_zone.clone())
        };
        self.logs = self.logs.saturating_add(1);
        self.open = Some(Section {
            account,
            size: head.size(),
            tree,
            zone,
            after: 0,
            entries: 0,
        });
        match self.format {
            DownloadFormat::Csv => Ok(String::new()),
            DownloadFormat::JsonLines => {
                let checkpoint = sign(&self.key, account, &head);
                self.checkpoints.push((account, checkpoint.clone()));
                line_text(&Line::Log(Head {
                    account: account.to_string(),
                    size: head.size(),
                    checkpoint,
                }))
            }
        }
    }

    async fn tree(&self, account: AccountId, head: &Frontier) -> Result<Tree> {
        if head.size() > LEAVES_MAX {
            let text = format!("a log of more than {LEAVES_MAX} entries cannot be proved at once");
            return Err(Error::Invalid(text));
        }
        log::tree(&self.control.database, account, head).await
    }

    /// The next rows of the open log.
    async fn rows(&mut self, mut section: Section) -> Result<String> {
        let filter = AuditFilter {
            after: Some(section.after),
            limit: PIECE_ENTRIES,
            ..self.filter.clone()
        };
        let (account, size) = (section.account, section.size);
        let sealer = std::sync::Arc::clone(&self.control.sealer);
        let page = self
            .control
            .database
            .read(move |session| {
                Box::pin(async move { list(session, &sealer, account, &filter, size).await })
            })
            .await?;
        let last = usize::try_from(PIECE_ENTRIES).is_ok_and(|full| page.len() < full);
        let mut piece = String::new();
        for saved in &page {
            self.gap(&mut section, saved.entry.sequence, &mut piece)?;
            match self.format {
                DownloadFormat::Csv => csv::line(&saved.entry, &section.zone, &mut piece),
                DownloadFormat::JsonLines => piece.push_str(&entry_text(&section, saved)?),
            }
            section.after = saved.entry.sequence;
            section.entries = section.entries.saturating_add(1);
            self.entries = self.entries.saturating_add(1);
        }
        if last {
            self.gap(&mut section, size.saturating_add(1), &mut piece)?;
            section.after = size;
        }
        self.open = Some(section);
        Ok(piece)
    }

    /// The leaves of purged entries before number `next`.
    fn gap(&mut self, section: &mut Section, next: u64, piece: &mut String) -> Result<()> {
        let Some(tree) = section.tree.as_ref().filter(|_| !self.filter.restricts()) else {
            return Ok(());
        };
        for sequence in section.after.saturating_add(1)..next {
            let leaf = tree.leaf(sequence.saturating_sub(1));
            let leaf = leaf.ok_or_else(|| log::damaged(section.account, "a leaf is missing"))?;
            piece.push_str(&line_text(&Line::Purged(PurgedLine {
                account: section.account.to_string(),
                sequence,
                leaf: hash_text(&leaf),
            }))?);
            self.purged = self.purged.saturating_add(1);
        }
        Ok(())
    }

    async fn close_log(&self, section: &Section) -> Result<()> {
        let words = format!("{}: {} entries", self.words(), section.entries);
        let object = section.account.to_string();
        self.control
            .act(
                &self.actor,
                Act::ReadAudit,
                section.account,
                move |session, desk| {
                    Box::pin(async move {
                        desk.note(session, Action::AuditExported, object, words)
                            .await
                    })
                },
            )
            .await
    }

    fn ending(&mut self) -> Result<String> {
        if self.format == DownloadFormat::Csv {
            return Ok(String::new());
        }
        let digest = std::mem::take(&mut self.digest).finish();
        let text = digest_text(self.key.verifying(), &digest);
        line_text(&Line::End(End {
            logs: self.logs,
            entries: self.entries,
            purged: self.purged,
            note: self.key.sign_note(&text),
        }))
    }

    fn words(&self) -> String {
        let format = match self.format {
            DownloadFormat::JsonLines => "JSON Lines",
            DownloadFormat::Csv => "CSV",
        };
        let part = if self.filter.restricts() {
            "a part"
        } else {
            "the whole"
        };
        format!("{part} as {format}")
    }
}

fn entry_text(section: &Section, saved: &Saved) -> Result<String> {
    let index = saved.entry.sequence.saturating_sub(1);
    let proof = section.tree.as_ref().and_then(|tree| tree.inclusion(index));
    let proof = proof.ok_or_else(|| log::damaged(section.account, "a leaf is missing"))?;
    let proof = proof.iter().map(hash_text).collect();
    line_text(&Line::Entry(Box::new(EntryLine::of(saved, proof))))
}

impl EntryLine {
    /// An entry as it is written out.
    pub(crate) fn of(saved: &Saved, proof: Vec<String>) -> Self {
        let entry = &saved.entry;
        Self {
            account: entry.account.to_string(),
            sequence: entry.sequence,
            at: entry.at.to_string(),
            at_ms: entry.at.ms(),
            actor_kind: entry.actor_kind.clone(),
            actor: entry.actor.clone(),
            role: entry.role.clone(),
            action: entry.action.as_str().to_owned(),
            action_id: entry.action_id.clone(),
            description: entry.description.clone(),
            outcome: entry.outcome.as_str().to_owned(),
            peer: entry.peer.map(|peer| peer.to_string()),
            salt: STANDARD.encode(saved.salt),
            leaf: hash_text(&saved.leaf),
            proof,
        }
    }
}
