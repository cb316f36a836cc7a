//! Work at a place: every operation has a time after which nobody waits for it, and is counted until
//! it comes back.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::Place;

/// How long a volume's label may take, and its listing at least.
pub(crate) const SLOW_GRACE: Duration = Duration::from_secs(60);
/// With so many late operations on a volume no more are begun until some come back: each may hold one
/// of the threads that all volumes share.
const LATE_MAX: usize = 16;
/// What is wrong with a volume or place that is not asked again.
pub(crate) const NOT_BACK: &str = "operations on it have not come back";

/// A place to work on.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) place: Arc<dyn Place>,
    /// Operations that have not come back yet.
    pub(crate) busy: Arc<AtomicUsize>,
    /// Those of them that have taken longer than they may.
    pub(crate) late: Arc<AtomicUsize>,
}

/// A volume to work on.
#[derive(Debug, Clone)]
pub(crate) struct Serving {
    pub(crate) index: usize,
    pub(crate) site: Site,
}

/// Counts an operation for as long as it is under way, or late.
struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(count))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Site {
    pub(crate) fn new(place: Arc<dyn Place>) -> Self {
        let (busy, late) = (Arc::default(), Arc::default());
        Self { place, busy, late }
    }

    /// Whether all that was begun here has come back.
    pub(crate) fn is_idle(&self) -> bool {
        self.busy.load(Ordering::Acquire) == 0
    }

    /// Takes the volume that is here for this store; false while somebody else has it open.
    pub(crate) async fn lock(&self, grace: Duration) -> io::Result<bool> {
        self.run(grace, |place| async move { place.lock().await })
            .await
    }

    /// Gives the volume back, unless something that is still under way might change it: then the
    /// next look at the place does.
    pub(crate) fn unlock(&self) {
        if self.is_idle() {
            self.place.unlock();
        }
    }

    /// Removes what was being written here when a program ended. Only once the volume is known to be
    /// this store's.
    pub(crate) async fn clear_unfinished(&self, grace: Duration) {
        let cleared = self.run(grace, |place| async move { place.clear_unfinished().await });
        if let Err(error) = cleared.await {
            let place = self.place.name();
            tracing::warn!(volume.place = place, %error, "unfinished files could not be removed");
        }
    }

    /// Runs an operation that may take long, not for ever.
    pub(crate) async fn slowly<T, F>(
        &self,
        work: impl FnOnce(Arc<dyn Place>) -> F,
    ) -> Result<T, String>
    where
        T: Send + 'static,
        F: Future<Output = io::Result<T>> + Send + 'static,
    {
        let done = self.run(SLOW_GRACE, work).await;
        done.map_err(|error| error.to_string())
    }

    /// Runs an operation of the place to its end in a task of its own, and waits `grace` for it. It is
    /// late from then on, whether anybody waits for it or not.
    pub(crate) async fn run<T, F>(
        &self,
        grace: Duration,
        work: impl FnOnce(Arc<dyn Place>) -> F,
    ) -> io::Result<T>
    where
        T: Send + 'static,
        F: Future<Output = io::Result<T>> + Send + 'static,
    {
        let (busy, late) = (Busy::begin(&self.busy), Arc::clone(&self.late));
        let work = work(Arc::clone(&self.place));
        let (tell, told) = oneshot::channel();
        tokio::spawn(async move {
            let mut work = std::pin::pin!(work);
            // Whoever waited may be gone by now.
            if let Ok(done) = timeout(grace, &mut work).await {
                drop(busy);
                drop(tell.send(done));
                return;
            }
            let _late = Busy::begin(&late);
            let words = format!("no answer within {} ms", grace.as_millis());
            drop(tell.send(Err(io::Error::new(io::ErrorKind::TimedOut, words))));
            drop(work.await);
        });
        let stopped = |_| Err(io::Error::other("the operation has stopped"));
        told.await.unwrap_or_else(stopped)
    }
}

impl Serving {
    /// Where it is, for messages.
    pub(crate) fn place_name(&self) -> String {
        self.site.place.name()
    }

    /// Whether so much of what was begun there is late that no more should be.
    fn is_stuck(&self) -> bool {
        self.site.late.load(Ordering::Acquire) >= LATE_MAX
    }

    /// As [`Site::run`], but nothing is begun while too much is late.
    pub(crate) async fn run<T, F>(
        &self,
        grace: Duration,
        work: impl FnOnce(Arc<dyn Place>) -> F,
    ) -> io::Result<T>
    where
        T: Send + 'static,
        F: Future<Output = io::Result<T>> + Send + 'static,
    {
        if self.is_stuck() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, NOT_BACK));
        }
        self.site.run(grace, work).await
    }
}
