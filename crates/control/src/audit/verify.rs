//! Whether a download is what an installation has logged: offline, from its bytes alone.
//!
//! Nothing is believed that is not recomputed. Every finding is told, up to a limit, so that one
//! sees where a file was touched.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{AccountId, Timestamp};
use seal::merkle::{Hash, Tree, proves_inclusion};
use seal::{Sha256, VerifyingKey};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _};

use super::Action;
use super::checkpoint::{Checkpoint, hash_from_text, head_from_words, origin};
use super::download::{End, EntryLine, FORMAT, Head, Line, Opening, PurgedLine, VERSION};
use super::download::{digest_text, line_text};
use super::leaf::{Fields, SALT_BYTES};

/// A line is never longer: 12 fields, 64 hashes.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// Findings that are told.
const FINDINGS_MAX: usize = 100;

/// What was found in a download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The logs, in their order.
    pub logs: Vec<VerifiedLog>,
    /// Whether it holds only what a filter wanted: that nothing was left out is then the signer's
    /// word for the whole file, not a proof.
    pub filtered: bool,
    /// The key that the file names.
    pub key: Option<String>,
    /// Whether that key was compared with one that the caller brought.
    pub signer_checked: bool,
    /// The checkpoint that was compared: its size.
    pub checkpoint_size: Option<u64>,
    /// Everything that is wrong, in words; at most 100.
    pub findings: Vec<String>,
}

/// One log of a download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifiedLog {
    /// Whose; `0` for the installation.
    pub account: String,
    /// Entries that it has had.
    pub size: u64,
    /// Entries in the file.
    pub entries: u64,
    /// Entries that were purged.
    pub purged: u64,
}

impl Verification {
    /// Whether everything holds.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Reads a download and checks all of it; against `key` when the caller has it from elsewhere, and
/// against `checkpoint`, a signed note that was kept elsewhere.
///
/// # Errors
/// When the file cannot be read. Everything that is wrong with it is a finding.
pub fn verify(
    file: impl BufRead,
    key: Option<&str>,
    checkpoint: Option<&str>,
) -> io::Result<Verification> {
    let mut check = Check::new(key);
    check.read(file)?;
    check.compare_heads();
    if let Some(note) = checkpoint {
        check.compare_checkpoint(note);
    }
    Ok(check.found)
}

/// A log as far as it was read.
#[derive(Debug)]
struct Section {
    account: String,
    checkpoint: Option<Checkpoint>,
    size: u64,
    /// The last number seen.
    last: u64,
    leaves: Vec<Hash>,
    entries: u64,
    purged: u64,
}

#[derive(Debug)]
struct Check {
    key: Option<VerifyingKey>,
    found: Verification,
    line: u64,
    open: Option<Section>,
    /// Whole logs, by account.
    trees: BTreeMap<String, Tree>,
    /// Heads of logs that are not whole here.
    heads: BTreeMap<String, Checkpoint>,
    /// Heads that the installation's log tells: line, account, size, root.
    told: Vec<(u64, String, u64, Hash)>,
    ended: bool,
}

impl Check {
    fn new(key: Option<&str>) -> Self {
        let mut check = Self {
            key: None,
            found: Verification {
                logs: Vec::new(),
                filtered: false,
                key: None,
                signer_checked: key.is_some(),
                checkpoint_size: None,
                findings: Vec::new(),
            },
            line: 0,
            open: None,
            trees: BTreeMap::new(),
            heads: BTreeMap::new(),
            told: Vec::new(),
            ended: false,
        };
        if let Some(text) = key {
            check.key = VerifyingKey::parse(text.trim());
            if check.key.is_none() {
                check.find("the key given is not a key: it must read name+id+key");
            }
        }
        check
    }

    fn find(&mut self, what: impl Into<String>) {
        if self.found.findings.len() < FINDINGS_MAX {
            self.found.findings.push(what.into());
        }
    }

    fn find_here(&mut self, what: impl std::fmt::Display) {
        let line = self.line;
        self.find(format!("line {line}: {what}"));
    }

