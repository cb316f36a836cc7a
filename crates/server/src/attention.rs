//! What needs somebody's attention: one function, from what the process knows. The page, the metrics and
//! the alerts are fed by it, so that they never disagree.
//!
//! Everything that it finds is red. What is merely under way (a repair, drops that are new) is the
//! page's own.

#[cfg(test)]
pub(crate) mod tests;

use control::SharedKeyring;
use journal::Journal;
use model::record::Plane;
use model::{AccountId, Clock, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::{Store, VolumeState};

use crate::cli::human_bytes;
use crate::config::Jobs;
use crate::jobs::Job;
use crate::sinks::Sinks;

/// A certificate that ends so soon should have been renewed.
const CERTIFICATE_LEFT_MIN: Duration = Duration::from_secs(7 * 86_400);
/// A job that is looked at may miss so many of its turns.
const TURNS_MISSED_MAX: u32 = 3;
/// … and is not called late before this much time.
const LATE_MIN: Duration = Duration::from_secs(3_600);
/// The upkeep of the volumes rebuilds a whole one in one turn.
const UPKEEP_LATE_MIN: Duration = Duration::from_secs(86_400);
/// A job that comes every few seconds or minutes is tried again before anybody could look: it is
/// red once it has failed so many times in a row …
const FAILURES_MIN: u32 = 3;
/// … over this much time.
const FAILING_MIN: Duration = Duration::from_secs(60);

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
    /// A copy of the keyring cannot be written.
    Keyring,
    /// What was accepted fills the journal faster than it is turned into parts.
    Journal,
    /// Another job fails again and again, or falls behind.
    Job,
}

impl Kind {
    pub(crate) const ALL: [Self; 10] = [
        Self::Writes,
        Self::Volume,
        Self::Drops,
        Self::Purge,
        Self::Deletion,
        Self::Sink,
        Self::Certificate,
        Self::Keyring,
        Self::Journal,
        Self::Job,
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
            Self::Keyring => "keyring_copy",
            Self::Journal => "journal",
            Self::Job => "job",
        }
    }

    /// The page that shows more, below the account's.
    pub(crate) const fn page(self) -> Option<&'static str> {
        match self {
            Self::Writes | Self::Volume | Self::Purge | Self::Journal => Some("storage"),
            Self::Drops => Some("drops"),
            Self::Deletion => Some("people/deletions"),
            Self::Sink => Some("settings/audit"),
            Self::Certificate | Self::Keyring | Self::Job => None,
        }
    }

    /// What is red when a job fails or falls behind.
    const fn of_job(job: Job) -> Self {
        match job {
            Job::Drops => Self::Drops,
            Job::Expiry | Job::Garbage | Job::Deletion => Self::Purge,
            Job::Flush
            | Job::Compaction
            | Job::Maintain
            | Job::Keys
            | Job::Checkpoint
            | Job::Mail
            | Job::Sinks
            | Job::Alerts
            | Job::Uses => Self::Job,
        }
    }
}

/// What is not done while a job is not.
const fn undone(job: Job) -> &'static str {
    match job {
        Job::Flush => {
            "what comes in stays in the journal; once that is full, uploads are answered 503"
        }
        Job::Compaction => "parts stay many and small, and reads become slow",
        Job::Deletion => "people who are to be deleted are hidden, and their rows still there",
        Job::Expiry => "what is past its retention is still there",
        Job::Garbage => "what was replaced is still on the volumes",
        Job::Maintain => "volumes are not brought back, repaired and scrubbed",
        Job::Keys => {
            "keys are not made ahead of time, and writers wait for them or fail; or a change of keys has \
             not ended, and deletions wait"
        }
        Job::Checkpoint => "the heads of the audit logs are not published",
        Job::Drops => "drops that nobody has reviewed are not counted",
        Job::Mail => "mail stays in the outbox",
        Job::Sinks => "how far the sinks of the audit log are is not known",
        Job::Alerts => "what turns red is not told",
        Job::Uses => "when credentials were used last is not written down",
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
    failing: Option<Failing>,
}

/// A job that has failed since it was last done.
#[derive(Debug, Clone)]
struct Failing {
    since: Timestamp,
    times: u32,
    /// What it failed with the last time.
    why: String,
}

