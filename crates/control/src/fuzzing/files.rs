//! The laws of what is verified away from the installation: downloads of the audit logs, heads of them that
//! were kept elsewhere, receipts of deletions. Whoever holds such a file can change it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{AccountId, RawJson, Secret, Timestamp};
use seal::merkle::{Frontier, Hash, Tree};
use seal::{SigningKey, VerifyingKey, sha256, split_note};
use std::collections::BTreeMap;

use crate::audit::checkpoint::{hash_text, head_words, origin, sign};
use crate::audit::download::{
    End, EntryLine, FORMAT, FilterWords, Head, Line, Opening, PurgedLine, VERSION, digest_text,
    line_text,
};
use crate::audit::leaf::{Fields, SALT_BYTES};
use crate::{Action, Checkpoint, Verification, verify, verify_receipt};

/// Lines of an input that become entries.
const LINES_MAX: usize = 64;
/// Findings that are told.
const FINDINGS_MAX: usize = 100;
/// What stands in an input for the key that signs.
const OWN_KEY: &str = "@KEY@";
/// Logs whose heads are kept elsewhere.
const KEPT_LOGS: &str = "audit.exported\n#SHOP-1\na\nb\n-c\nd\ne";

/// Files that `audit verify` and `person verify-receipt` read: what was written and signed holds, under its
/// key and no other, and nothing that was changed in it does; of downloads not even where the same key signs
/// the end of the file anew.
///
/// The first byte says what the input is, the four behind it how a file is damaged.
///
/// # Panics
/// When that is not so.
pub fn audit_file(input: &[u8]) {
    let Some((head, rest)) = input.split_first_chunk::<5>() else {
        return;
    };
    let [what, how, line, high, low] = *head;
    let damage = Damage {
        kind: (how & 31) % 6,
        bits: 1 << (how >> 5),
        line: usize::from(line),
        place: usize::from(u16::from_be_bytes([high, low])),
    };
    let text = String::from_utf8_lossy(rest);
    match what % 4 {
        0 => download(&text, damage),
        1 => receipt(&text, damage),
        2 => as_it_came(rest, damage),
        _ => kept_head(&text, damage),
    }
}

/// A download of the logs that a text tells of, whole and by a filter, beside heads that were kept elsewhere.
fn download(text: &str, damage: Damage) {
    let (key, logs) = (signer(), logs_of(text));
    let index = damage.line.checked_rem(logs.len()).unwrap_or(0);
    let Some(log) = logs.get(index) else { return };
    let public = key.verifying().to_string();
    let by_key = Some(public.as_str());

    let lines = written(&key, &logs, None);
    let file = signed(&key, &lines);
    let found = check(&file, by_key, None);
    assert_eq!(found.findings, Vec::<String>::new(), "what was written");
    let told = found.logs.iter();
    let told: Vec<_> = told
        .map(|it| (it.account.as_str(), it.size, it.entries, it.purged))
        .collect();
    assert_eq!(told, logs.iter().map(Log::counts).collect::<Vec<_>>());
    assert!(check(&file, None, None).holds());
    assert!(!check(&file, Some(&stranger()), None).holds());

    let leaves = log.leaves();
    let size = damage.place % (leaves.len() + 1);
    let mut head: Frontier = leaves.iter().copied().take(size).collect();
    let found = check(&file, by_key, Some(&sign(&key, log.account, &head)));
    assert_eq!(found.findings, Vec::<String>::new(), "an earlier head");
    assert_eq!(found.checkpoint_size, Some(head.size()));
    head.push([0; 32]);
    let found = check(&file, by_key, Some(&sign(&key, log.account, &head)));
    assert!(!found.holds(), "the head of another history holds");

    let filter = FilterWords {
        from: None,
        to: None,
        actors: Vec::new(),
        actions: Vec::new(),
    };
    let part = signed(&key, &written(&key, &logs, Some(filter)));
    let whole: Frontier = leaves.into_iter().collect();
    let found = check(&part, by_key, Some(&sign(&key, log.account, &whole)));
    assert_eq!(found.findings, Vec::<String>::new(), "by a filter");
    assert!(found.filtered);

    let damaged = damage.of_download(&key, &lines, &file);
    let found = check(&damaged, by_key, None);
    assert!(!found.holds(), "damage {} is not found", damage.kind);
}