    fn read(&mut self, mut file: impl BufRead) -> io::Result<()> {
        let mut digest = Sha256::default();
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            file.by_ref()
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut bytes)?;
            if bytes.is_empty() {
                break;
            }
            self.line = self.line.saturating_add(1);
            if self.ended {
                self.find_here("there is something after the end");
                return Ok(());
            }
            match parse(&bytes) {
                Some(Line::End(end)) => self.end(&end, std::mem::take(&mut digest).finish()),
                Some(Line::Download(opening)) => self.opening(&opening),
                Some(Line::Log(head)) => self.head(&head),
                Some(Line::Entry(entry)) => self.entry(&entry),
                Some(Line::Purged(purged)) => self.purged(&purged),
                None => {
                    self.find_here("it is not a line of an audit download as it was written");
                    if self.line == 1 {
                        self.find("only JSON Lines downloads can be verified");
                        return Ok(());
                    }
                }
            }
            digest.update(&bytes);
        }
        if !self.ended {
            self.close();
            self.find("the file is cut short: its last line is missing");
        }
        Ok(())
    }

    fn opening(&mut self, opening: &Opening) {
        if self.line != 1 {
            return self.find_here("a second beginning");
        }
        if opening.format != FORMAT || opening.version != VERSION {
            self.find_here("the format or its version is unknown");
        }
        self.found.filtered = opening.filter.is_some();
        self.found.key = Some(opening.key.clone());
        let named = VerifyingKey::parse(&opening.key);
        match (&self.key, named) {
            (_, None) => self.find_here("the key that the file names is not a key"),
            (Some(given), Some(named)) if *given != named => {
                self.find_here("it is signed by another key than the one given");
            }
            (Some(_), Some(_)) => {}
            (None, named) => self.key = named,
        }
    }

    fn head(&mut self, head: &Head) {
        self.close();
        let checkpoint = self.key.as_ref().and_then(|key| {
            let found = Checkpoint::parse(key.open_note(&head.checkpoint)?)?;
            (found.origin == origin(key, &head.account)).then_some(found)
        });
        match &checkpoint {
            None => self
                .find_here("the checkpoint is not signed by the file's key, or is of another log"),
            Some(it) if it.size != head.size => {
                self.find_here("the checkpoint has another size than the log");
            }
            Some(_) => {}
        }
        let known = self.found.logs.iter().any(|it| it.account == head.account);
        if known || head.account.parse::<AccountId>().is_err() {
            self.find_here("the log is of no account, or there for a second time");
        }
        self.open = Some(Section {
            account: head.account.clone(),
            checkpoint,
            size: head.size,
            last: 0,
            leaves: Vec::new(),
            entries: 0,
            purged: 0,
        });
    }

    fn entry(&mut self, line: &EntryLine) {
        let salt = STANDARD.decode(&line.salt).ok();
        let salt: Option<[u8; SALT_BYTES]> = salt.and_then(|salt| salt.try_into().ok());
        let fields = Fields {
            account: &line.account,
            sequence: line.sequence,
            at_ms: line.at_ms,
            actor_kind: &line.actor_kind,
            actor: &line.actor,
            role: &line.role,
            action: &line.action,
            action_id: &line.action_id,
            description: &line.description,
            outcome: &line.outcome,
            peer: line.peer.as_deref().unwrap_or_default(),
        };
        let computed = salt.map(|salt| fields.hash(&salt));
        let stated = hash_from_text(&line.leaf);
        if computed.is_none() || computed != stated || line.peer.as_deref() == Some("") {
            let words = format!(
                "entry {} of account {} was edited",
                line.sequence, line.account
            );
            self.find_here(words);
        }
        let Some(leaf) = stated else { return };
        if !self.step(&line.account, line.sequence, leaf) {
            return;
        }
        let proof: Option<Vec<Hash>> = line.proof.iter().map(|it| hash_from_text(it)).collect();
        let proved = self.open.as_mut().and_then(|section| {
            section.entries = section.entries.saturating_add(1);
            let head = section.checkpoint.as_ref()?;
            let index = line.sequence.checked_sub(1)?;
            Some(proves_inclusion(
                leaf, index, head.size, &proof?, &head.root,
            ))
        });
        if proved != Some(true) {
            self.find_here(format!(
                "entry {} is not proved to be in the log of account {}",
                line.sequence, line.account
            ));
        }
        if line.account == AccountId::installation().as_str()
            && line.action == Action::AuditHeadLogged.as_str()
        {
            match head_from_words(&line.description) {
                Some((size, root)) => {
                    self.told
                        .push((self.line, line.action_id.clone(), size, root));
                }
                None => self.find_here("the head that it tells is malformed"),
            }
        }
    }

    fn purged(&mut self, line: &PurgedLine) {
        if self.found.filtered {
            return self.find_here("a filtered download has no purged entries");
        }
        let Some(leaf) = hash_from_text(&line.leaf) else {
            return self.find_here("a leaf is malformed");
        };
        if self.step(&line.account, line.sequence, leaf)
            && let Some(section) = &mut self.open
        {
            section.purged = section.purged.saturating_add(1);
        }
    }

    /// The next number of the open log. Whether there is an open log that it belongs to.
    fn step(&mut self, account: &str, sequence: u64, leaf: Hash) -> bool {
        let filtered = self.found.filtered;
        let Some(section) = self.open.as_mut().filter(|it| it.account == account) else {
            self.find_here(format!("an entry of account {account} outside of its log"));
            return false;
        };
        let expected = section.last.saturating_add(1);
        let in_order = if filtered {
            sequence >= expected
        } else {
            sequence == expected
        };
        let known = sequence <= section.size;
        section.last = sequence;
        section.leaves.push(leaf);
        if !in_order {
            let words = format!(
                "entry {sequence} where {expected} should be: entries were removed, added or reordered"
            );
            self.find_here(words);
        }
        if !known {
            self.find_here(format!("entry {sequence} is beyond the log's size"));
        }
        true
    }

    /// The open log has ended.
    fn close(&mut self) {
        let Some(section) = self.open.take() else {
            return;
        };
        let account = section.account.clone();
        self.found.logs.push(VerifiedLog {
            account: account.clone(),
            size: section.size,
            entries: section.entries,
            purged: section.purged,
        });
        if let Some(checkpoint) = &section.checkpoint {
            self.heads.insert(account.clone(), checkpoint.clone());
        }
        if self.found.filtered {
            return;
        }
        if section.last != section.size {
            self.find(format!(
                "the log of account {account} ends at entry {} and should have {}",
                section.last, section.size
            ));
        }
        let tree = Tree::new(section.leaves);
        if section.checkpoint.is_none_or(|it| it.root != tree.root()) {
            self.find(format!(
                "the entries of account {account} do not give the root of its checkpoint"
            ));
        }
        self.trees.insert(account, tree);
    }

    fn end(&mut self, end: &End, digest: [u8; 32]) {
        self.close();
        self.ended = true;
        let signed = self
            .key
            .as_ref()
            .is_some_and(|key| key.open_note(&end.note) == Some(&digest_text(key, &digest)));
        if !signed {
            self.find_here("the bytes before the end are not the ones that were signed");
        }
        let count = |of: fn(&VerifiedLog) -> u64| self.found.logs.iter().map(of).sum::<u64>();
        let counted = (count(|_| 1), count(|it| it.entries), count(|it| it.purged));
        if counted != (end.logs, end.entries, end.purged) {
            self.find_here("the end counts other lines than there are");
        }
    }

    /// What the installation's log tells of the others must be so.
    fn compare_heads(&mut self) {
        for (line, account, size, root) in std::mem::take(&mut self.told) {
            let Some(tree) = self.trees.get(&account) else {
                continue;
            };
            if tree.root_at(size) != Some(root) {
                self.find(format!(
                    "line {line}: the log of account {account} does not continue the head that was logged here"
                ));
            }
        }
    }

    /// The file must continue a checkpoint that was kept elsewhere.
    fn compare_checkpoint(&mut self, note: &str) {
        let Some(key) = self.key.clone() else { return };
        let Some(text) = key.open_note(note) else {
            return self
                .find("the checkpoint kept elsewhere is not signed by the key of this file");
        };
        let Some(kept) = Checkpoint::parse(text) else {
            return self.find("the checkpoint kept elsewhere is malformed");
        };
        self.found.checkpoint_size = Some(kept.size);
        let account = kept
            .account(&key)
            .map(|it| it.to_string())
            .unwrap_or_default();
        let size = self.heads.get(&account).map_or(0, |head| head.size);
        if self.heads.contains_key(&account) && size < kept.size {
            return self.find(format!(
                "the log of account {account} ends at entry {size}, and the checkpoint kept elsewhere is of {}: \
                 the download is older than it, or the newest entries were deleted",
                kept.size
            ));
        }
        let continues = match (self.trees.get(&account), self.heads.get(&account)) {
            (Some(tree), _) => tree.root_at(kept.size) == Some(kept.root),
            (None, Some(head)) if head.size == kept.size => head.root == kept.root,
            (None, Some(head)) if head.size > kept.size => {
                return self.find(
                    "a filtered download can be compared with a checkpoint of its own size only: \
                     take an unfiltered one",
                );
            }
            (None, Some(_)) => false,
            (None, None) => {
                return self.find("the log of the checkpoint kept elsewhere is not in this file");
            }
        };
        if !continues {
            self.find(format!(
                "the log of account {account} does not continue the checkpoint kept elsewhere, of {} entries: \
                 entries were removed or replaced",
                kept.size
            ));
        }
    }
}

/// A line that is exactly as it was written.
fn parse(bytes: &[u8]) -> Option<Line> {
    let mut line: Line = serde_json::from_slice(bytes.strip_suffix(b"\n")?).ok()?;
    if let Line::Entry(entry) = &mut line {
        entry.at = Timestamp::from_ms(entry.at_ms).to_string();
    }
    (line_text(&line).ok()?.as_bytes() == bytes).then_some(line)
}
