//! Who calls: account id and passcode, checked against the snapshot of the rules.

use governance::{AccountRules, PasscodeTerms};
use http::HeaderMap;
use model::AccountId;
use std::sync::Arc;

use crate::{Head, Refusal, State};

const ACCOUNT_ID: &str = "x-clevertap-account-id";
const PASSCODE: &str = "x-clevertap-passcode";

/// A caller whose credentials are right.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whose data it may reach: the rules of one account.
    pub rules: Arc<AccountRules>,
    /// Which of the account's passcodes it showed, by name.
    pub passcode_name: Box<str>,
    /// What the passcode is good for; time and place are right.
    pub terms: PasscodeTerms,
}

/// A caller that was not let in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stranger {
    /// Why.
    pub(crate) refusal: Refusal,
    /// The account that it named, if there is one of that name.
    pub(crate) account: Option<AccountId>,
}

impl Caller {
    /// The account.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.rules.id
    }

    /// Who the headers say is calling. Each header must be there, with one value. A passcode that is past its
    /// time, or comes from elsewhere than it may, is as good as a wrong one.
    pub(crate) fn of(
        state: &State,
        headers: &HeaderMap,
        head: Option<&Head>,
    ) -> Result<Self, Stranger> {
        let unknown = Stranger {
            refusal: Refusal::UnknownAccount,
            account: None,
        };
        let account = only(headers, ACCOUNT_ID).and_then(|text| text.trim().parse().ok());
        let account: AccountId = account.ok_or(unknown)?;
        let all = state.rules();
        let rules = all.account(account).ok_or(unknown)?;
        let (now, peer) = (state.clock().now(), head.and_then(Head::peer_address));
        let passcode = only(headers, PASSCODE)
            .and_then(|text| rules.verify_passcode(text))
            .filter(|passcode| passcode.terms.accept(now, peer))
            .filter(|_| all.admits_to_api(account, peer));
        let Some(passcode) = passcode else {
            let account = Some(account);
            return Err(Stranger {
                refusal: Refusal::InvalidCredentials,
                account,
            });
        };
        state.uses().passcode(rules.id, &passcode.name, now);
        if let Some(head) = head {
            head.let_in();
        }
        Ok(Self {
            passcode_name: passcode.name.clone(),
            terms: passcode.terms.clone(),
            rules: Arc::clone(rules),
        })
    }
}

/// The one value of a header: some clients and proxies send it twice. Two that differ are none.
pub(crate) fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.any(|other| other != value) {
        return None;
    }
    value.to_str().ok()
}
