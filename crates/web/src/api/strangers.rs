//! Programs that were refused: an account of ours and a wrong passcode, or one that is not for what was
//! asked. Each is an entry of the account's audit log.
//!
//! Whoever guesses must not fill the log: of one account and one peer there is an entry a minute, which
//! tells how many came since the one before. The request log counts each of them.

use axum::extract::{Request, State as Of};
use axum::middleware::Next;
use axum::response::Response;
use collect::{Caller, Facts, Head};
use control::{Action, Actor, AuditOutcome};
use model::{AccountId, Timestamp};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::State;

/// An entry of one account and one peer covers so much.
const WINDOW: Duration = Duration::from_secs(60);
/// Accounts and peers that are remembered; beyond them each refusal is an entry.
const REMEMBERED_MAX: usize = 4_096;

/// The name of a program whose passcode is none of the account's.
const UNKNOWN: &str = "unknown passcode";

/// Programs that were refused of late.
#[derive(Debug, Default)]
pub(crate) struct Strangers(Mutex<HashMap<(AccountId, Option<IpAddr>), Late>>);

/// What is remembered of one account and one peer.
#[derive(Debug, Clone, Copy)]
struct Late {
    /// When the last entry was written.
    noted_at: Timestamp,
    /// Refusals since, which no entry tells of yet.
    since: u64,
}

impl Strangers {
    /// Counts a refusal. When it is to be written down: how many there were since the last entry, this
    /// one not counted.
    fn count(&self, account: AccountId, peer: Option<IpAddr>, now: Timestamp) -> Option<u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(late) = all.get_mut(&(account, peer)) {
            if now < late.noted_at.plus(WINDOW) {
                late.since = late.since.saturating_add(1);
                return None;
            }
            let since = late.since;
            *late = Late {
                noted_at: now,
                since: 0,
            };
            return Some(since);
        }
        if all.len() >= REMEMBERED_MAX {
            all.retain(|_, late| now < late.noted_at.plus(WINDOW));
        }
        if all.len() < REMEMBERED_MAX {
            let late = Late {
                noted_at: now,
                since: 0,
            };
            all.insert((account, peer), late);
        }
        Some(0)
    }
}

/// The layer: what was refused for the caller's sake is written down before it is answered.
pub(crate) async fn note_refusals(Of(state): Of<State>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Head>();
    let peer = peer.and_then(Head::peer_address);
    let response = next.run(request).await;
    let Some(facts) = response.extensions().get::<Facts>() else {
        return response;
    };
    let (account, words) = match (facts.account, facts.reason) {
        (Some(account), "invalid_credentials") => (
            account,
            "the passcode is wrong, or not good from there or any more",
        ),
        (Some(account), "out_of_scope") => (account, "the passcode is not for that"),
        _ => return response,
    };
    let Some(since) = state.strangers().count(account, peer, state.clock().now()) else {
        return response;
    };
    let caller = response.extensions().get::<Caller>();
    let name = caller.map_or(UNKNOWN, |it| &*it.passcode_name);
    let actor = Actor::passcode(account, name);
    let actor = match peer {
        Some(peer) => actor.with_peer(peer),
        None => actor,
    };
    let words = match since {
        0 => words.to_owned(),
        more => format!("{words}; {more} more since the entry before"),
    };
    let (action, outcome) = (Action::ProgramRefused, AuditOutcome::Refused);
    let noted = state
        .control()
        .audit(&actor, account, action, account.as_str(), &words, outcome)
        .await;
    // It is refused either way.
    if let Err(error) = noted {
        let error = &error as &dyn std::error::Error;
        tracing::error!(error, "a refusal was not written to the audit log");
    }
    response
}

#[cfg(test)]
mod tests {
    use super::{REMEMBERED_MAX, Strangers, WINDOW};
    use model::{AccountId, Timestamp};

    #[test]
    fn guesses_are_an_entry_a_minute_that_counts_them() {
        let strangers = Strangers::default();
        let account = AccountId::installation();
        let now = Timestamp::from_seconds(1_790_000_000);
        let peer = |number: usize| {
            let number = u32::try_from(number).unwrap();
            Some(std::net::Ipv4Addr::from(number).into())
        };
        assert_eq!(strangers.count(account, peer(1), now), Some(0));
        for _ in 0..7 {
            assert_eq!(strangers.count(account, peer(1), now), None);
        }
        assert_eq!(strangers.count(account, peer(2), now), Some(0));
        let later = now.plus(WINDOW);
        assert_eq!(strangers.count(account, peer(1), later), Some(7));
        assert_eq!(strangers.count(account, peer(1), later), None);
        // Whoever comes from everywhere is not forgotten for it, and does not fill the memory.
        for number in 0..2 * REMEMBERED_MAX {
            strangers.count(account, peer(number + 10), later);
        }
        assert!(strangers.0.lock().unwrap().len() <= REMEMBERED_MAX);
        assert_eq!(strangers.count(account, peer(1), later), None);
    }
}
