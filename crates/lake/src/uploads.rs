//! From finished parts to published ones: every act's second half.
//!
//! Parts are made on a blocking thread and put into the store while the next is made. It must
//! never publish a part that is not durable, and never delete one that may have been published.

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use model::catalog::{PartMeta, Publication};
use model::{ErrorKind, LedgerPosition, PartId, Random};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;

use crate::part::{Finished, Writer};
use crate::{Error, Lake, Result};

/// Puts under way at a time.
const PUTS_MAX: usize = 8;
/// Bytes under way, beyond which no further put begins.
const PUT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Where the blocking side hands over finished parts.
pub(crate) struct Sink {
    parts: mpsc::Sender<Finished>,
    random: Arc<dyn Random>,
}

impl Sink {
    /// Ends `writer`'s part and hands it over; waits while the store is slower.
    pub(crate) fn finish(&self, writer: Writer) -> Result<()> {
        let part = writer.finish(PartId(self.random.bytes16()))?;
        // The other side is gone: it failed, or nobody waits for it any more.
        let gone = |_| Error::Internal {
            what: "hand over a part: the act was given up",
        };
        self.parts.blocking_send(part).map_err(gone)
    }
}

impl Lake {
    /// Runs `make` on a blocking thread and stores what it hands to its sink. Returns the stored
    /// parts and what `make` returned; when anything fails, no object is left behind.
    pub(crate) async fn store_parts<T: Send + 'static>(
        &self,
        make: impl FnOnce(&Sink) -> Result<T> + Send + 'static,
    ) -> Result<(Vec<PartMeta>, T)> {
        let (sender, receiver) = mpsc::channel(1);
        let sink = Sink {
            parts: sender,
            random: Arc::clone(&self.random),
        };
        let making = tokio::task::spawn_blocking(move || make(&sink));
        let mut stored = Vec::new();
        let putting = self.put_all(receiver, &mut stored).await;
        let made = making
            .await
            .unwrap_or(Err(Error::Internal { what: "make parts" }));
        match (putting, made) {
            (Ok(()), Ok(made)) => Ok((stored, made)),
            // A failed put is why the making was given up, so its error comes first.
            (Err(error), _) | (Ok(()), Err(error)) => {
                self.discard(&stored).await;
                Err(error)
            }
        }
    }

    /// Puts every part that comes; those that may be in the store are in `stored`, whatever the
    /// result. Ends the receiver when one fails.
    async fn put_all(
        &self,
        mut parts: mpsc::Receiver<Finished>,
        stored: &mut Vec<PartMeta>,
    ) -> Result<()> {
        let mut puts = FuturesUnordered::new();
        let mut under_way = 0_usize;
        loop {
            let room = puts.len() < PUTS_MAX && under_way < PUT_BYTES_MAX;
            tokio::select! {
                Some((size, result)) = puts.next(), if !puts.is_empty() => {
                    under_way = under_way.saturating_sub(size);
                    result?;
                }
                part = parts.recv(), if room => match part {
                    Some(Finished { meta, bytes }) => {
                        let size = bytes.len();
                        under_way = under_way.saturating_add(size);
                        let path = meta.path.clone();
                        stored.push(meta);
                        puts.push(async move { (size, self.put(&path, bytes.into()).await) });
                    }
                    None => break,
                },
            }
        }
        while let Some((_, result)) = puts.next().await {
            result?;
        }
        Ok(())
    }

    async fn put(&self, path: &str, payload: PutPayload) -> Result<()> {
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        let put = self
            .store
            .put_opts(&Path::from(path), payload, options)
            .await;
        let failed = |source| Error::Store {
            what: "write part",
            path: path.to_owned(),
            source,
        };
        put.map(|_| ()).map_err(failed)
    }

    /// Publishes. After a conflict the added parts' objects are deleted again; when the outcome is
    /// unknown they stay, for the collector to find out.
    pub(crate) async fn publish(&self, publication: Publication) -> Result<()> {
        let added = publication.add.clone();
        let published = self.catalog.publish(publication).await;
        match &published {
            Ok(()) => self.unsettled.store(false, Ordering::Release),
            Err(error) if error.kind == ErrorKind::Conflict => self.discard(&added).await,
            Err(_) => self.unsettled.store(true, Ordering::Release),
        }
        published.map_err(Error::catalog("publish parts"))
    }

    /// To be called before parts are made. After a publication whose outcome is unknown it publishes
    /// nothing, so that a catalog that still cannot write leaves no more objects to the collector.
    pub(crate) async fn settle(&self, ledger: LedgerPosition) -> Result<()> {
        if !self.unsettled.load(Ordering::Acquire) {
            return Ok(());
        }
        self.publish(Publication {
            ledger,
            ..Publication::default()
        })
        .await
    }

    /// Deletes objects of parts that were never published. What cannot be deleted now is an orphan
    /// for the collector.
    pub(crate) async fn discard(&self, parts: &[PartMeta]) {
        for part in parts {
            match self.store.delete(&Path::from(part.path.as_str())).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => tracing::warn!(
                    part.path,
                    error = &error as &dyn std::error::Error,
                    "an unpublished part stays until it is collected"
                ),
            }
        }
    }

    /// A part's bytes.
    pub(crate) async fn fetch(&self, part: &PartMeta) -> Result<bytes::Bytes> {
        let failed = |source| Error::Store {
            what: "read part",
            path: part.path.clone(),
            source,
        };
        let object = self
            .store
            .get(&Path::from(part.path.as_str()))
            .await
            .map_err(failed)?;
        object.bytes().await.map_err(failed)
    }
}
