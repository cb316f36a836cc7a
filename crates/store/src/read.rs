//! Reading: k data shards, and decoding only when one of them is missing or wrong.
//!
//! A chunk's own tag says whether it is right, so a small range costs one small read. Where a chunk
//! does not open, the whole stripe is read with the keyed hashes of its pieces, which say who lies.

use bytes::Bytes;
use futures::future::join_all;
use seal::ObjectKey;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::index::Object;
use crate::layout::{CHECK_BYTES, Layout, narrow, span, wide};
use crate::open::Inner;
use crate::site::Serving;
use crate::status::volume_number;
use crate::volume::{Header, check_whole, header_bytes};
use crate::{Error, Result};

/// A volume that reads fewer bytes than these in a second, after [`crate::Settings::read_grace`],
/// counts as one that does not answer.
const READ_BYTES_PER_SECOND_MIN: u64 = 8 * 1024 * 1024;

/// Why a shard could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Its volume is missing or did not answer: nothing is known of the shard.
    Unreachable(String),
    /// Its volume said that it cannot read it: nothing is known of the shard either, but it is put
    /// there anew. That mends a bad sector, and shows when the whole volume fails.
    Failed(String),
    /// It is not there, or not what was written.
    Wrong(String),
}

/// What went wrong while an object was read, by volume.
pub(crate) type Faults = BTreeMap<usize, Fault>;

/// An object that is being read.
#[derive(Debug)]
pub(crate) struct Reader {
    inner: Arc<Inner>,
    pub(crate) object: Arc<Object>,
    layout: Layout,
    key: ObjectKey,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("geometry", &self.geometry)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// Finds an object's layout and key.
    pub(crate) async fn open(inner: Arc<Inner>, object: Arc<Object>) -> Result<Self> {
        let header = inner.header(&object).await?;
        let sealing = || Error::sealing(&object.path);
        let secret = inner.keys.key(header.key).await.map_err(sealing())?;
        let key = ObjectKey::new(&secret, &object.path, object.write_id).map_err(sealing())?;
        let layout = header.layout()?;
        Ok(Self {
            inner,
            object,
            layout,
            key,
        })
    }

    /// The stripes that hold a range of the plaintext.
    pub(crate) fn stripes(&self, range: &Range<u64>) -> Range<u64> {
        self.layout.stripes_of(&self.layout.chunks.holding(range))
    }

    /// The part of `range` that lies in one stripe.
    pub(crate) async fn read(&self, stripe: u64, range: &Range<u64>) -> Result<Bytes> {
        let wanted = self.layout.chunks.holding(range);
        let stripe_chunks = self.layout.chunks_of(stripe);
        let wanted = wanted.start.max(stripe_chunks.start)..wanted.end.min(stripe_chunks.end);
        let plain = match self.read_chunks(stripe, &wanted).await {
            Ok(plain) => plain,
            Err(faults) => {
                metrics::counter!("store_degraded_reads_total").increment(1);
                let plain = self.rebuild_chunks(stripe, &wanted, faults.clone()).await?;
                self.inner.heal(&self.object, &faults).await;
                plain
            }
        };
        let first = wanted.start.saturating_mul(self.layout.chunks.chunk());
        let from = narrow(range.start.saturating_sub(first));
        let to = narrow(range.end.saturating_sub(first)).min(plain.len());
        Ok(Bytes::from(plain).slice(from.min(to)..to))
    }

