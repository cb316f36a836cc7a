//! When credentials were accepted last: kept in memory until a job writes it down, so that no request
//! waits for that.
//!
//! Only what was accepted is noted, so there is no more of it than there are credentials.

use model::{AccountId, Credential, CredentialUse, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

/// The times, by account.
#[derive(Debug, Default)]
pub(crate) struct Uses(Mutex<HashMap<AccountId, OfAccount>>);

#[derive(Debug, Default)]
struct OfAccount {
    passcodes: BTreeMap<Box<str>, Timestamp>,
    tokens: BTreeMap<u32, Timestamp>,
}

impl Uses {
    /// The passcode of that name was accepted.
    pub(crate) fn passcode(&self, account: AccountId, name: &str, at: Timestamp) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let uses = &mut all.entry(account).or_default().passcodes;
        match uses.get_mut(name) {
            Some(last) => *last = at.max(*last),
            None => drop(uses.insert(Box::from(name), at)),
        }
    }

    /// The SDK token of that number was accepted.
    pub(crate) fn token(&self, account: AccountId, number: u32, at: Timestamp) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = &mut all.entry(account).or_default().tokens;
        let last = last.entry(number).or_insert(at);
        *last = at.max(*last);
    }

    /// Takes everything away.
    pub(crate) fn take(&self) -> Vec<CredentialUse> {
        let taken = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut uses = Vec::new();
        for (account, of_account) in taken {
            let passcodes = of_account.passcodes.into_iter();
            let passcodes = passcodes.map(|(name, at)| (Credential::Passcode(name), at));
            let tokens = of_account.tokens.into_iter();
            let tokens = tokens.map(|(number, at)| (Credential::SdkToken(number), at));
            uses.extend(
                passcodes
                    .chain(tokens)
                    .map(|(credential, at)| CredentialUse {
                        account,
                        credential,
                        at,
                    }),
            );
        }
        uses
    }

    /// Puts back what could not be written down; what was noted since then stays.
    pub(crate) fn put_back(&self, uses: Vec<CredentialUse>) {
        for it in uses {
            match it.credential {
                Credential::Passcode(name) => self.passcode(it.account, &name, it.at),
                Credential::SdkToken(number) => self.token(it.account, number, it.at),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Uses;
    use model::{Credential, CredentialUse, Timestamp};

    #[test]
    fn the_last_use_of_each_is_taken_once_and_can_be_put_back() {
        let account = "AAA-AAA-AAAZ".parse().unwrap();
        let (uses, at) = (Uses::default(), Timestamp::from_ms);
        uses.passcode(account, "default", at(5));
        uses.passcode(account, "default", at(3));
        uses.token(account, 2, at(7));
        let taken = uses.take();
        let one = |credential, ms| CredentialUse {
            account,
            credential,
            at: at(ms),
        };
        let default = || Credential::Passcode(Box::from("default"));
        assert_eq!(taken, [one(default(), 5), one(Credential::SdkToken(2), 7)]);
        assert_eq!(uses.take(), []);
        uses.passcode(account, "default", at(9));
        uses.put_back(taken);
        assert_eq!(
            uses.take(),
            [one(default(), 9), one(Credential::SdkToken(2), 7)]
        );
    }
}
