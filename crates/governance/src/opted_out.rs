//! Devices that have opted out: what they send is not kept until they opt in again, whichever of their
//! tabs and processes has heard of it.
//!
//! It must never hold what is not durable: [`OptedOut::remember`] is called after the commit, not
//! before.

use model::opt_out::OptOut;
use model::{AccountId, PersonKey, PersonMap, Timestamp, limit};
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// The devices that are out, each with when it last said so. An account without any is not in it.
#[derive(Debug)]
pub struct OptedOut {
    accounts: RwLock<HashMap<AccountId, PersonMap<Timestamp>>>,
    devices_max: usize,
}

impl Default for OptedOut {
    fn default() -> Self {
        Self::with_room(limit::OPTED_OUT_DEVICES_MAX)
    }
}

impl OptedOut {
    /// A table for at most `devices_max` devices of each account.
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
        let devices = accounts.get(&account)?;
        devices.get(&device()).copied()
    }

    /// Remembers what devices have said, once it is durable: what a device said last by its own time
    /// holds, and of two of one time the one that is told last. (An opting in that finds nobody out is not held.)
    /// How many devices found no room.
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
            let since = devices.get(&it.device).copied();
            match (it.is_out, since) {
                (true, Some(since)) => {
                    devices.insert(it.device, since.max(it.at));
                }
                (true, None) if devices.len() < self.devices_max => {
                    devices.insert(it.device, it.at);
                }
                (true, None) => without_room += 1,
                (false, Some(since)) if since <= it.at => {
                    devices.remove(&it.device);
                }
                (false, _) => {}
            }
            if devices.is_empty() {
                accounts.remove(&it.account);
            }
        }
        without_room
    }
}

#[cfg(test)]
mod tests;