    /// The quick way: from each data shard only what is wanted of it.
    async fn read_chunks(
        &self,
        stripe: u64,
        wanted: &Range<u64>,
    ) -> std::result::Result<Vec<u8>, Faults> {
        let mut reads = Vec::new();
        for index in 0..self.inner.geometry.data {
            let piece = self.layout.piece_chunks(stripe, index);
            let part = wanted.start.max(piece.start)..wanted.end.min(piece.end);
            // An empty object has one chunk, of no bytes.
            if part.start < part.end {
                reads.push(async move {
                    (index, part.clone(), self.chunks(stripe, index, &part).await)
                });
            }
        }
        let mut out = Vec::with_capacity(narrow(
            span(wanted).saturating_mul(self.layout.chunks.chunk()),
        ));
        let mut faults = Faults::new();
        for (index, part, read) in join_all(reads).await {
            match read {
                Ok(bytes) if faults.is_empty() => {
                    match self.key.open(&self.layout.chunks, &part, &bytes) {
                        Ok(plain) => out.extend_from_slice(&plain),
                        Err(_) => {
                            let why = "its bytes are not what was written".to_owned();
                            faults.insert(index, Fault::Wrong(why));
                        }
                    }
                }
                Ok(_) => {}
                Err(fault) => {
                    faults.insert(index, fault);
                }
            }
        }
        if faults.is_empty() {
            Ok(out)
        } else {
            Err(faults)
        }
    }

    /// The sealed bytes of some chunks of one data shard's piece.
    async fn chunks(
        &self,
        stripe: u64,
        index: usize,
        chunks: &Range<u64>,
    ) -> std::result::Result<Bytes, Fault> {
        let sealed = self.layout.chunks.sealed_range(chunks);
        let piece = self
            .layout
            .chunks
            .sealed_range(&self.layout.piece_chunks(stripe, index));
        let start = header_bytes(&self.object.path)
            .saturating_add(self.layout.piece_at(stripe, index))
            .saturating_add(sealed.start.saturating_sub(piece.start));
        let range = start..start.saturating_add(span(&sealed));
        if !self.inner.slots.is_serving(index) {
            return Err(Fault::Unreachable("its volume is out of service".into()));
        }
        self.inner.fetch(&self.object, index, range).await
    }

    /// The slow way: the whole stripe from any k volumes whose pieces are authentic.
    async fn rebuild_chunks(
        &self,
        stripe: u64,
        wanted: &Range<u64>,
        faults: Faults,
    ) -> Result<Vec<u8>> {
        let pieces = self
            .inner
            .stripe(&self.object, &self.layout, stripe, faults)
            .await?;
        let bytes = narrow(self.layout.coded_bytes(stripe));
        let data = self.inner.code.data(&pieces, bytes)?;
        let mut out = Vec::new();
        for (index, piece) in data.iter().enumerate() {
            let all = self.layout.piece_chunks(stripe, index);
            let part = wanted.start.max(all.start)..wanted.end.min(all.end);
            if part.start >= part.end {
                continue;
            }
            let base = self.layout.chunks.sealed_range(&all).start;
            let sealed = self.layout.chunks.sealed_range(&part);
            let (from, to) = (
                narrow(sealed.start.saturating_sub(base)),
                narrow(sealed.end.saturating_sub(base)),
            );
            let sealed = piece.get(from..to).unwrap_or_default();
            let plain = self
                .key
                .open(&self.layout.chunks, &part, sealed)
                .map_err(|_| Error::Corrupt {
                    path: self.object.path.to_string(),
                    reason: "its shards are authentic, but its key does not open them".into(),
                })?;
            out.extend_from_slice(&plain);
        }
        Ok(out)
    }
}

impl Inner {
    /// What the header of an object's shards says. Repairs the bad ones that it met.
    async fn header(self: &Arc<Self>, object: &Arc<Object>) -> Result<Arc<Header>> {
        let (header, faults) = self.find_header(object).await?;
        self.heal(object, &faults).await;
        Ok(header)
    }

    /// The header of an object, from the first volume that has a good one, and the bad ones before.
    pub(crate) async fn find_header(&self, object: &Arc<Object>) -> Result<(Arc<Header>, Faults)> {
        let mut faults = Faults::new();
        if let Some(header) = object.header.get() {
            return Ok((Arc::clone(header), faults));
        }
        for (serving, _) in self.readers() {
            match self.read_header(object, serving.index).await {
                Ok((header, _)) => {
                    let header = Arc::clone(object.header.get_or_init(|| Arc::new(header)));
                    return Ok((header, faults));
                }
                Err(fault) => {
                    faults.insert(serving.index, fault);
                }
            }
        }
        Err(self.lost(object, &faults))
    }

