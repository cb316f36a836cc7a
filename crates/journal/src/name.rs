//! The names of the journal's objects. They hold ids and numbers only, never anything of a person.

use model::{CommitId, WriterId};
use object_store::path::Path;

/// Where every object of the journal lies.
pub(crate) const ROOT: &str = "journal";
/// The folder of the settlements, beside the writers' folders.
const SETTLED: &str = "settled";

/// What an object's name says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    /// `journal/<writer>/<number>`: a commit.
    Commit(CommitId),
    /// `journal/<writer>/<number>-<opener>`: a durable copy of a writer's last commit, made by the
    /// start that adopted it.
    Copy(CommitId, WriterId),
    /// `journal/settled/<opener>`: where every earlier writer ended, as `opener` settled it.
    Settlement(WriterId),
}

impl Name {
    /// The object's path.
    pub(crate) fn path(self) -> Path {
        Path::from(match self {
            Self::Commit(id) => format!("{ROOT}/{}/{:016x}", id.writer, id.number),
            Self::Copy(id, opener) => {
                format!("{ROOT}/{}/{:016x}-{opener}", id.writer, id.number)
            }
            Self::Settlement(opener) => format!("{ROOT}/{SETTLED}/{opener}"),
        })
    }

    /// The name that `path` spells; none when it is not one of the journal's.
    pub(crate) fn parse(path: &Path) -> Option<Self> {
        let mut pieces = path.as_ref().split('/');
        let (root, folder, file) = (pieces.next()?, pieces.next()?, pieces.next()?);
        if root != ROOT || pieces.next().is_some() {
            return None;
        }
        let name = if folder == SETTLED {
            Self::Settlement(file.parse().ok()?)
        } else {
            let writer = folder.parse().ok()?;
            let (number, opener) = match file.split_once('-') {
                Some((number, opener)) => (number, Some(opener)),
                None => (file, None),
            };
            let id = CommitId {
                writer,
                number: u64::from_str_radix(number, 16).ok()?,
            };
            match opener {
                Some(opener) => Self::Copy(id, opener.parse().ok()?),
                None => Self::Commit(id),
            }
        };
        // Only the one spelling that we write: `+1` and short numbers are somebody else's.
        (name.path() == *path).then_some(name)
    }

    /// Whose object it is; the opener's for a settlement.
    pub(crate) const fn writer(self) -> WriterId {
        match self {
            Self::Commit(id) | Self::Copy(id, _) => id.writer,
            Self::Settlement(opener) => opener,
        }
    }
}

#[cfg(test)]
mod tests;
