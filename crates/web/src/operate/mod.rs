//! What people do with what was refused: they look at drops and review them, search the request
//! log, open quarantined records, replay and delete them.
//!
//! The console and the command line both call this, so that both do the same. Each read of
//! somebody's data is in the audit log before its first row; who may is `control`'s business.

mod error;
mod rows;

pub(crate) mod audit;
pub mod drops;
pub(crate) mod people;
pub mod portrait;
pub mod quarantine;
pub mod requests;

pub use error::{Error, Result};
pub use rows::Row;
pub(crate) use rows::{moment, number, rows_of, rows_under, text, time};

use control::{Action, Actor, AuditOutcome};
use model::AccountId;

use crate::State;

/// Who looks at which account, and what the audit log calls it.
#[derive(Debug, Clone, Copy)]
struct Reading<'a> {
    state: &'a State,
    actor: &'a Actor,
    account: AccountId,
    action: Action,
    object: &'a str,
}

impl Reading<'_> {
    /// Says that rows are about to be read. Without the entry nothing is.
    async fn begin(self, words: &str) -> Result<()> {
        self.note(words, AuditOutcome::Begun).await
    }

    /// Says what was read.
    async fn end(self, words: &str) -> Result<()> {
        self.note(words, AuditOutcome::Done).await
    }

    async fn note(self, words: &str, outcome: AuditOutcome) -> Result<()> {
        let control = self.state.control();
        let (account, action, object) = (self.account, self.action, self.object);
        control
            .audit(self.actor, account, action, object, words, outcome)
            .await?;
        Ok(())
    }
}
