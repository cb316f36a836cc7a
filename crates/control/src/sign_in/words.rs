//! The words around a user that a password must not be made of. `docs/operate/access.md` lists them.

use model::AccountId;
use std::sync::Arc;

use crate::Result;
use crate::control::Control;
use crate::users::{self, UserId};

/// What the product is called.
const PRODUCT: &str = "strongroom";

/// Whose password it is to be.
#[derive(Clone, Copy)]
pub(super) struct Whose<'a> {
    pub(super) email: &'a str,
    pub(super) name: &'a str,
    /// None for somebody who is no user yet.
    pub(super) user: Option<UserId>,
    /// The account that invites them.
    pub(super) account: Option<AccountId>,
}

impl Control {
    /// The product's name, the console's, the user's own, and those of the accounts where the user has a
    /// role.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the database does not answer.
    pub(super) async fn words_around(&self, whose: Whose<'_>) -> Result<Vec<String>> {
        let mut accounts = Vec::from_iter(whose.account);
        if let Some(user) = whose.user {
            let held = self.database.read(move |session| {
                Box::pin(async move { users::reading::accounts_of(session, user).await })
            });
            accounts.extend(held.await?);
        }
        let mut words = Vec::from([PRODUCT, whose.email, whose.name].map(str::to_owned));
        words.extend(self.console_name());
        let rules = Arc::clone(&self.rules().borrow());
        for account in accounts {
            words.push(account.to_string());
            words.extend(rules.account(account).map(|it| it.name.to_string()));
        }
        Ok(words)
    }
}
