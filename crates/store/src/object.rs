//! The store as `object_store::ObjectStore`: conditions, ranges, listings, multipart, copies.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    UploadPart,
};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::index::Object;
use crate::open::{Inner, Store};
use crate::read::Reader;
use crate::write::Condition;
use crate::{Error, Result};

/// An object that is uploaded in parts is gathered in memory, up to this size.
const UPLOAD_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Deletions that go to the volumes together.
const DELETIONS_TOGETHER: usize = 128;
/// How often a read looks again when the object was replaced under it. Each time somebody else's write
/// has succeeded, so that it is a busy object indeed that is not read by then.
const LOOKS_MAX: usize = 64;

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let geometry = self.inner.geometry;
        write!(f, "Strongroom({}+{})", geometry.data, geometry.parity)
    }
}

#[async_trait]
impl ObjectStore for Store {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> object_store::Result<PutResult> {
        if !opts.attributes.is_empty() {
            return Err(not_implemented("put with attributes"));
        }
        let condition = match opts.mode {
            PutMode::Overwrite => Condition::Always,
            PutMode::Create => Condition::Absent,
            PutMode::Update(version) => Condition::Unchanged(version.e_tag.unwrap_or_default()),
        };
        self.put_bytes(location, payload.into(), condition).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        if !opts.attributes.is_empty() {
            return Err(not_implemented("put with attributes"));
        }
        let parts = Vec::new();
        Ok(Box::new(Upload {
            store: self.clone(),
            location: location.clone(),
            parts,
            bytes: 0,
        }))
    }

    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        let mut looks: usize = 0;
        loop {
            looks = looks.saturating_add(1);
            let object = self.find(location)?;
            match self.get_object(Arc::clone(&object), &options).await {
                // Replaced or deleted while it was read: what is there now is the answer.
                Err(_) if looks < LOOKS_MAX && !self.inner.index.is_current(&object) => {}
                done => return done,
            }
        }
    }

    async fn get_ranges(
        &self,
        location: &Path,
        ranges: &[Range<u64>],
    ) -> object_store::Result<Vec<Bytes>> {
        let object = self.find(location)?;
        let reader = Reader::open(Arc::clone(&self.inner), Arc::clone(&object)).await?;
        let mut out = Vec::with_capacity(ranges.len());
        for range in ranges {
            let range = object_store::GetRange::Bounded(range.clone())
                .as_range(object.length)
                .map_err(generic)?;
            out.push(read_all(&reader, &range).await?);
        }
        Ok(out)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let inner = Arc::clone(&self.inner);
        locations
            .ready_chunks(DELETIONS_TOGETHER)
            .then(move |group| delete_group(Arc::clone(&inner), group))
            .map(stream::iter)
            .flatten()
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let found = self.inner.index.below(prefix.map_or("", Path::as_ref));
        stream::iter(found).map(|object| meta(&object)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        let prefix = prefix.map_or("", Path::as_ref);
        let mut common_prefixes = BTreeSet::new();
        let mut objects = Vec::new();
        for object in self.inner.index.below(prefix) {
            let rest = object.path.strip_prefix(prefix).unwrap_or(&object.path);
            match rest.strip_prefix('/').unwrap_or(rest).split_once('/') {
                None => objects.push(meta(&object)?),
                Some((folder, _)) if prefix.is_empty() => {
                    common_prefixes.insert(Path::parse(folder)?);
                }
                Some((folder, _)) => {
                    common_prefixes.insert(Path::parse(format!("{prefix}/{folder}"))?);
                }
            }
        }
        Ok(ListResult {
            common_prefixes: common_prefixes.into_iter().collect(),
            objects,
        })
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        let bytes = self
            .get_opts(from, GetOptions::default())
            .await?
            .bytes()
            .await?;
        let condition = match options.mode {
            CopyMode::Overwrite => Condition::Always,
            CopyMode::Create => Condition::Absent,
        };
        self.put_bytes(to, bytes, condition).await.map(|_| ())
    }
}

impl Store {
    /// Writes in a task of its own: a caller that goes away leaves nothing half-done.
    async fn put_bytes(
        &self,
        location: &Path,
        payload: Bytes,
        condition: Condition,
    ) -> object_store::Result<PutResult> {
        let inner = Arc::clone(&self.inner);
        let path = location.to_string();
        let tag = task(async move { inner.write(path, payload, condition).await }).await?;
        Ok(PutResult {
            e_tag: Some(tag),
            version: None,
        })
    }

    fn find(&self, location: &Path) -> Result<Arc<Object>> {
        let path: &str = location.as_ref();
        let (index, slots) = (&self.inner.index, &self.inner.slots);
        index.current(path).ok_or_else(|| {
            let undecided = index.all(path).iter().any(|object| !object.is_doomed());
            if undecided || !slots.is_whole() {
                Error::Hidden(path.to_owned())
            } else {
                Error::NotFound(path.to_owned())
            }
        })
    }

