//! Small types that let one part be used where another asks for a trait.

use async_trait::async_trait;
use governance::{AccountRules, Rules};
use journal::Journal;
use model::record::Entry;
use model::{AccountId, CommitId, ErrorKind, LedgerPosition, PersonKey, Timestamp};
use query::{Engine, ReadPolicy, Sought};
use std::sync::Arc;
use store::VolumeState;

use crate::attention::Attention;

/// The journal as queries read it.
#[derive(Debug)]
pub(super) struct JournalTail(pub(super) Journal);

#[async_trait]
impl query::Tail for JournalTail {
    async fn live(&self) -> query::Result<Vec<CommitId>> {
        Ok(self.0.live().into_iter().map(|commit| commit.id).collect())
    }

    fn hold(&self) -> query::Held {
        query::Held::by(self.0.hold())
    }

    async fn read(&self, id: CommitId) -> query::Result<Arc<Vec<Entry>>> {
        self.0.read(id).await.map_err(|error| match error.kind() {
            ErrorKind::NotFound => query::Error::Retired(id),
            kind => query::Error::Journal {
                what: "read a commit of the journal",
                kind,
                source: Box::new(error),
            },
        })
    }
}

/// What is stored, as queries find it.
#[derive(Debug)]
pub(super) struct EngineStored(pub(super) Engine);

#[async_trait]
impl collect::Stored for EngineStored {
    async fn received_after(
        &self,
        rules: &AccountRules,
        entries: &[Entry],
        after: Timestamp,
    ) -> Result<Option<Timestamp>, collect::Unreadable> {
        let policy = ReadPolicy::new(rules.id, Arc::clone(&rules.suppressed));
        let sought: Vec<Sought> = entries.iter().map(|it| Sought::of(&it.record)).collect();
        Ok(self.0.received_after(&policy, &sought, after).await?)
    }
}

/// What the installation stands on, as the console shows it.
#[derive(Debug)]
pub(super) struct InstallationGround(pub(super) Arc<Attention>);

impl web::Ground for InstallationGround {
    fn concerns(&self) -> Vec<web::Concern> {
        let found = self.0.find().into_iter();
        found
            .map(|it| web::Concern {
                account: it.account,
                text: it.text,
                words: it.words,
                page: it.kind.page(),
            })
            .collect()
    }

    fn sinks(&self) -> Vec<web::Sink> {
        let views = self.0.sinks.views().into_iter();
        views
            .map(|it| web::Sink {
                name: it.progress.name,
                address: it.address,
                is_required: it.progress.is_required,
                waiting: it.progress.waiting,
                waiting_max: it.progress.waiting_max,
                dropped: it.progress.dropped,
                down: it.why.zip(it.down_since),
                taken_at: it.taken_at,
            })
            .collect()
    }

    fn volumes(&self) -> web::Volumes {
        let status = self.0.store.status();
        let volumes = status.volumes.into_iter().map(|it| web::Volume {
            number: it.number,
            place: it.place,
            out: match it.state {
                VolumeState::InService => None,
                VolumeState::Out { reason, since } | VolumeState::Missing { reason, since } => {
                    Some((reason, since))
                }
            },
            objects: it.objects,
            bytes: it.bytes,
        });
        web::Volumes {
            data: status.data,
            parity: status.parity,
            healthy: status.healthy,
            ready: status.ready,
            objects: status.objects,
            object_bytes: status.object_bytes,
            shards_wanted: status.shards_wanted,
            volumes: volumes.collect(),
        }
    }
}

/// Which rows may be in a part: those of people whose deletion has not begun. Until then it can be
/// cancelled, and nothing of theirs may be lost.
#[derive(Debug)]
pub(crate) struct Visible {
    rules: Arc<Rules>,
    ledger: LedgerPosition,
}

impl Visible {
    /// By these rules; their position in the ledger is the newest line of a deletion that has begun.
    pub(crate) fn by(rules: Arc<Rules>) -> Arc<Self> {
        let positions = rules
            .accounts
            .values()
            .map(|account| account.doomed.position);
        let ledger = positions.max().unwrap_or_default();
        Arc::new(Self { rules, ledger })
    }
}

impl lake::Keep for Visible {
    fn keep(&self, account: AccountId, person: PersonKey, ts: Timestamp) -> bool {
        self.rules
            .account(account)
            .is_none_or(|rules| !rules.doomed.hides(person, ts))
    }

    fn ledger(&self) -> LedgerPosition {
        self.ledger
    }
}
