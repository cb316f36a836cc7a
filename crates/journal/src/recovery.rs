//! What a start finds: which commits of earlier writers exist, decided once and for all.
//!
//! A writer has one commit in flight, so only its last one can be incomplete, and only what follows
//! the last one can be unknown. A commit that the store shows is adopted: it is copied first, which
//! makes it durable under the store's rule for writes, and then named in this start's settlement.
//! One that the store does not show was never acknowledged: it is set aside, and the settlement says
//! so. Only then is anything deleted. Nothing may be guessed here: where the store cannot say, the
//! start refuses.

use futures::{StreamExt, stream};
use model::{CommitId, WriterId};
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::codec::{self, Header};
use crate::error::{Error, Result};
use crate::handle::{PARALLEL, delete, list};
use crate::live::Live;
use crate::name::Name;
use crate::settings::OtherNodes;
use crate::settlement::{End, Settlement};

/// What a start found and decided.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// Last commits of earlier writers that were found complete and are part of the journal from now
    /// on. Whether they had been acknowledged is not known.
    pub adopted: Vec<CommitId>,
    /// Commits after their writer's end: never acknowledged, and deleted.
    pub set_aside: Vec<CommitId>,
    /// Commits that a later one names as failed: skipped, and deleted.
    pub skipped: Vec<CommitId>,
    /// Live commits.
    pub live_commits: usize,
    /// Their size in bytes, before sealing and parity.
    pub live_bytes: u64,
    /// Objects that were deleted: retired, set aside, skipped, or superseded.
    pub deleted_objects: usize,
    /// Objects that should be deleted and could not be; the next start tries again.
    pub undeleted_objects: usize,
}

/// The result of [`recover`].
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) live: Vec<Live>,
    pub(crate) recovery: Recovery,
}

/// A commit as read: none when the store does not have it.
type Read = Result<Option<Checked>>;

#[derive(Debug, Clone)]
struct Checked {
    header: Header,
    digest: codec::Digest,
    size_bytes: u64,
}

/// Finds, verifies and settles what earlier writers left.
///
/// # Errors
/// See [`crate::Journal::open`].
pub(crate) async fn recover(
    store: &Arc<dyn ObjectStore>,
    opener: WriterId,
    others: OtherNodes,
    watermarks: &[(WriterId, u64)],
) -> Result<Recovered> {
    let mut listed: BTreeSet<Name> = list(store.as_ref()).await?.into_keys().collect();
    listed.retain(|name| match others {
        OtherNodes::Closed => true,
        OtherNodes::Alive => name.writer().node == opener.node,
    });
    refuse_used(opener, &listed)?;
    let before = newest_settlement(store, &listed).await?;
    let watermarks: BTreeMap<WriterId, u64> = watermarks.iter().copied().collect();
    let mut recovery = Recovery::default();
    let mut live = Vec::new();
    let mut settlement = Settlement {
        opener,
        generation: before
            .as_ref()
            .map_or(0, |it| it.generation)
            .saturating_add(1),
        ends: BTreeMap::new(),
    };
    for writer in writers(&listed, before.as_ref()) {
        let watermark = watermarks.get(&writer).copied().unwrap_or(0);
        let known = before.as_ref().and_then(|it| it.end(writer));
        let mut chain = chain(store, &listed, writer, known, watermark).await?;
        note(&mut recovery, &listed, &chain, writer, watermark);
        if known.is_none() && chain.end.number > watermark {
            adopt(store, &mut chain, opener).await?;
            recovery.adopted.push(CommitId {
                writer,
                number: chain.end.number,
            });
        }
        // Of this node's earlier starts only the ends that matter are kept: the rest are covered.
        if chain.end.number > watermark || !settlement.covers(writer) {
            settlement.ends.insert(writer, chain.end);
        }
        live.append(&mut chain.live);
    }
    put(store, Name::Settlement(opener), settlement.encode()).await?;
    let kept: BTreeSet<Name> = live.iter().flat_map(Live::names).collect();
    let garbage: Vec<Name> = listed.difference(&kept).copied().collect();
    let count = garbage.len();
    recovery.deleted_objects = delete_all(store, garbage).await;
    recovery.undeleted_objects = count.saturating_sub(recovery.deleted_objects);
    recovery.live_commits = live.len();
    recovery.live_bytes = live
        .iter()
        .map(|it| it.size_bytes)
        .fold(0, u64::saturating_add);
    Ok(Recovered { live, recovery })
}

