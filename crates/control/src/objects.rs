//! Numbered objects on the volumes: how shipping writes, lists and reads them.
//!
//! Control and key table both ship `<prefix>/<generation>/<n>`. An object is written once; writing
//! the same bytes again is not an error, so that a put whose outcome is unknown can be repeated.

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions};
use std::collections::BTreeMap;

use crate::{Error, Result};

/// The name of an object.
pub(crate) fn path(prefix: &str, generation: u64, number: u64) -> Path {
    Path::from(format!("{prefix}/{generation:016x}/{number:016x}"))
}

/// Makes sure that the object at `path` holds exactly `bytes`.
///
/// # Errors
/// [`model::ErrorKind::Unavailable`] when the outcome is unknown: call again with the same bytes.
/// [`model::ErrorKind::Conflict`] when other bytes are there: somebody else writes too.
pub(crate) async fn put(store: &dyn ObjectStore, path: &Path, bytes: &Bytes) -> Result<()> {
    let options = PutOptions {
        mode: PutMode::Create,
        ..PutOptions::default()
    };
    match store.put_opts(path, bytes.clone().into(), options).await {
        Ok(_) => Ok(()),
        Err(object_store::Error::AlreadyExists { .. }) => {
            if get(store, path).await?.as_ref() == Some(bytes) {
                return Ok(());
            }
            Err(Error::Conflict(format!(
                "`{path}` was written by another process"
            )))
        }
        Err(source) => Err(Error::store("write", path)(source)),
    }
}

/// The bytes of an object; none when there is none.
pub(crate) async fn get(store: &dyn ObjectStore, path: &Path) -> Result<Option<Bytes>> {
    match store.get(path).await {
        Ok(found) => found
            .bytes()
            .await
            .map(Some)
            .map_err(Error::store("read", path)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(source) => Err(Error::store("read", path)(source)),
    }
}

/// The numbers of each generation's objects, both ascending. Names of another shape are left alone.
pub(crate) async fn list(store: &dyn ObjectStore, prefix: &str) -> Result<BTreeMap<u64, Vec<u64>>> {
    let folder = Path::from(prefix);
    let mut generations: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut objects = store.list(Some(&folder));
    while let Some(object) = objects
        .try_next()
        .await
        .map_err(Error::store("list", &folder))?
    {
        let name = object.location.to_string();
        let mut parts = name
            .split('/')
            .skip(1)
            .map(|part| u64::from_str_radix(part, 16));
        if let (Some(Ok(generation)), Some(Ok(number)), None) =
            (parts.next(), parts.next(), parts.next())
        {
            generations.entry(generation).or_default().push(number);
        }
    }
    for numbers in generations.values_mut() {
        numbers.sort_unstable();
        numbers.dedup();
    }
    Ok(generations)
}

/// Deletes every generation before `generation`. Nothing depends on them any more.
pub(crate) async fn delete_before(
    store: &dyn ObjectStore,
    prefix: &str,
    generation: u64,
) -> Result<()> {
    for (old, numbers) in list(store, prefix).await?.range(..generation) {
        for number in numbers {
            let path = path(prefix, *old, *number);
            match store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => return Err(Error::store("delete", &path)(source)),
            }
        }
    }
    Ok(())
}

/// Whether there is any object under `folder`.
pub(crate) async fn any(store: &dyn ObjectStore, folder: &str) -> Result<bool> {
    let folder = Path::from(folder);
    let first = store.list(Some(&folder)).try_next().await;
    first
        .map(|found| found.is_some())
        .map_err(Error::store("list", &folder))
}
