//! Failed sign-ins: they slow down, then pause, whoever the address belongs to.
//!
//! Counted by address whether or not a user has it, so that nobody learns from it who is a user; and
//! by network in memory. From the fourth failure in a row on one waits, twice as long each time; every
//! tenth pauses the address for 30 minutes; after a hundred in a row no password is taken any more
//! (NIST SP 800-63B, section 3.2.2), until the password is set anew by mail or an Admin unlocks.

use model::Timestamp;
use sqlx::Row as _;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::control::Desk;
use crate::database::Session;
use crate::{Error, Result};

/// Failures in a row after which one waits.
const FREE: u32 = 3;
/// Failures in a row that pause the address, and again after as many.
const PAUSE_AT: u32 = 10;
/// How long.
const PAUSE: Duration = Duration::from_secs(30 * 60);
/// Failures in a row after which no password is taken.
const END_AT: u32 = 100;

/// Failures of one network within [`WINDOW`] before it waits.
const NETWORK_MAX: u32 = 60;
const WINDOW: Duration = Duration::from_secs(10 * 60);
/// Networks that are remembered; beyond them the oldest are forgotten.
const NETWORKS_MAX: usize = 20_000;

/// What is known of an address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Failures {
    /// In a row.
    pub(super) count: u32,
    /// Until when nothing is taken, in milliseconds.
    pub(super) paused_until: i64,
}

impl Failures {
    /// Whether an attempt is judged at all now.
    pub(super) const fn is_paused(self, now: Timestamp) -> bool {
        self.paused_until > now.ms()
    }

    /// Whether the address is locked so that people should be told where they manage users.
    pub(super) const fn is_locked(self, now: Timestamp) -> bool {
        self.is_paused(now) && self.count >= PAUSE_AT
    }

    /// After one failure more.
    pub(super) fn one_more(self, now: Timestamp) -> Self {
        let count = self.count.saturating_add(1);
        let paused_until = if count >= END_AT {
            i64::MAX
        } else if count.is_multiple_of(PAUSE_AT) {
            now.plus(PAUSE).ms()
        } else if count > FREE {
            let doublings = (count % PAUSE_AT).saturating_sub(FREE).min(5);
            now.plus(Duration::from_secs(1 << doublings)).ms()
        } else {
            0
        };
        Self {
            count,
            paused_until,
        }
    }
}

/// What is known of the address with that hash.
///
/// # Errors
/// [`model::ErrorKind::Unavailable`] when the database does not answer.
pub(super) async fn read(session: &mut Session, email: &[u8]) -> Result<Failures> {
    const ACT: &str = "read failed sign-ins";
    let row = sqlx::query("SELECT count, paused_until FROM failures WHERE email_hash = $1")
        .bind(email.to_vec())
        .fetch_optional(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let Some(row) = row else {
        return Ok(Failures::default());
    };
    let count: i64 = row.try_get(0).map_err(Error::database(ACT))?;
    Ok(Failures {
        count: u32::try_from(count).unwrap_or(u32::MAX),
        paused_until: row.try_get(1).map_err(Error::database(ACT))?,
    })
}

/// Writes down what is known of an address.
///
/// # Errors
/// [`model::ErrorKind::Unavailable`] when it cannot be written.
pub(super) async fn write(
    session: &mut Session,
    desk: &Desk,
    email: &[u8],
    failures: Failures,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO failures (email_hash, count, failed_at, paused_until) \
         VALUES ($1, $2, $3, $4) ON CONFLICT (email_hash) DO UPDATE SET \
         count = excluded.count, failed_at = excluded.failed_at, \
         paused_until = excluded.paused_until",
    )
    .bind(email.to_vec())
    .bind(i64::from(failures.count))
    .bind(desk.now.ms())
    .bind(failures.paused_until)
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database("write a failed sign-in"))
}

/// Forgets the failures of an address.
///
/// # Errors
/// As [`write`].
pub(super) async fn clear(session: &mut Session, email: &[u8]) -> Result<()> {
    sqlx::query("DELETE FROM failures WHERE email_hash = $1")
        .bind(email.to_vec())
        .execute(session.connection())
        .await
        .map(|_| ())
        .map_err(Error::database("forget failed sign-ins"))
}

/// Failures by network, in memory: one that fails for many addresses waits too.
#[derive(Debug, Default)]
pub(crate) struct Networks(Mutex<HashMap<IpAddr, Window>>);

#[derive(Debug, Clone, Copy)]
struct Window {
    since: Timestamp,
    count: u32,
}

impl Networks {
    /// Whether an attempt from there is judged at all now.
    pub(super) fn admit(&self, peer: Option<IpAddr>, now: Timestamp) -> bool {
        let Some(peer) = peer else { return true };
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get(&network(peer)) {
            Some(window) if now < window.since.plus(WINDOW) => window.count < NETWORK_MAX,
            Some(_) | None => true,
        }
    }

    /// Counts a failure.
    pub(super) fn count(&self, peer: Option<IpAddr>, now: Timestamp) {
        let Some(peer) = peer else { return };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= NETWORKS_MAX {
            all.retain(|_, window| now < window.since.plus(WINDOW));
        }
        if all.len() >= NETWORKS_MAX {
            let oldest = all.iter().min_by_key(|(_, window)| window.since);
            if let Some(oldest) = oldest.map(|(network, _)| *network) {
                all.remove(&oldest);
            }
        }
        let window = all.entry(network(peer)).or_insert(Window {
            since: now,
            count: 0,
        });
        if now >= window.since.plus(WINDOW) {
            *window = Window {
                since: now,
                count: 0,
            };
        }
        window.count = window.count.saturating_add(1);
    }
}

/// What one subscriber usually has: an IPv4 address, an IPv6 /64.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let bits = u128::from(address) >> 64 << 64;
            IpAddr::V6(bits.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_700_000_000_000);

    fn after(count: u32) -> Failures {
        (0..count).fold(Failures::default(), |all, _| all.one_more(NOW))
    }

    #[test]
    fn failures_slow_down_then_pause_then_end() {
        let waits: Vec<i64> = (1..=10)
            .map(|count| (after(count).paused_until - NOW.ms()).max(0) / 1_000)
            .collect();
        assert_eq!(waits, [0, 0, 0, 2, 4, 8, 16, 32, 32, 1_800]);
        assert!(after(10).is_locked(NOW));
        assert!(!after(9).is_locked(NOW));
        assert!(!after(10).is_paused(NOW.plus(PAUSE)));
        assert_eq!(after(100).paused_until, i64::MAX);
    }

    #[test]
    fn a_network_waits_after_many_failures_and_others_do_not() {
        let networks = Networks::default();
        let bad: IpAddr = "192.0.2.1".parse().unwrap();
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        // What the operators' pages say: 60 failures, 10 minutes.
        for _ in 0..60 {
            assert!(networks.admit(Some(bad), NOW));
            networks.count(Some(bad), NOW);
        }
        assert!(!networks.admit(Some(bad), NOW));
        assert!(!networks.admit(Some(mapped), NOW));
        assert!(networks.admit(Some("192.0.2.2".parse().unwrap()), NOW));
        let after = |seconds| NOW.plus(Duration::from_secs(seconds));
        assert!(!networks.admit(Some(bad), after(599)));
        assert!(networks.admit(Some(bad), after(600)));
    }
}