/// The numbering of a writer must start from nothing.
fn refuse_used(opener: WriterId, listed: &BTreeSet<Name>) -> Result<()> {
    let used = |writer: WriterId| writer.node == opener.node && writer.start >= opener.start;
    let evidence = listed.iter().find(|name| match name {
        Name::Commit(id) => used(id.writer),
        Name::Copy(id, copier) => used(id.writer) || used(*copier),
        Name::Settlement(settler) => used(*settler),
    });
    match evidence {
        None => Ok(()),
        Some(name) => Err(Error::WriterUsed {
            writer: opener,
            path: name.path().to_string(),
        }),
    }
}

/// The settlement that rules: the one of the highest generation, and of the latest start when two
/// starts did not see each other's.
async fn newest_settlement(
    store: &Arc<dyn ObjectStore>,
    listed: &BTreeSet<Name>,
) -> Result<Option<Settlement>> {
    let mut newest: Option<Settlement> = None;
    for name in listed
        .iter()
        .filter(|name| matches!(name, Name::Settlement(_)))
    {
        let Some(bytes) = get(store, *name).await? else {
            continue;
        };
        let path = name.path().to_string();
        let found = Settlement::decode(&bytes).map_err(|source| Error::Decode {
            path: path.clone(),
            source,
        })?;
        if found.opener != name.writer() {
            return Err(Error::Chain {
                path,
                reason: "it is another start's settlement",
            });
        }
        let rank = |it: &Settlement| (it.generation, it.opener);
        if newest.as_ref().is_none_or(|it| rank(it) < rank(&found)) {
            newest = Some(found);
        }
    }
    Ok(newest)
}

/// Every earlier writer that has an object, or an end that was settled.
fn writers(listed: &BTreeSet<Name>, before: Option<&Settlement>) -> BTreeSet<WriterId> {
    let seen = listed
        .iter()
        .filter(|name| !matches!(name, Name::Settlement(_)));
    let settled = before.into_iter().flat_map(|it| it.ends.keys().copied());
    seen.map(|name| name.writer()).chain(settled).collect()
}

#[derive(Debug)]
struct Chain {
    live: Vec<Live>,
    end: End,
}

/// Reads a writer's commits above its watermark and follows the chain from its end downwards.
async fn chain(
    store: &Arc<dyn ObjectStore>,
    listed: &BTreeSet<Name>,
    writer: WriterId,
    known: Option<End>,
    watermark: u64,
) -> Result<Chain> {
    let commits = read_all(store, listed, writer, known, watermark).await;
    let end = match known {
        Some(end) => end,
        None => find_end(&commits, watermark)?,
    };
    let mut live = Vec::new();
    let (mut number, mut digest) = (end.number, end.digest);
    while number > watermark {
        let id = CommitId { writer, number };
        let broken = |reason| {
            Err(Error::Chain {
                path: Name::Commit(id).path().to_string(),
                reason,
            })
        };
        let checked = match commits.get(&number) {
            Some(Ok(Some(checked))) => checked.clone(),
            Some(Err(error)) => return Err(error.clone()),
            Some(Ok(None)) | None => return broken("the commit is missing"),
        };
        if checked.digest != digest {
            return broken("the digest is not the one that its successor names");
        }
        (number, digest) = (checked.header.previous, checked.header.previous_digest);
        let copy = if id.number == end.number {
            end.copy
        } else {
            None
        };
        let Checked {
            header,
            digest,
            size_bytes,
        } = checked;
        live.push(Live {
            header,
            digest,
            size_bytes,
            copy,
        });
    }
    live.reverse();
    Ok(Chain { live, end })
}

/// The last commit that the store has. One that was listed and is not found has too few shards: it
/// was never acknowledged. One that cannot be read for another reason may have been.
fn find_end(commits: &BTreeMap<u64, Read>, watermark: u64) -> Result<End> {
    for (number, read) in commits.iter().rev() {
        match read {
            Ok(None) => {}
            Ok(Some(checked)) => {
                return Ok(End {
                    number: *number,
                    digest: checked.digest,
                    copy: None,
                });
            }
            Err(error) => return Err(error.clone()),
        }
    }
    Ok(End {
        number: watermark,
        digest: [0; 32],
        copy: None,
    })
}

