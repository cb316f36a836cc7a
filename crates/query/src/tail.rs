//! The rows that are still in the journal, as a query needs them.
//!
//! The trait is a boundary: `server` implements it over the journal. It is kept so small that the
//! rule of the snapshot stands in one place, [`crate::snapshot`].

use async_trait::async_trait;
use model::CommitId;
use model::record::Entry;
use std::any::Any;
use std::fmt;
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

    /// Keeps the commits that are live now readable, even when they are retired meanwhile, until what
    /// it returns is dropped. A reader that cannot may do nothing: a query then begins anew when a
    /// commit is gone.
    fn hold(&self) -> Held;

    /// The entries of one commit.
    ///
    /// # Errors
    /// [`crate::Error::Retired`] when it has been retired since; `Unavailable` when the store does
    /// not answer; `Corrupt` when its bytes are wrong.
    async fn read(&self, id: CommitId) -> Result<Arc<Vec<Entry>>>;
}

/// Commits that stay readable while it lives.
#[derive(Clone, Default)]
pub struct Held(Option<Arc<dyn Any + Send + Sync>>);

impl Held {
    /// Held by `guard`, until its last clone is dropped.
    pub fn by(guard: impl Any + Send + Sync) -> Self {
        Self(Some(Arc::new(guard)))
    }
}

impl Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("by_guard", &self.0.is_some())
            .finish()
    }
}
