//! What needs somebody's attention: one function, from what the process knows. The page, the metrics and
//! the alerts are fed by it, so that they never disagree.
//!
//! Everything that it finds is red. What is merely under way (a repair, drops that are new) is the
//! page's own.

use model::record::Plane;
use model::{AccountId, Clock, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::{Store, VolumeState};

use crate::config::Jobs;
use crate::jobs::Job;
use crate::sinks::Sinks;

/// A certificate that ends so soon should have been renewed.
const CERTIFICATE_LEFT_MIN: Duration = Duration::from_secs(7 * 86_400);
/// A job that is looked at may miss so many of its turns.
const TURNS_MISSED_MAX: u32 = 3;
/// … and is not called late before this much time.
const LATE_MIN: Duration = Duration::from_secs(3_600);

/// Something that is red.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Concern {
    /// What kind of thing.
    pub(crate) kind: Kind,
    /// Which one of its kind; empty where there is one.
    pub(crate) subject: String,
    /// The account that it is about, or the installation.
    pub(crate) account: AccountId,
    /// What is wrong.
    pub(crate) text: String,
    /// More about it.
    pub(crate) words: String,
}

/// The kinds of things that can be red.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// No write is acknowledged.
    Writes,
    /// A volume is out of service.
    Volume,
    /// Drops wait too long for their review, or nobody counts them.
    Drops,
    /// What is past its retention is not removed.
    Purge,
    /// A deletion takes too long.
    Deletion,
    /// A required sink of the audit log takes nothing.
    Sink,
    /// A certificate is about to end.
    Certificate,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Writes,
        Self::Volume,
        Self::Drops,
        Self::Purge,
        Self::Deletion,
        Self::Sink,
        Self::Certificate,
    ];

    /// Its stable name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Writes => "writes",
            Self::Volume => "volume",
            Self::Drops => "drops_overdue",
            Self::Purge => "purge",
            Self::Deletion => "deletion_overdue",
            Self::Sink => "audit_sink",
            Self::Certificate => "certificate",
        }
    }

    /// The page that shows more, below the account's.
    pub(crate) const fn page(self) -> Option<&'static str> {
        match self {
            Self::Writes | Self::Volume | Self::Purge => Some("storage"),
            Self::Drops => Some("drops"),
            Self::Deletion => Some("people/deletions"),
            Self::Sink => Some("settings/audit"),
            Self::Certificate => None,
        }
    }
}

/// What jobs have seen of late, kept for whoever looks.
#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<Seen>);

#[derive(Debug, Default, Clone)]
struct Seen {
    jobs: BTreeMap<&'static str, Ran>,
    overdue_drops: usize,
    overdue_deletions: BTreeMap<AccountId, usize>,
    certificates: Vec<(Plane, Timestamp)>,
}

#[derive(Debug, Default, Clone)]
struct Ran {
    done_at: Option<Timestamp>,
    failure: Option<String>,
}

impl Watch {
    fn with<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A job has run to its end, well or not.
    pub(crate) fn ran(&self, job: Job, at: Timestamp, failure: Option<String>) {
        self.with(|seen| {
            let ran = seen.jobs.entry(job.as_str()).or_default();
            if failure.is_none() {
                ran.done_at = Some(at);
            }
            ran.failure = failure;
        });
    }

    /// So many groups of drops wait for longer than they may.
    pub(crate) fn drops(&self, overdue: usize) {
        self.with(|seen| seen.overdue_drops = overdue);
    }

    /// So many deletions are older than a day, or nobody knows how old, by account.
    pub(crate) fn deletions(&self, overdue: BTreeMap<AccountId, usize>) {
        self.with(|seen| seen.overdue_deletions = overdue);
    }

    /// When each plane's certificates end.
    pub(crate) fn certificates(&self, ends: Vec<(Plane, Timestamp)>) {
        self.with(|seen| seen.certificates = ends);
    }
}

/// What is looked at.
#[derive(Debug)]
pub(crate) struct Attention {
    pub(crate) store: Store,
    pub(crate) sinks: Arc<Sinks>,
    pub(crate) watch: Watch,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Jobs,
    /// Since when this process runs.
    pub(crate) started_at: Timestamp,
}