/// Reads and checks the commits between watermark and end, several at a time.
async fn read_all(
    store: &Arc<dyn ObjectStore>,
    listed: &BTreeSet<Name>,
    writer: WriterId,
    known: Option<End>,
    watermark: u64,
) -> BTreeMap<u64, Read> {
    let last = known.map_or(u64::MAX, |end| end.number);
    let mut numbers: BTreeSet<u64> = listed
        .iter()
        .filter_map(|name| match name {
            Name::Commit(id) if id.writer == writer => Some(id.number),
            Name::Commit(_) | Name::Copy(..) | Name::Settlement(_) => None,
        })
        .filter(|number| *number > watermark && *number <= last)
        .collect();
    numbers.extend(
        known
            .map(|end| end.number)
            .filter(|number| *number > watermark),
    );
    stream::iter(numbers)
        .map(async |number| {
            let id = CommitId { writer, number };
            let read = check(store, Name::Commit(id), id).await;
            let whole = matches!(&read, Ok(Some(checked))
                if known.is_none_or(|end| end.number != number || end.digest == checked.digest));
            match known.and_then(|end| end.copy) {
                Some(copier) if number == last && !whole => {
                    (number, check(store, Name::Copy(id, copier), id).await)
                }
                Some(_) | None => (number, read),
            }
        })
        .buffer_unordered(PARALLEL)
        .collect()
        .await
}

/// Reads one commit and checks that it is the one that its name says.
async fn check(store: &Arc<dyn ObjectStore>, name: Name, id: CommitId) -> Read {
    let Some(bytes) = get(store, name).await? else {
        return Ok(None);
    };
    let path = || name.path().to_string();
    let parsed = codec::parse(&bytes).map_err(|source| Error::Decode {
        path: path(),
        source,
    })?;
    if parsed.header.id != id {
        return Err(Error::Chain {
            path: path(),
            reason: "it is another commit",
        });
    }
    let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    Ok(Some(Checked {
        header: parsed.header,
        digest: parsed.digest,
        size_bytes,
    }))
}

/// Makes the last commit of an ended writer durable: a copy, written under the rule for writes.
async fn adopt(store: &Arc<dyn ObjectStore>, chain: &mut Chain, opener: WriterId) -> Result<()> {
    let Some(last) = chain.live.last_mut() else {
        return Ok(());
    };
    let id = last.header.id;
    let path = Name::Commit(id).path().to_string();
    let Some(bytes) = get(store, Name::Commit(id)).await? else {
        return Err(Error::Chain {
            path,
            reason: "the commit is missing",
        });
    };
    if codec::parse(&bytes).map(|it| it.digest) != Ok(chain.end.digest) {
        return Err(Error::Chain {
            path,
            reason: "the commit has changed",
        });
    }
    put(store, Name::Copy(id, opener), bytes.into()).await?;
    last.copy = Some(opener);
    chain.end.copy = Some(opener);
    Ok(())
}

/// Notes what is neither live nor retired.
fn note(
    recovery: &mut Recovery,
    listed: &BTreeSet<Name>,
    chain: &Chain,
    writer: WriterId,
    watermark: u64,
) {
    let live: BTreeSet<CommitId> = chain.live.iter().map(|it| it.header.id).collect();
    for name in listed {
        let Name::Commit(id) = name else { continue };
        if id.writer != writer || id.number <= watermark || live.contains(id) {
            continue;
        }
        let after_end = id.number > chain.end.number;
        if after_end {
            recovery.set_aside.push(*id)
        } else {
            recovery.skipped.push(*id)
        }
    }
}

async fn get(store: &Arc<dyn ObjectStore>, name: Name) -> Result<Option<bytes::Bytes>> {
    let path = name.path();
    let read = async { store.get(&path).await?.bytes().await };
    match read.await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(source) => Err(Error::Read {
            path: path.to_string(),
            source: Arc::new(source),
        }),
    }
}

async fn put(store: &Arc<dyn ObjectStore>, name: Name, bytes: Vec<u8>) -> Result<()> {
    let path = name.path();
    store
        .put_opts(&path, bytes.into(), PutMode::Create.into())
        .await
        .map(drop)
        .map_err(|source| Error::Write {
            path: path.to_string(),
            source: Arc::new(source),
        })
}

/// Deletes what can be deleted; gives how many objects that were.
async fn delete_all(store: &Arc<dyn ObjectStore>, names: Vec<Name>) -> usize {
    let deleted = async |name: Name| match delete(store.as_ref(), name).await {
        Ok(()) => 1,
        Err(error) => {
            tracing::warn!(path = %name.path(), error = %error, "garbage stays for now");
            0
        }
    };
    let counts: Vec<usize> = stream::iter(names)
        .map(deleted)
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    counts.into_iter().fold(0, usize::saturating_add)
}
