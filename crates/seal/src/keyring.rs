//! The keyring: the root key, which stays, and the epoch key, which changes.
//!
//! It is a file of mode 0600 outside the volumes. Losing every copy of it loses everything.
//! Drawn in `docs/formats/keyring.md`.

use model::{Random, Secret};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::{Error, Result, derive};

const MAGIC: &[u8; 8] = b"SRKEYRNG";
const VERSION: u16 = 1;
/// Far above two epoch keys; a keyring is read whole.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The keys that everything else hangs from, and the id of the store that they open.
#[derive(Clone)]
pub struct Keyring {
    store_id: [u8; 16],
    root: Secret<[u8; 32]>,
    epochs: BTreeMap<u32, Secret<[u8; 32]>>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("epoch", &self.epoch())
            .finish_non_exhaustive()
    }
}

impl Keyring {
    /// A new keyring for a new store, with epoch 1.
    #[must_use]
    pub fn create(random: &dyn Random) -> Self {
        Self {
            store_id: random.bytes16(),
            root: Secret::new(random.bytes32()),
            epochs: BTreeMap::from([(1, Secret::new(random.bytes32()))]),
        }
    }

    /// Reads a keyring.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`] when the file is not a regular file of mode 0600 that belongs
    /// to the user who runs this program; [`model::ErrorKind::Corrupt`] when it is damaged;
    /// [`model::ErrorKind::Unavailable`] when it cannot be read.
    pub fn load(path: &Path) -> Result<Self> {
        let failed = |source| Error::KeyringFile {
            act: "read",
            path: path.to_path_buf(),
            source,
        };
        let link = fs::symlink_metadata(path).map_err(failed)?;
        if !link.file_type().is_file() {
            return Err(refused(
                path,
                "it must be a regular file, not a link or a directory",
            ));
        }
        let mut file = File::open(path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        let mode = meta.mode() & 0o7777;
        if mode != 0o600 {
            return Err(refused(
                path,
                &format!("its mode must be 0600, and it is {mode:04o}"),
            ));
        }
        let (owner, runner) = (meta.uid(), rustix::process::geteuid().as_raw());
        if owner != runner {
            let rule = format!(
                "it must belong to the user who runs the program, {runner}, and it belongs to {owner}"
            );
            return Err(refused(path, &rule));
        }
        if meta.len() > FILE_BYTES_MAX {
            return Err(damaged(path, "it is too long"));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(FILE_BYTES_MAX).unwrap_or(0));
        Read::by_ref(&mut file)
            .take(FILE_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        let bytes = Secret::new(bytes);
        Self::decode(bytes.expose()).map_err(|reason| damaged(path, reason))
    }

    /// Writes the keyring: a new file of mode 0600 beside it, synced, then put in its place.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when it cannot be written; an older keyring at `path` is
    /// then still whole.
    pub fn save(&self, path: &Path) -> Result<()> {
        let failed = |source| Error::KeyringFile {
            act: "write",
            path: path.to_path_buf(),
            source,
        };
        let fresh = path.with_extension("new");
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(error));
            }
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)
            .map_err(failed)?;
        let bytes = Secret::new(self.encode());
        file.write_all(bytes.expose()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        fs::rename(&fresh, path).map_err(failed)?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            Some(_) | None => Path::new("."),
        };
        File::open(parent)
            .and_then(|dir| dir.sync_all())
            .map_err(failed)
    }

    /// The store that these keys open.
    #[must_use]
    pub const fn store_id(&self) -> [u8; 16] {
        self.store_id
    }

    /// A key for one purpose, derived from the root key: the same in every epoch.
    ///
    /// # Panics
    /// Never: a purpose is a short literal, and the derivation refuses only what is too long.
    #[must_use]
    pub fn root_derived(&self, purpose: &str) -> Secret<[u8; 32]> {
        derive(
            &self.root,
            "strongroom root v1",
            &[&self.store_id, purpose.as_bytes()],
        )
        .expect("a purpose is a short literal")
    }

    /// The number of the newest epoch.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epochs
            .last_key_value()
            .map_or(0, |(number, _)| *number)
    }

    /// The key of an epoch, if this keyring (still) holds it.
    #[must_use]
    pub fn epoch_key(&self, epoch: u32) -> Option<Secret<[u8; 32]>> {
        self.epochs.get(&epoch).cloned()
    }

    /// This keyring with one more epoch: the first step of a rotation.
    #[must_use]
    pub fn with_new_epoch(&self, random: &dyn Random) -> Self {
        let mut next = self.clone();
        next.epochs.insert(
            self.epoch().saturating_add(1),
            Secret::new(random.bytes32()),
        );
        next
    }

    /// This keyring with the newest epoch only: the last step of a rotation. What only older epochs
    /// could open is out of reach from the moment that every copy has been replaced by this one.
    #[must_use]
    pub fn without_old_epochs(&self) -> Self {
        let mut next = self.clone();
        let newest = self.epoch();
        next.epochs.retain(|number, _| *number == newest);
        next
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(
            &u16::try_from(self.epochs.len())
                .unwrap_or(u16::MAX)
                .to_le_bytes(),
        );
        out.extend_from_slice(&self.store_id);
        out.extend_from_slice(self.root.expose());
        for (number, key) in &self.epochs {
            out.extend_from_slice(&number.to_le_bytes());
            out.extend_from_slice(key.expose());
        }
        let check = blake3::hash(&out);
        out.extend_from_slice(check.as_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> std::result::Result<Self, &'static str> {
        const CUT: &str = "it is cut short";
        let (body, check) = bytes.split_last_chunk::<32>().ok_or(CUT)?;
        let rest = body
            .strip_prefix(MAGIC.as_slice())
            .ok_or("it is not a keyring")?;
        let (version, rest) = rest.split_first_chunk::<2>().ok_or(CUT)?;
        if u16::from_le_bytes(*version) != VERSION {
            return Err("its version is unknown: it was written by a newer program");
        }
        if blake3::hash(body) != blake3::Hash::from_bytes(*check) {
            return Err("its checksum does not match");
        }
        let (count, rest) = rest.split_first_chunk::<2>().ok_or(CUT)?;
        let (store_id, rest) = rest.split_first_chunk::<16>().ok_or(CUT)?;
        let (root, mut rest) = rest.split_first_chunk::<32>().ok_or(CUT)?;
        let mut epochs = BTreeMap::new();
        for _ in 0..u16::from_le_bytes(*count) {
            let (number, after) = rest.split_first_chunk::<4>().ok_or(CUT)?;
            let (key, after) = after.split_first_chunk::<32>().ok_or(CUT)?;
            epochs.insert(u32::from_le_bytes(*number), Secret::new(*key));
            rest = after;
        }
        if !rest.is_empty() || epochs.is_empty() {
            return Err("its length does not match");
        }
        Ok(Self {
            store_id: *store_id,
            root: Secret::new(*root),
            epochs,
        })
    }
}

fn refused(path: &Path, rule: &str) -> Error {
    Error::KeyringRefused {
        path: path.to_path_buf(),
        rule: rule.to_owned(),
    }
}

fn damaged(path: &Path, reason: &'static str) -> Error {
    Error::KeyringDamaged {
        path: path.to_path_buf(),
        reason,
    }
}
