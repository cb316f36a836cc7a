//! A store in memory whose puts fail, hang and land late, as a test says.

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// What the next put does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// It works.
    Works,
    /// It fails, and nothing is there.
    Lost,
    /// It fails, and the object is there all the same.
    Landed,
    /// It fails, and the object appears when the store is told to reveal it: its volumes were away.
    Hidden,
    /// It never returns; the object is there.
    HangsLanded,
    /// It never returns; the object appears when revealed.
    HangsHidden,
}

#[derive(Debug, Default)]
pub(crate) struct FaultStore {
    inner: InMemory,
    script: Mutex<VecDeque<Put>>,
    hidden: Mutex<Vec<(Path, PutPayload)>>,
    unreadable: Mutex<Option<Path>>,
    failing_deletes: Mutex<bool>,
    /// Told at each put, before it does anything.
    pub(crate) arrived: Notify,
    /// Puts wait here while it is closed.
    gate: Mutex<Option<Arc<Notify>>>,
}

impl FaultStore {
    /// What the next puts do, one after the other; then they work.
    pub(crate) fn plan(&self, puts: impl IntoIterator<Item = Put>) {
        *self.script.lock().unwrap() = puts.into_iter().collect();
    }

    /// Every later put waits until the notification is given.
    pub(crate) fn close_gate(&self) -> Arc<Notify> {
        let gate = Arc::new(Notify::new());
        *self.gate.lock().unwrap() = Some(Arc::clone(&gate));
        gate
    }

    /// Puts go through again; those that wait need one notification each.
    pub(crate) fn open_gate(&self) {
        *self.gate.lock().unwrap() = None;
    }

    /// Volumes come back: what was hidden is there.
    pub(crate) async fn reveal(&self) {
        let hidden = std::mem::take(&mut *self.hidden.lock().unwrap());
        for (path, payload) in hidden {
            self.inner.put(&path, payload).await.unwrap();
        }
    }

    /// Reads of `path` fail.
    pub(crate) fn make_unreadable(&self, path: Option<Path>) {
        *self.unreadable.lock().unwrap() = path;
    }

    pub(crate) fn fail_deletes(&self, fail: bool) {
        *self.failing_deletes.lock().unwrap() = fail;
    }
}

fn failure() -> Error {
    Error::Generic {
        store: "FaultStore",
        source: "as planned".into(),
    }
}

impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultStore")
    }
}

#[async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.arrived.notify_one();
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.notified().await;
        }
        let put = self
            .script
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or(Put::Works);
        match put {
            Put::Works => return self.inner.put_opts(location, payload, opts).await,
            Put::Lost => {}
            Put::Landed | Put::HangsLanded => {
                self.inner.put_opts(location, payload, opts).await?;
            }
            Put::Hidden | Put::HangsHidden => {
                self.hidden
                    .lock()
                    .unwrap()
                    .push((location.clone(), payload));
            }
        }
        if matches!(put, Put::HangsLanded | Put::HangsHidden) {
            std::future::pending::<()>().await;
        }
        Err(failure())
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if self.unreadable.lock().unwrap().as_ref() == Some(location) {
            return Err(failure());
        }
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        if *self.failing_deletes.lock().unwrap() {
            return Box::pin(futures::stream::iter([Err(failure())]));
        }
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