    async fn get_object(
        &self,
        object: Arc<Object>,
        options: &GetOptions,
    ) -> object_store::Result<GetResult> {
        let meta = meta(&object)?;
        options.check_preconditions(&meta)?;
        if options.version.is_some() {
            return Err(Error::NotFound(format!("{} of that version", object.path)).into());
        }
        let range = match &options.range {
            Some(range) => range.as_range(meta.size).map_err(generic)?,
            None => 0..meta.size,
        };
        let payload = if options.head {
            stream::empty().boxed()
        } else {
            let reader = Arc::new(Reader::open(Arc::clone(&self.inner), object).await?);
            let mut stripes = reader.stripes(&range);
            // The first stripe is read at once, so that an object that was replaced is looked for
            // again, and that an error comes before the first byte.
            let first = match stripes.next() {
                Some(stripe) => reader.read(stripe, &range).await?,
                None => Bytes::new(),
            };
            let wanted = range.clone();
            let rest = stream::iter(stripes).then(move |stripe| {
                let (reader, range) = (Arc::clone(&reader), wanted.clone());
                async move {
                    reader
                        .read(stripe, &range)
                        .await
                        .map_err(object_store::Error::from)
                }
            });
            stream::once(async move { Ok(first) }).chain(rest).boxed()
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(payload),
            meta,
            range,
            attributes: object_store::Attributes::new(),
        })
    }
}

async fn read_all(reader: &Reader, range: &Range<u64>) -> Result<Bytes> {
    let mut stripes = reader.stripes(range);
    let Some(first) = stripes.next() else {
        return Ok(Bytes::new());
    };
    let first = reader.read(first, range).await?;
    if stripes.start >= stripes.end {
        return Ok(first);
    }
    let mut out = BytesMut::from(first);
    for stripe in stripes {
        out.extend_from_slice(&reader.read(stripe, range).await?);
    }
    Ok(out.freeze())
}

async fn delete_group(
    inner: Arc<Inner>,
    group: Vec<object_store::Result<Path>>,
) -> Vec<object_store::Result<Path>> {
    let paths: Vec<String> = group.iter().flatten().map(Path::to_string).collect();
    let deleted = task(async move { inner.delete(paths).await }).await;
    let mut reason = deleted.err();
    group
        .into_iter()
        .map(|path| {
            let path = path?;
            match &reason {
                None => Ok(path),
                Some(_) => Err(reason
                    .replace(Error::Unavailable {
                        act: format!("delete `{path}`"),
                        reason: "another deletion beside it failed".into(),
                    })
                    .map_or_else(|| generic("a deletion failed"), Into::into)),
            }
        })
        .collect()
}

/// Runs to the end whether or not the caller still waits.
async fn task<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    tokio::spawn(work)
        .await
        .map_err(|stopped| Error::Internal(format!("an operation stopped: {stopped}")))?
}

fn meta(object: &Object) -> object_store::Result<ObjectMeta> {
    Ok(ObjectMeta {
        location: Path::parse(&*object.path)?,
        last_modified: DateTime::<Utc>::from_timestamp_millis(object.created_ms)
            .unwrap_or(DateTime::<Utc>::UNIX_EPOCH),
        size: object.length,
        e_tag: Some(object.e_tag()),
        version: None,
    })
}

fn generic(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> object_store::Error {
    object_store::Error::Generic {
        store: "Strongroom",
        source: source.into(),
    }
}

fn not_implemented(operation: &str) -> object_store::Error {
    object_store::Error::NotImplemented {
        operation: operation.to_owned(),
        implementer: "Strongroom".to_owned(),
    }
}

/// An object that comes in parts. They count in the order in which they were given.
#[derive(Debug)]
struct Upload {
    store: Store,
    location: Path,
    parts: Vec<PutPayload>,
    bytes: usize,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.bytes = self.bytes.saturating_add(data.content_length());
        if self.bytes > UPLOAD_BYTES_MAX {
            self.parts.clear();
            let error = Error::Invalid(format!(
                "the upload of `{}` is larger than {UPLOAD_BYTES_MAX} bytes",
                self.location
            ));
            return Box::pin(async move { Err(error.into()) });
        }
        self.parts.push(data);
        Box::pin(async { Ok(()) })
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        if self.bytes > UPLOAD_BYTES_MAX {
            return Err(generic("the upload is too large"));
        }
        let mut out = BytesMut::with_capacity(self.bytes);
        for part in std::mem::take(&mut self.parts)
            .iter()
            .flat_map(PutPayload::iter)
        {
            out.extend_from_slice(part);
        }
        self.store
            .put_bytes(&self.location, out.freeze(), Condition::Always)
            .await
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        self.parts.clear();
        self.bytes = 0;
        Ok(())
    }
}