impl Attention {
    /// Everything that is red now.
    pub(crate) fn find(&self) -> Vec<Concern> {
        let seen = self.watch.with(|seen| seen.clone());
        let mut found = Vec::new();
        self.volumes(&mut found);
        if seen.overdue_drops > 0 {
            let days = self.settings.drops_review_days;
            found.push(of_installation(
                Kind::Drops,
                String::new(),
                format!(
                    "{} groups of drops are overdue for review",
                    seen.overdue_drops
                ),
                format!("they wait for more than {days} days"),
            ));
        }
        for (kind, job) in [
            (Kind::Drops, Job::Drops),
            (Kind::Purge, Job::Expiry),
            (Kind::Purge, Job::Garbage),
            (Kind::Purge, Job::Deletion),
        ] {
            let ran = seen.jobs.get(job.as_str()).cloned().unwrap_or_default();
            found.extend(self.of_job(kind, job, &ran));
        }
        found.extend(
            seen.overdue_deletions
                .into_iter()
                .map(|(account, number)| Concern {
                    account,
                    ..of_installation(
                        Kind::Deletion,
                        String::new(),
                        format!("{number} deletions are overdue"),
                        String::from(
                            "older than a day, or ordered later than the clock says it is: the people \
                             are hidden, their rows are still there",
                        ),
                    )
                }),
        );
        found.extend(self.sinks());
        let soon = self.clock.now().plus(CERTIFICATE_LEFT_MIN);
        let ending = seen.certificates.into_iter().filter(|it| it.1 < soon);
        found.extend(ending.map(|(plane, end)| {
            of_installation(
                Kind::Certificate,
                plane.as_str().to_owned(),
                format!(
                    "The certificate of the {} plane is about to end",
                    plane.as_str()
                ),
                format!("at {end}"),
            )
        }));
        found
    }

    fn volumes(&self, found: &mut Vec<Concern>) {
        let status = self.store.status();
        if !status.ready {
            found.push(of_installation(
                Kind::Writes,
                String::new(),
                String::from("No write is acknowledged"),
                format!(
                    "{} volumes serve, {} are needed",
                    status.healthy, status.data
                ),
            ));
        }
        for volume in status.volumes {
            let (VolumeState::Out { reason, since } | VolumeState::Missing { reason, since }) =
                volume.state
            else {
                continue;
            };
            let number = volume.number.to_string();
            let text = match volume.place.is_empty() {
                true => format!("Volume {number} is out of service"),
                false => format!("Volume {number} (`{}`) is out of service", volume.place),
            };
            found.push(of_installation(
                Kind::Volume,
                number,
                text,
                format!("{reason}, since {since}"),
            ));
        }
    }

    /// A job that removes data or counts what is overdue, when it fails or falls behind.
    fn of_job(&self, kind: Kind, job: Job, ran: &Ran) -> Option<Concern> {
        let concern = |text: String, words: String| {
            of_installation(kind, job.as_str().to_owned(), text, words)
        };
        if let Some(failure) = &ran.failure {
            let text = format!("The job `{}` fails", job.as_str());
            return Some(concern(text, failure.clone()));
        }
        let every = job.interval(&self.settings);
        let patience = LATE_MIN.max(every.saturating_mul(TURNS_MISSED_MAX));
        let since = ran.done_at.unwrap_or(self.started_at);
        (self.clock.now() > since.plus(patience)).then(|| {
            let text = format!("The job `{}` has fallen behind", job.as_str());
            concern(text, format!("it was last done at {since}"))
        })
    }

    fn sinks(&self) -> impl Iterator<Item = Concern> {
        let down = self.sinks.views().into_iter().filter(|it| {
            let progress = &it.progress;
            progress.is_required && (it.why.is_some() || progress.waiting >= progress.waiting_max)
        });
        down.map(|it| {
            of_installation(
                Kind::Sink,
                it.progress.name.clone(),
                format!(
                    "The audit log's required sink `{}` takes nothing",
                    it.progress.name
                ),
                format!(
                    "{} of {} entries wait; then nothing that is audited is done",
                    it.progress.waiting, it.progress.waiting_max
                ),
            )
        })
    }
}

fn of_installation(kind: Kind, subject: String, text: String, words: String) -> Concern {
    Concern {
        kind,
        subject,
        account: AccountId::installation(),
        text,
        words,
    }
}
