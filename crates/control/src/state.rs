//! What readers see without asking `SQLite`: the accounts' rules and the list of parts.
//!
//! It changes only by transactions that are on the volumes, in their order; so it never shows what a
//! crash could take back.

use governance::{AccountRules, Allowlist, Rules, Stretch, Suppressions};
use model::catalog::{PartMeta, View};
use model::record::Table;
use model::{AccountId, LedgerPosition, PartId, PersonKey, Timestamp, WriterId};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::watch;

/// One line of the ledger.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LedgerLine {
    pub(crate) account: AccountId,
    pub(crate) person: PersonKey,
    pub(crate) stretch: Stretch,
    /// The ledger's position after this line.
    pub(crate) position: LedgerPosition,
    /// Whether its deletion's job has begun with it.
    pub(crate) has_begun: bool,
}

/// What a transaction changes here, once it is on the volumes.
#[derive(Debug)]
pub(crate) enum Effect {
    /// An account is new or changed; whom it suppresses stays.
    Account(Box<AccountRules>),
    /// Where people and programs may come from.
    Allowlist(AccountId, Allowlist),
    /// People are hidden.
    Ledger(Vec<LedgerLine>),
    /// A deletion in an account was cancelled: these are the lines that are left there.
    Released(AccountId, Vec<LedgerLine>),
    /// Parts were published.
    Published {
        added: Vec<Arc<PartMeta>>,
        removed: Vec<PartId>,
        at: Timestamp,
        watermarks: Vec<(WriterId, u64)>,
    },
    /// Rows of collected parts are gone.
    Forgotten(Vec<PartId>),
}

/// The list of parts.
#[derive(Debug, Default)]
struct Parts {
    live: HashMap<(AccountId, Table), HashMap<PartId, Arc<PartMeta>>>,
    /// Where a live part is in `live`.
    places: HashMap<PartId, (AccountId, Table)>,
    replaced: HashMap<PartId, (Timestamp, Arc<PartMeta>)>,
    watermarks: BTreeMap<WriterId, u64>,
    ledger: LedgerPosition,
}

/// What readers see.
#[derive(Debug)]
pub(crate) struct State {
    parts: RwLock<Parts>,
    rules: watch::Sender<Arc<Rules>>,
    database_bytes: AtomicU64,
}

impl State {
    /// Nothing yet.
    pub(crate) fn empty() -> Arc<Self> {
        let (rules, _) = watch::channel(Arc::default());
        Arc::new(Self {
            parts: RwLock::default(),
            rules,
            database_bytes: AtomicU64::new(0),
        })
    }

    /// The rules, and a notice of each change.
    pub(crate) fn rules(&self) -> watch::Receiver<Arc<Rules>> {
        self.rules.subscribe()
    }

    /// How large the database file was when it was last shipped whole.
    pub(crate) fn database_bytes(&self) -> u64 {
        self.database_bytes.load(Ordering::Relaxed)
    }

