//! What is live above some watermarks, held for one reader.
//!
//! While a tail lives, the objects of its commits stay, even when a flush retires them. It must be
//! dropped when its reader is done.

use futures::{StreamExt, stream, stream::BoxStream};
use model::record::Entry;
use std::sync::Arc;

use crate::error::Result;
use crate::handle::{Keep, Shared};
use crate::live::{Live, LiveCommit};

/// Commits that are decoded ahead of a stream's reader.
const AHEAD: usize = 2;

/// A snapshot of live commits; see [`crate::Journal::tail`] and [`crate::Journal::hold`].
#[derive(Debug)]
pub struct Tail {
    shared: Arc<Shared>,
    commits: Vec<Live>,
}

impl Tail {
    pub(crate) const fn new(shared: Arc<Shared>, commits: Vec<Live>) -> Self {
        Self { shared, commits }
    }

    /// The commits: by writer, then by number.
    #[must_use]
    pub fn commits(&self) -> Vec<LiveCommit> {
        self.commits.iter().map(Live::commit).collect()
    }

    /// The commits' entries in order, each decoded when it is its turn, so that a long tail never
    /// lies in memory whole. The stream holds the commits until it is dropped.
    ///
    /// An item is an error (of the kinds of [`crate::Journal::read`]) when its commit cannot be
    /// read.
    #[must_use]
    pub fn into_stream(self) -> BoxStream<'static, Result<Arc<Vec<Entry>>>> {
        let this = Arc::new(self);
        let commits = this.commits.clone();
        stream::iter(commits)
            .map(move |live| {
                let this = Arc::clone(&this);
                async move { this.shared.read(live, Keep::IfRoom).await }
            })
            .buffered(AHEAD)
            .boxed()
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.shared
            .state()
            .unpin(self.commits.iter().map(|live| live.header.id));
    }
}
