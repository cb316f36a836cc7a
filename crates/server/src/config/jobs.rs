//! `[jobs]`: how often background work is done.

use super::within;
use anyhow::Result;

section! {
    /// Background work. Each job can also be run by `strongroom job run NAME`.
    struct Jobs {
        /// Commits are turned into parts when the oldest is this old, seconds. 1 to 86400.
        flush_interval_s: u32 = 60,
        /// … or when the journal holds this many bytes. 65536 to 1099511627776.
        flush_bytes: u64 = 64 * 1024 * 1024,
        /// How often parts of one day are merged, seconds. 1 to 86400.
        compaction_interval_s: u32 = 300,
        /// How often pending deletions are carried out, seconds. 1 to 86400.
        deletion_interval_s: u32 = 60,
        /// How long after its order a deletion waits before it begins, seconds: until then it can be
        /// cancelled. 0 to 82800.
        deletion_grace_s: u32 = 600,
        /// How often what is past its retention is removed, seconds. 1 to 604800.
        expiry_interval_s: u32 = 3_600,
        /// How often objects that nothing names are removed, seconds. 1 to 604800.
        garbage_interval_s: u32 = 3_600,
        /// How long an object that nothing names is spared, seconds. 0 to 31536000.
        garbage_age_s: u32 = 86_400,
        /// How often volumes are compared, repaired and scrubbed a little further, seconds. 1 to 86400.
        maintain_interval_s: u32 = 30,
        /// How often heads of audit logs are signed and written to files, seconds. 1 to 86400.
        checkpoint_interval_s: u32 = 300,
        /// How often certificates are looked at for renewal, seconds. 1 to 604800.
        certificates_interval_s: u32 = 3_600,
        /// How long requests are on record, days: those of no account, and those of accounts that say
        /// nothing else (`strongroom account retention`). 1 to 36500.
        requests_retention_days: u32 = model::limit::REQUEST_RETENTION_DAYS_DEFAULT,
        /// How long quarantined records are kept, days. 1 to 36500.
        quarantine_retention_days: u32 = 30,
        /// How often it is counted what was dropped and not reviewed, seconds. 1 to 86400.
        drops_interval_s: u32 = 300,
        /// How long drops may wait for their review before they count as overdue, days. 0 to 36500.
        drops_review_days: u32 = 7,
    }
}

impl Jobs {
    /// Whether the values are within their bounds.
    pub(super) fn check(&self) -> Result<()> {
        const DAY: u64 = 86_400;
        within(
            "jobs.flush_interval_s",
            self.flush_interval_s.into(),
            1..=DAY,
        )?;
        within("jobs.flush_bytes", self.flush_bytes, (64 << 10)..=(1 << 40))?;
        within(
            "jobs.compaction_interval_s",
            self.compaction_interval_s.into(),
            1..=DAY,
        )?;
        within(
            "jobs.deletion_interval_s",
            self.deletion_interval_s.into(),
            1..=DAY,
        )?;
        within(
            "jobs.deletion_grace_s",
            self.deletion_grace_s.into(),
            0..=23 * 3_600,
        )?;
        within(
            "jobs.expiry_interval_s",
            self.expiry_interval_s.into(),
            1..=7 * DAY,
        )?;
        within(
            "jobs.garbage_interval_s",
            self.garbage_interval_s.into(),
            1..=7 * DAY,
        )?;
        within(
            "jobs.garbage_age_s",
            self.garbage_age_s.into(),
            0..=365 * DAY,
        )?;
        within(
            "jobs.maintain_interval_s",
            self.maintain_interval_s.into(),
            1..=DAY,
        )?;
        within(
            "jobs.checkpoint_interval_s",
            self.checkpoint_interval_s.into(),
            1..=DAY,
        )?;
        within(
            "jobs.certificates_interval_s",
            self.certificates_interval_s.into(),
            1..=7 * DAY,
        )?;
        within(
            "jobs.quarantine_retention_days",
            self.quarantine_retention_days.into(),
            1..=36_500,
        )?;
        within(
            "jobs.drops_interval_s",
            self.drops_interval_s.into(),
            1..=DAY,
        )?;
        within(
            "jobs.drops_review_days",
            self.drops_review_days.into(),
            0..=36_500,
        )?;
        within(
            "jobs.requests_retention_days",
            self.requests_retention_days.into(),
            1..=36_500,
        )
    }
}
