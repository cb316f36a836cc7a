//! Devices that have opted out: what they send is not kept until they opt in again, whichever of their
//! tabs and processes has heard of it.
//!
//! It must never hold what is not durable: [`OptedOut::remember`] is called after the commit, not
//! before.

use model::opt_out::OptOut;
use model::{AccountId, PersonKey, PersonMap, Timestamp, limit};
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// What devices have said last. An account of which none has said anything is not in it.
#[derive(Debug)]
pub struct OptedOut {
    accounts: RwLock<HashMap<AccountId, Devices>>,
    devices_max: usize,
}

/// Those of one account, each with when it said so. None is in both.
#[derive(Debug, Default)]
struct Devices {
    out: PersonMap<Timestamp>,
    /// Those that have opted in: what they said before comes late at times.
    back: PersonMap<Timestamp>,
}

impl Default for OptedOut {
    fn default() -> Self {
        Self::with_room(limit::OPTED_OUT_DEVICES_MAX)
    }
}

impl OptedOut {
    /// A table for at most `devices_max` devices of each account that are out, and as many that are back.
    #[must_use]
    pub fn with_room(devices_max: usize) -> Self {
        Self {
            accounts: RwLock::default(),
            devices_max,
        }
    }

    /// When a device opted out; none when it is not out. Its key is asked for where somebody in the
    /// account is.
    #[must_use]
    pub fn since(
        &self,
        account: AccountId,
        device: impl FnOnce() -> PersonKey,
    ) -> Option<Timestamp> {
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        let out = &accounts.get(&account)?.out;
        if out.is_empty() {
            return None;
        }
        out.get(&device()).copied()
    }

    /// Whether a device has opted in, and not out since.
    #[must_use]
    pub fn is_back(&self, account: AccountId, device: PersonKey) -> bool {
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        let devices = accounts.get(&account);
        devices.is_some_and(|it| it.back.contains_key(&device))
    }

    /// Remembers what devices have said, once it is durable: what a device said last by its own time
    /// holds, and of two of one time the one that is told last. How many that opted out found no room.
    pub fn remember(&self, said: &[OptOut]) -> u64 {
        if said.is_empty() {
            return 0;
        }
        let mut without_room = 0;
        let mut accounts = self
            .accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        for it in said {
            let devices = accounts.entry(it.account).or_default();
            let (said, unsaid) = match it.is_out {
                true => (&mut devices.out, &mut devices.back),
                false => (&mut devices.back, &mut devices.out),
            };
            if unsaid.get(&it.device).is_some_and(|since| *since > it.at) {
                continue;
            }
            unsaid.remove(&it.device);
            let has_room = said.len() < self.devices_max;
            match said.get_mut(&it.device) {
                Some(since) => *since = it.at.max(*since),
                None if has_room => drop(said.insert(it.device, it.at)),
                None => without_room += u64::from(it.is_out),
            }
        }
        without_room
    }
}

#[cfg(test)]
mod tests;