impl Watch {
    fn with<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A job has run to its end, well or not.
    pub(crate) fn ran(&self, job: Job, at: Timestamp, failure: Option<String>) {
        self.with(|seen| {
            let ran = seen.jobs.entry(job.as_str()).or_default();
            let before = ran.failing.take();
            match failure {
                None => ran.done_at = Some(at),
                Some(why) => {
                    let times = before.as_ref().map_or(0, |it| it.times);
                    ran.failing = Some(Failing {
                        since: before.map_or(at, |it| it.since),
                        times: times.saturating_add(1),
                        why,
                    });
                }
            }
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
    pub(crate) keyring: Arc<SharedKeyring>,
    pub(crate) journal: Journal,
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
        found.extend(self.keyring.away().into_iter().map(|(copy, why)| {
            let copy = copy.display().to_string();
            of_installation(
                Kind::Keyring,
                copy.clone(),
                format!("The copy `{copy}` of the keyring is out of reach"),
                format!(
                    "{why}. Until it follows no deletion is finished; the job `keys` writes it when \
                     its disk is back"
                ),
            )
        }));
        found.extend(self.of_journal());
        let mut jobs = Job::ALL;
        jobs.sort_by_key(|job| Kind::of_job(*job));
        for job in jobs {
            let ran = seen.jobs.get(job.as_str()).cloned().unwrap_or_default();
            found.extend(self.of_job(job, &ran));
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

    /// Whether uploads can be acknowledged, as far as the volumes and the journal's room go; says why
    /// not.
    pub(crate) fn readiness(&self) -> Result<(), String> {
        if !self.store.readiness() {
            let status = self.store.status();
            return Err(format!(
                "{} of {} volumes serve, {} are needed",
                status.healthy,
                status.volumes.len(),
                status.data
            ));
        }
        let status = self.journal.status();
        let (held, most) = (status.live_bytes, status.live_bytes_max);
        if held >= most {
            return Err(format!(
                "the journal is full: it holds {} of {}",
                human_bytes(held),
                human_bytes(most)
            ));
        }
        Ok(())
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

    /// The journal, when it is filled faster than it is emptied.
    fn of_journal(&self) -> Option<Concern> {
        let status = self.journal.status();
        let (held, most) = (status.live_bytes, status.live_bytes_max);
        (held > most / 2).then(|| {
            of_installation(
                Kind::Journal,
                String::new(),
                String::from("The journal is more than half full"),
                format!(
                    "{} of {}; once it is full, uploads are answered 503. The job `flush` \
                     empties it, as long as k volumes serve and the control database is written",
                    human_bytes(held),
                    human_bytes(most)
                ),
            )
        })
    }

    /// A job, when it fails or falls behind.
    fn of_job(&self, job: Job, ran: &Ran) -> Option<Concern> {
        let (kind, name) = (Kind::of_job(job), job.as_str());
        let concern = |what: &str, why: &str| {
            let text = format!("The job `{name}` {what}");
            let undone = undone(job);
            let words = format!("{why}; {undone}. `strongroom job run {name}` tries it at once");
            of_installation(kind, name.to_owned(), text, words)
        };
        let now = self.clock.now();
        if let Some(failing) = &ran.failing {
            let is_lasting =
                failing.times >= FAILURES_MIN && now >= failing.since.plus(FAILING_MIN);
            // What removes data, or counts what is overdue, comes seldom: once is enough.
            if kind != Kind::Job || is_lasting {
                return Some(concern("fails", &failing.why));
            }
        }
        let since = match job {
            Job::Flush => self.unflushed_since()?,
            _ => ran.done_at.unwrap_or(self.started_at),
        };
        (now > since.plus(self.patience(job))).then(|| {
            let why = match job {
                Job::Flush => format!("a commit of the journal waits since {since}"),
                _ => format!("it was last done at {since}"),
            };
            concern("has fallen behind", &why)
        })
    }

    /// Since when a commit waits for its flush, as far as this process could have flushed it; none while
    /// the journal is empty: then there is nothing to do, and nothing is done.
    fn unflushed_since(&self) -> Option<Timestamp> {
        let age = Duration::from_millis(self.journal.status().oldest_age_ms?);
        Some(self.clock.now().minus(age).max(self.started_at))
    }

    /// How long after its time a job is not called late.
    fn patience(&self, job: Job) -> Duration {
        let every = match job {
            // It is looked at more often than it is due.
            Job::Flush => Duration::from_secs(self.settings.flush_interval_s.into()),
            _ => job.interval(&self.settings),
        };
        let least = match job {
            Job::Maintain => UPKEEP_LATE_MIN,
            _ => LATE_MIN,
        };
        least.max(every.saturating_mul(TURNS_MISSED_MAX))
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