    /// Notes how large the database file is.
    pub(crate) fn note_database_bytes(&self, bytes: u64) {
        self.database_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Applies the effects of transactions, in their order.
    pub(crate) fn apply(&self, effects: Vec<Effect>) {
        let mut rules = None;
        {
            let mut parts = self.parts.write().unwrap_or_else(PoisonError::into_inner);
            for effect in effects {
                match effect {
                    Effect::Account(account) => {
                        set_account(rules.get_or_insert_with(|| self.copy_of_rules()), *account);
                    }
                    Effect::Allowlist(account, list) => {
                        let rules = rules.get_or_insert_with(|| self.copy_of_rules());
                        rules.allowlists.insert(account, Arc::new(list));
                    }
                    Effect::Ledger(lines) => {
                        let rules = rules.get_or_insert_with(|| self.copy_of_rules());
                        for line in lines {
                            if line.has_begun {
                                parts.ledger = parts.ledger.max(line.position);
                            }
                            suppress(rules, line);
                        }
                    }
                    Effect::Released(account, lines) => {
                        let rules = rules.get_or_insert_with(|| self.copy_of_rules());
                        if let Some(account) = rules.accounts.get_mut(&account) {
                            Arc::make_mut(account).suppressed = Arc::default();
                        }
                        for line in lines {
                            suppress(rules, line);
                        }
                    }
                    Effect::Published {
                        added,
                        removed,
                        at,
                        watermarks,
                    } => {
                        parts.publish(added, &removed, at, watermarks);
                    }
                    Effect::Forgotten(gone) => {
                        for id in gone {
                            parts.replaced.remove(&id);
                        }
                    }
                }
            }
        }
        if let Some(mut rules) = rules {
            rules.version = rules.version.saturating_add(1);
            self.rules.send_replace(Arc::new(rules));
        }
    }

    fn copy_of_rules(&self) -> Rules {
        self.rules.borrow().as_ref().clone()
    }

    /// The live parts and watermarks, from one moment.
    pub(crate) fn view(&self, account: Option<AccountId>, tables: &[Table]) -> View {
        let state = self.parts.read().unwrap_or_else(PoisonError::into_inner);
        let parts = match account {
            Some(account) => tables
                .iter()
                .filter_map(|table| state.live.get(&(account, *table)))
                .flat_map(HashMap::values)
                .cloned()
                .collect(),
            None => state
                .live
                .iter()
                .filter(|((_, table), _)| tables.contains(table))
                .flat_map(|(_, parts)| parts.values())
                .cloned()
                .collect(),
        };
        let watermarks = state
            .watermarks
            .iter()
            .map(|(writer, to)| (*writer, *to))
            .collect();
        View {
            parts,
            watermarks,
            ledger: state.ledger,
        }
    }

    /// The parts replaced before `before` whose rows are still there.
    pub(crate) fn replaced(&self, before: Timestamp) -> Vec<Arc<PartMeta>> {
        let state = self.parts.read().unwrap_or_else(PoisonError::into_inner);
        let old = state.replaced.values().filter(|(at, _)| *at < before);
        old.map(|(_, part)| Arc::clone(part)).collect()
    }

    /// The position of the newest line with which its deletion's job has begun.
    pub(crate) fn ledger(&self) -> LedgerPosition {
        self.parts
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .ledger
    }
}

impl Parts {
    fn publish(
        &mut self,
        added: Vec<Arc<PartMeta>>,
        removed: &[PartId],
        at: Timestamp,
        watermarks: Vec<(WriterId, u64)>,
    ) {
        for id in removed {
            let part = self
                .places
                .remove(id)
                .and_then(|place| self.live.get_mut(&place).and_then(|live| live.remove(id)));
            if let Some(part) = part {
                self.replaced.insert(*id, (at, part));
            }
        }
        for part in added {
            let place = (part.account, part.table);
            self.places.insert(part.id, place);
            self.live.entry(place).or_default().insert(part.id, part);
        }
        self.watermarks.extend(watermarks);
    }
}

fn set_account(rules: &mut Rules, mut account: AccountRules) {
    if let Some(before) = rules.accounts.get(&account.id) {
        account.suppressed = Arc::clone(&before.suppressed);
        account.doomed = Arc::clone(&before.doomed);
    }
    rules.accounts.insert(account.id, Arc::new(account));
}

fn suppress(rules: &mut Rules, line: LedgerLine) {
    if let Some(account) = rules.accounts.get_mut(&line.account) {
        let account = Arc::make_mut(account);
        let suppressed: &mut Suppressions = Arc::make_mut(&mut account.suppressed);
        suppressed.insert(line.person, line.stretch, line.position);
        if line.has_begun {
            let doomed: &mut Suppressions = Arc::make_mut(&mut account.doomed);
            doomed.insert(line.person, line.stretch, line.position);
        }
    }
}
