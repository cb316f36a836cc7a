//! The rows that are still in the journal, as a query needs them.
//!
//! The trait is a boundary: `server` implements it over the journal. It is kept so small that the
//! rule of the snapshot stands in one place, [`crate::snapshot`].

use async_trait::async_trait;
use model::CommitId;
use model::record::Entry;
use std::fmt::Debug;
use std::sync::Arc;

use crate::Result;

/// Reads commits that may not be in parts yet.
#[async_trait]
pub trait Tail: Debug + Send + Sync {
    /// Every acknowledged commit that has not been retired, at one moment, in each writer's order.
    ///
    /// A commit may be retired (deleted) only after the publication that consumed it.
    ///
    /// # Errors
    /// `Unavailable` when the journal cannot tell.
    async fn live(&self) -> Result<Vec<CommitId>>;

    /// The entries of one commit.
    ///
    /// # Errors
    /// [`crate::Error::Retired`] when it has been retired since; `Unavailable` when the store does
    /// not answer; `Corrupt` when its bytes are wrong.
    async fn read(&self, id: CommitId) -> Result<Arc<Vec<Entry>>>;
}