/// A receipt as it came, and with the text as its content, signed.
fn receipt(text: &str, damage: Damage) {
    check_receipt(text, damage);
    let key = signer();
    let (public, name) = (key.verifying().to_string(), key.verifying().name());
    let content = text.replace('\n', "").replace(OWN_KEY, &public);
    if content.is_empty() {
        return;
    }
    let note = key.sign_note(&format!("{name}/deletion-receipt\n{content}\n"));
    let found = verify_receipt(&note, Some(&public));
    assert!(found.signer_checked);
    assert_eq!(verify_receipt(&note, None).holds(), found.holds());
    if found.holds() {
        let said = found.receipt.as_ref().map(RawJson::as_str);
        assert_eq!(said, Some(content.as_str()));
    }
    let other = key.sign_note(&format!("{name}/audit-download\n{content}\n"));
    let found = verify_receipt(&other, Some(&public));
    assert!(!found.holds(), "what is signed as something else holds");
    check_receipt(&note, damage);
}

/// A receipt that holds by itself does so under the key that it names, under no other, and not with another
/// byte in what was signed.
fn check_receipt(note: &str, damage: Damage) {
    let found = verify_receipt(note, None);
    assert!(!found.signer_checked);
    if !found.holds() {
        return;
    }
    let said = found.receipt.as_ref().map_or("", RawJson::as_str);
    let (Ok(said), Some((text, signatures))) = (
        serde_json::from_str::<serde_json::Value>(said),
        split_note(note),
    ) else {
        unreachable!("what holds cannot be read")
    };
    let named = said.get("key").and_then(serde_json::Value::as_str);
    let named = named.unwrap_or_default();
    assert!(verify_receipt(note, Some(named)).holds());
    assert!(!verify_receipt(note, Some(&stranger())).holds());
    let mut bad = damage.of_byte(text.as_bytes());
    bad.push(b'\n');
    bad.extend_from_slice(signatures.as_bytes());
    // What is no text is not read at all.
    if let Ok(bad) = String::from_utf8(bad) {
        for key in [None, Some(named)] {
            assert!(!verify_receipt(&bad, key).holds(), "a change is not seen");
        }
    }
}

/// A download as it came. One that holds does so under the key that it names, under no other, and is written
/// again as it was.
fn as_it_came(bytes: &[u8], damage: Damage) {
    let found = check(bytes, None, None);
    assert!(found.findings.len() <= FINDINGS_MAX && !found.signer_checked);
    let lines: Vec<&[u8]> = bytes.split_inclusive(|it| *it == b'\n').collect();
    let told = found.logs.iter();
    let told: u64 = told.map(|it| it.entries.saturating_add(it.purged)).sum();
    assert!(usize::try_from(told).is_ok_and(|it| it <= lines.len()));
    if !found.holds() {
        return;
    }
    let named = found.key.as_deref().unwrap_or_default();
    assert!(check(bytes, Some(named), None).holds());
    assert!(!check(bytes, Some(&stranger()), None).holds());
    for line in &lines {
        let read = serde_json::from_slice(line).map(|it: Line| text_of(&it));
        assert_eq!(read.ok().as_deref(), Some(*line), "a line changes");
    }
    let longer = [bytes, b"\n".as_slice()].concat();
    assert!(!check(&longer, None, None).holds());
    // The last line may have the signatures of others, too.
    if let Some((end, others)) = lines.split_last() {
        let mut bad = damage.of_byte(&others.concat());
        bad.extend_from_slice(end);
        assert!(!check(&bad, None, None).holds(), "a change is not seen");
    }
}

/// A head that was kept elsewhere. Nothing is one that the key has not signed, and of what it has signed only
/// what the logs' heads were.
fn kept_head(text: &str, damage: Damage) {
    if let Some(named) = VerifyingKey::parse(text) {
        assert_eq!(named.to_string(), text);
    }
    if let Some(head) = Checkpoint::parse(text) {
        assert_eq!(head.text(), text);
    }
    let (key, logs) = (signer(), logs_of(KEPT_LOGS));
    let public = key.verifying().to_string();
    let file = signed(&key, &written(&key, &logs, None));
    let holds = |note: &str| check(&file, Some(&public), Some(note)).holds();
    assert!(!holds(text), "a head that nobody signed holds");
    let heads = logs.iter().flat_map(|it| it.heads(key.verifying()));
    let heads: Vec<String> = heads.collect();
    let index = damage.line.checked_rem(heads.len()).unwrap_or(0);
    let Some(head) = heads.get(index) else { return };
    let damaged = damage.of_byte(head.as_bytes());
    for said in [text, head, &String::from_utf8_lossy(&damaged)] {
        let said = signable(said);
        if !said.is_empty() {
            let is_head = heads.contains(&said);
            assert_eq!(holds(&key.sign_note(&said)), is_head, "{said}");
        }
    }
}

/// A text as it can be signed: its lines that are not empty.
fn signable(text: &str) -> String {
    let mut said = String::new();
    for line in text.lines().filter(|it| !it.is_empty()) {
        said.push_str(line);
        said.push('\n');
    }
    said
}