    /// The volumes to read from: those in service first.
    fn readers(&self) -> Vec<(Serving, bool)> {
        let mut all = self.slots.reachable();
        all.sort_by_key(|(serving, out)| (*out, serving.index));
        all
    }

    /// Bytes of an object's shard on volume `index`: exactly those in `range`.
    async fn fetch(
        &self,
        object: &Object,
        index: usize,
        range: Range<u64>,
    ) -> std::result::Result<Bytes, Fault> {
        let length = span(&range);
        let bytes = self.fetch_up_to(object, index, range).await?;
        if wide(bytes.len()) == length {
            Ok(bytes)
        } else {
            Err(Fault::Wrong("it is cut short".into()))
        }
    }

    async fn fetch_up_to(
        &self,
        object: &Object,
        index: usize,
        range: Range<u64>,
    ) -> std::result::Result<Bytes, Fault> {
        let Some(serving) = self.slots.at(index) else {
            return Err(Fault::Unreachable("its volume is missing".into()));
        };
        let name = object.name(index).encode();
        let grace = self.read_grace(span(&range));
        let read = serving
            .run(
                grace,
                move |place| async move { place.get(&name, range).await },
            )
            .await;
        read.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => Fault::Unreachable(error.to_string()),
            io::ErrorKind::NotFound => Fault::Wrong("it is missing".into()),
            io::ErrorKind::InvalidData => Fault::Wrong(error.to_string()),
            _ => Fault::Failed(error.to_string()),
        })
    }

    /// How long a volume may take for so many bytes: a large shard takes its time on a disk that is
    /// only slow.
    fn read_grace(&self, bytes: u64) -> Duration {
        let milliseconds = bytes
            .saturating_mul(1_000)
            .checked_div(READ_BYTES_PER_SECOND_MIN)
            .unwrap_or(0);
        let bytes_take = Duration::from_millis(milliseconds);
        self.settings.read_grace.saturating_add(bytes_take)
    }

    pub(crate) async fn read_header(
        &self,
        object: &Object,
        index: usize,
    ) -> std::result::Result<(Header, [u8; 32]), Fault> {
        let bytes = self
            .fetch(object, index, 0..header_bytes(&object.path))
            .await?;
        match Header::decode(&self.shard_key, &bytes) {
            Some((found, header, check))
                if found == index && header.belongs_to(&object.name(index)) =>
            {
                Ok((header, check))
            }
            Some(_) => Err(Fault::Wrong("it is another shard".into())),
            None => Err(Fault::Wrong("its header is not what was written".into())),
        }
    }

    /// A whole shard, checked.
    pub(crate) async fn fetch_whole(
        &self,
        object: &Object,
        index: usize,
    ) -> std::result::Result<u64, Fault> {
        let header = match object.header.get() {
            Some(header) => Arc::clone(header),
            None => {
                let (header, _check) = self.read_header(object, index).await?;
                Arc::clone(object.header.get_or_init(|| Arc::new(header)))
            }
        };
        let layout = header
            .layout()
            .map_err(|_| Fault::Wrong("its header makes no sense".to_owned()))?;
        // A byte more tells a shard that is too long, and none is read of what is behind it.
        let most = header_bytes(&object.path)
            .saturating_add(layout.body_bytes(index))
            .saturating_add(1);
        let bytes = self.fetch_up_to(object, index, 0..most).await?;
        check_whole(&self.shard_key, &object.name(index), &bytes)
            .map(|_header| wide(bytes.len()))
            .map_err(|wrong| Fault::Wrong(wrong.to_owned()))
    }

    /// An authentic piece of a stripe.
    async fn piece(
        &self,
        object: &Object,
        layout: &Layout,
        stripe: u64,
        index: usize,
    ) -> std::result::Result<Bytes, Fault> {
        let (_, check) = self.read_header(object, index).await?;
        let length = layout.piece_bytes(stripe, index);
        let start = header_bytes(&object.path).saturating_add(layout.piece_at(stripe, index));
        let end = start.saturating_add(length).saturating_add(CHECK_BYTES);
        let bytes = self.fetch(object, index, start..end).await?;
        let piece = bytes.slice(..narrow(length));
        let found = bytes.slice(narrow(length)..);
        if seal::same(&self.shard_key.piece_check(&check, stripe, &piece), &found) {
            Ok(piece)
        } else {
            Err(Fault::Wrong("its bytes are not what was written".into()))
        }
    }

    /// Authentic pieces of one stripe, at least k of them, without the volumes in `faults`.
    pub(crate) async fn stripe(
        &self,
        object: &Object,
        layout: &Layout,
        stripe: u64,
        mut faults: Faults,
    ) -> Result<Vec<Option<Bytes>>> {
        let mut pieces: Vec<Option<Bytes>> = vec![None; self.geometry.volumes()];
        let mut left: Vec<usize> = self
            .readers()
            .into_iter()
            .map(|(serving, _)| serving.index)
            .filter(|index| !faults.contains_key(index))
            .collect();
        let mut missing = self.geometry.data;
        while missing > 0 {
            let now: Vec<usize> = left.drain(..missing.min(left.len())).collect();
            if now.is_empty() {
                return Err(self.lost(object, &faults));
            }
            let reads = now.into_iter().map(|index| async move {
                (index, self.piece(object, layout, stripe, index).await)
            });
            for (index, read) in join_all(reads).await {
                match read {
                    Ok(piece) => {
                        if let Some(slot) = pieces.get_mut(index) {
                            *slot = Some(piece);
                            missing = missing.saturating_sub(1);
                        }
                    }
                    Err(fault) => {
                        faults.insert(index, fault);
                    }
                }
            }
        }
        Ok(pieces)
    }

    /// What to say of an object of which fewer than k shards are right.
    fn lost(&self, object: &Object, faults: &Faults) -> Error {
        let mut reasons = Vec::new();
        let mut unknown: usize = 0;
        for index in 0..self.geometry.volumes() {
            let number = volume_number(index);
            match faults.get(&index) {
                Some(Fault::Wrong(why)) => {
                    reasons.push(format!("the shard on volume {number}: {why}"));
                }
                Some(Fault::Unreachable(why) | Fault::Failed(why)) => {
                    unknown = unknown.saturating_add(1);
                    reasons.push(format!("the shard on volume {number}: {why}"));
                }
                None if self.slots.at(index).is_none() => {
                    unknown = unknown.saturating_add(1);
                    reasons.push(format!("volume {number} is missing"));
                }
                None => {}
            }
        }
        let wrong = faults
            .values()
            .filter(|fault| matches!(fault, Fault::Wrong(_)))
            .count();
        let reason = reasons.join("; ");
        // With those that may still be right, would it be readable again?
        if unknown > 0 && wrong <= self.geometry.parity {
            return Error::Unavailable {
                act: format!("read `{}`", object.path),
                reason,
            };
        }
        Error::Corrupt {
            path: object.path.to_string(),
            reason,
        }
    }

    /// Repairs on the spot what a read has found wrong; a large object waits for maintenance.
    pub(crate) async fn heal(self: &Arc<Self>, object: &Arc<Object>, faults: &Faults) {
        const ON_THE_SPOT_BYTES_MAX: u64 = 8 * 1024 * 1024;
        for (index, fault) in faults {
            let is_bad = !matches!(fault, Fault::Unreachable(_));
            if is_bad && self.slots.is_serving(*index) {
                self.want(object, *index);
                if object.length <= ON_THE_SPOT_BYTES_MAX {
                    Box::pin(self.repair_wanted(Some(&object.path))).await;
                }
            }
        }
    }

    /// Remembers a shard that is to be rebuilt.
    pub(crate) fn want(&self, object: &Object, index: usize) {
        self.wanted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((Arc::clone(&object.path), index));
    }
}