fn check(file: &[u8], key: Option<&str>, kept: Option<&str>) -> Verification {
    let Ok(found) = verify(file, key, kept) else {
        unreachable!("memory can always be read")
    };
    found
}

fn signer() -> SigningKey {
    signing_key("fuzz", 1)
}

/// A key that has signed nothing.
fn stranger() -> String {
    signing_key("stranger", 2).verifying().to_string()
}

fn signing_key(name: &str, seed: u8) -> SigningKey {
    let Ok(key) = SigningKey::from_seed(name, &Secret::new([seed; 32])) else {
        unreachable!("name and seed are good ones")
    };
    key
}

/// How a file is damaged.
#[derive(Debug, Clone, Copy)]
struct Damage {
    /// In which way.
    kind: u8,
    /// The bits of a byte that become others; one at least.
    bits: u8,
    /// At which line.
    line: usize,
    /// At which byte, of the line or of the whole.
    place: usize,
}

impl Damage {
    /// The bytes, of which one is another.
    fn of_byte(self, bytes: &[u8]) -> Vec<u8> {
        let mut bad = bytes.to_vec();
        let index = self.place.checked_rem(bad.len()).unwrap_or(0);
        if let Some(byte) = bad.get_mut(index) {
            *byte ^= self.bits;
        }
        bad
    }

    /// A download that is not the one of these lines. Its end is signed anew where what was changed is not
    /// the signer's word alone: its first line is, and that a log is in it.
    fn of_download(self, key: &SigningKey, lines: &[Vec<u8>], file: &[u8]) -> Vec<u8> {
        let mut bad = lines.to_vec();
        // There are three at least: the first, a log, an entry.
        let index = 1 + self.line % (lines.len() - 1);
        match self.kind {
            0 => return self.of_byte(file),
            1 => {
                let start = file.get(..self.place % file.len());
                return start.unwrap_or_default().to_vec();
            }
            2 => {
                if let Some(line) = bad.get_mut(index) {
                    *line = self.of_byte(line);
                }
            }
            3 => drop(bad.remove(index)),
            4 => {
                let again = bad.get(index).cloned().unwrap_or_default();
                bad.insert(index, again);
            }
            _ => bad.swap(index - 1, index),
        }
        signed(key, &bad)
    }
}

/// A log that is to be written: never an empty one, since each begins with an entry that says so.
#[derive(Debug)]
struct Log {
    account: AccountId,
    entries: Vec<Logged>,
}

#[derive(Debug)]
struct Logged {
    /// The entry without its proof.
    line: EntryLine,
    leaf: Hash,
    is_purged: bool,
}

/// The logs that a text tells of, a line for each entry: see [`Logged::of`]. `#` and an account stand before
/// those of that account; without it they are the installation's.
fn logs_of(text: &str) -> Vec<Log> {
    let installation = AccountId::installation();
    let (mut account, mut said) = (installation, BTreeMap::<AccountId, Vec<&str>>::new());
    for line in text.lines().take(LINES_MAX) {
        match line.strip_prefix('#') {
            Some(name) => account = name.parse().unwrap_or(account),
            None => said.entry(account).or_default().push(line),
        }
    }
    // It tells of the others.
    let own = said.remove(&installation);
    let others = said.iter();
    let mut logs: Vec<Log> = others
        .map(|(account, lines)| Log::of(*account, lines, &[]))
        .collect();
    if let Some(lines) = own {
        let log = Log::of(installation, &lines, &logs);
        logs.insert(0, log);
    }
    logs
}

impl Log {
    fn of(account: AccountId, lines: &[&str], others: &[Self]) -> Self {
        let entries = (1_u64..).zip(lines);
        let entries = entries.map(|(number, line)| Logged::of(account, number, line, others));
        Self {
            account,
            entries: entries.collect(),
        }
    }

    fn leaves(&self) -> Vec<Hash> {
        self.entries.iter().map(|it| it.leaf).collect()
    }

    /// What is to be told of it: account, size, entries, purged ones.
    fn counts(&self) -> (&str, u64, u64, u64) {
        let count = |is_purged: bool| {
            let found = self.entries.iter().filter(|it| it.is_purged == is_purged);
            u64::try_from(found.count()).unwrap_or(u64::MAX)
        };
        let (entries, purged) = (count(false), count(true));
        (self.account.as_str(), entries + purged, entries, purged)
    }

    /// Every head that it has had, as text.
    fn heads(&self, key: &VerifyingKey) -> Vec<String> {
        let leaves = self.leaves();
        let heads = (0..=leaves.len()).map(|size| {
            let head: Frontier = leaves.iter().copied().take(size).collect();
            let head = Checkpoint {
                origin: origin(key, self.account.as_str()),
                size: head.size(),
                root: head.root(),
            };
            head.text()
        });
        heads.collect()
    }
}

impl Logged {
    /// An entry by its line: action, object, actor, role, outcome, address, words and time, with `|` between
    /// them; `-` before all that when it was purged.
    fn of(account: AccountId, sequence: u64, line: &str, others: &[Log]) -> Self {
        let (is_purged, line) = match line.strip_prefix('-') {
            Some(line) => (true, line),
            None => (false, line),
        };
        let mut parts = line.split('|');
        let mut part = || parts.next().unwrap_or_default().to_owned();
        let (action, action_id, actor, role) = (part(), part(), part(), part());
        let (outcome, peer, mut description) = (part(), part(), part());
        let at_ms = part().parse::<i64>().unwrap_or(0);
        let tells_head = action == Action::AuditHeadLogged.as_str();
        if tells_head && account == AccountId::installation() {
            description = told_head(others, &action_id, &description);
        }
        let [salt, ..] = sequence.to_le_bytes();
        let salt = [salt; SALT_BYTES];
        let actor_kind = "os_user".to_owned();
        let fields = Fields {
            account: account.as_str(),
            sequence,
            at_ms,
            actor_kind: &actor_kind,
            actor: &actor,
            role: &role,
            action: &action,
            action_id: &action_id,
            description: &description,
            outcome: &outcome,
            peer: &peer,
        };
        let leaf = fields.hash(&salt);
        let line = EntryLine {
            account: account.to_string(),
            sequence,
            at: Timestamp::from_ms(at_ms).to_string(),
            at_ms,
            actor_kind,
            actor,
            role,
            action,
            action_id,
            description,
            outcome,
            peer: Some(peer).filter(|it| !it.is_empty()),
            salt: STANDARD.encode(salt),
            leaf: hash_text(&leaf),
            proof: Vec::new(),
        };
        Self {
            line,
            leaf,
            is_purged,
        }
    }
}

/// How the installation's log tells the head that an account's log had at a size.
fn told_head(logs: &[Log], account: &str, size: &str) -> String {
    let log = logs.iter().find(|it| it.account.as_str() == account);
    let leaves = log.map(Log::leaves).unwrap_or_default();
    let size = size.parse().unwrap_or(usize::MAX);
    let head: Frontier = leaves.into_iter().take(size).collect();
    head_words(head.size(), &head.root())
}

/// The lines of a download, but for its last.
fn written(key: &SigningKey, logs: &[Log], filter: Option<FilterWords>) -> Vec<Vec<u8>> {
    let is_filtered = filter.is_some();
    let mut lines = vec![Line::Download(Opening {
        format: FORMAT.to_owned(),
        version: VERSION,
        key: key.verifying().to_string(),
        made_at: Timestamp::default().to_string(),
        filter,
    })];
    for log in logs {
        let leaves = log.leaves();
        let head: Frontier = leaves.iter().copied().collect();
        lines.push(Line::Log(Head {
            account: log.account.to_string(),
            size: head.size(),
            checkpoint: sign(key, log.account, &head),
        }));
        let tree = Tree::new(leaves);
        for (index, logged) in (0_u64..).zip(&log.entries) {
            if !logged.is_purged {
                let proof = tree.inclusion(index).unwrap_or_default();
                let proof = proof.iter().map(hash_text).collect();
                let line = logged.line.clone();
                lines.push(Line::Entry(Box::new(EntryLine { proof, ..line })));
            } else if !is_filtered {
                lines.push(Line::Purged(PurgedLine {
                    account: log.account.to_string(),
                    sequence: logged.line.sequence,
                    leaf: logged.line.leaf.clone(),
                }));
            }
        }
    }
    lines.iter().map(text_of).collect()
}

/// The file of these lines, and the end that the key signs.
fn signed(key: &SigningKey, lines: &[Vec<u8>]) -> Vec<u8> {
    let count = |kind: &str| {
        let start = format!("{{\"kind\":\"{kind}\"");
        let found = lines.iter().filter(|it| it.starts_with(start.as_bytes()));
        u64::try_from(found.count()).unwrap_or(u64::MAX)
    };
    let mut file = lines.concat();
    let text = digest_text(key.verifying(), &sha256(&file));
    let end = Line::End(End {
        logs: count("log"),
        entries: count("entry"),
        purged: count("purged"),
        note: key.sign_note(&text),
    });
    file.extend_from_slice(&text_of(&end));
    file
}

fn text_of(line: &Line) -> Vec<u8> {
    let Ok(text) = line_text(line) else {
        unreachable!("a line can be written")
    };
    text.into_bytes()
}
