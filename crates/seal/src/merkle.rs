//! Merkle trees over logs: their roots, proofs, and the checking of proofs. Pure.
//!
//! The tree of the entries `0..n` is the one of RFC 6962: a leaf is hashed with a zero byte before
//! it, a node with a one, and a tree that is not full is split at the largest power of two below its
//! size. A [`Frontier`] is what a log must remember to grow; a [`Tree`] holds every leaf and proves.
//! Nothing here may trust a length that it was given.

use aws_lc_rs::digest;

/// The hash of a leaf, of a node, of a tree.
pub type Hash = [u8; 32];

/// More peaks than a log of 2^64 entries has.
const PEAKS_MAX: usize = 64;

/// The hash of an entry.
///
/// # Source
/// RFC 6962, section 2.1.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    hash(0, &[entry])
}

/// The hash of the node above two others.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash(1, &[left, right])
}

/// The root of a log without entries.
#[must_use]
pub fn empty_root() -> Hash {
    crate::sha256(&[])
}

fn hash(prefix: u8, parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&[prefix]);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    out
}

/// The roots of the full trees that a log consists of, the largest first: enough to append to it
/// and to say its root, in as many steps as its size has bits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// From what [`Frontier::to_bytes`] gave for a log of `size` entries; none when it did not.
    #[must_use]
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        let (peaks, rest) = bytes.as_chunks::<32>();
        let wanted = usize::try_from(size.count_ones()).ok()?;
        (rest.is_empty() && peaks.len() == wanted).then(|| Self {
            size,
            peaks: peaks.to_vec(),
        })
    }

    /// The peaks one after the other, 32 bytes each; the size is not in it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.peaks.concat()
    }

    /// How many entries the log has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends an entry by its leaf's hash.
    pub fn push(&mut self, leaf: Hash) {
        debug_assert!(self.peaks.len() < PEAKS_MAX, "a log outgrew its numbers");
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// The log's root.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => empty_root(),
            Some(last) => peaks.fold(*last, |right, left| node_hash(left, &right)),
        }
    }
}

impl FromIterator<Hash> for Frontier {
    fn from_iter<I: IntoIterator<Item = Hash>>(leaves: I) -> Self {
        let mut frontier = Self::default();
        for leaf in leaves {
            frontier.push(leaf);
        }
        frontier
    }
}

/// A log with every leaf in memory, 64 bytes each; it proves.
#[derive(Debug, Clone)]
pub struct Tree {
    /// `levels[k][i]` is the root of the full tree of the leaves `i * 2^k .. (i + 1) * 2^k`.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// The tree of these leaves' hashes.
    #[must_use]
    pub fn new(leaves: Vec<Hash>) -> Self {
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|level| level.len() >= 2) {
            let (pairs, _) = below.as_chunks::<2>();
            let level = pairs.iter().map(|[left, right]| node_hash(left, right));
            let level = level.collect();
            levels.push(level);
        }
        Self { levels }
    }

    /// How many leaves it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        let leaves = self.levels.first().map_or(0, Vec::len);
        u64::try_from(leaves).unwrap_or(u64::MAX)
    }

    /// The leaf at `index`.
    #[must_use]
    pub fn leaf(&self, index: u64) -> Option<Hash> {
        self.full(0, index)
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root_at(self.size()).unwrap_or_else(empty_root)
    }

    /// The root that the log had when it had `size` entries; none when it has never been so large.
    #[must_use]
    pub fn root_at(&self, size: u64) -> Option<Hash> {
        if size == 0 {
            return Some(empty_root());
        }
        self.range(0, size)
    }

    /// The proof that the leaf at `index` is in this log; none when it has no such leaf.
    ///
    /// # Source
    /// RFC 6962, section 2.1.1.
    #[must_use]
    pub fn inclusion(&self, index: u64) -> Option<Vec<Hash>> {
        let (mut start, mut size) = (0, self.size());
        if index >= size {
            return None;
        }
        let mut proof = Vec::new();
        while size > 1 {
            let left = split(size);
            let right = size.checked_sub(left)?;
            let middle = start_of(start, left)?;
            if index < middle {
                proof.push(self.range(middle, right)?);
                size = left;
            } else {
                proof.push(self.range(start, left)?);
                (start, size) = (middle, right);
            }
        }
        proof.reverse();
        Some(proof)
    }

    /// The proof that this log continues the one it was when it had `old_size` entries; none when
    /// it has never been so large. It is empty for nothing and for everything.
    ///
    /// # Source
    /// RFC 6962, section 2.1.2.
    #[must_use]
    pub fn consistency(&self, old_size: u64) -> Option<Vec<Hash>> {
        let (mut start, mut size) = (0, self.size());
        if old_size > size {
            return None;
        }
        if old_size == 0 || old_size == size {
            return Some(Vec::new());
        }
        let mut proof = Vec::new();
        // Whether the old root is a node on the way: then whoever checks has it already.
        let mut known = true;
        let mut old = old_size;
        while old != size {
            let left = split(size);
            let right = size.checked_sub(left)?;
            let middle = start_of(start, left)?;
            if old <= left {
                proof.push(self.range(middle, right)?);
                size = left;
            } else {
                proof.push(self.range(start, left)?);
                (start, size, old) = (middle, right, old.checked_sub(left)?);
                known = false;
            }
        }
        if !known {
            proof.push(self.range(start, size)?);
        }
        proof.reverse();
        Some(proof)
    }

    fn full(&self, level: usize, index: u64) -> Option<Hash> {
        let level = self.levels.get(level)?;
        level.get(usize::try_from(index).ok()?).copied()
    }

    /// The root of `size` leaves from `start`, which is a multiple of the power of two that is not
    /// below `size`.
    fn range(&self, start: u64, size: u64) -> Option<Hash> {
        if size.is_power_of_two() {
            let level = size.trailing_zeros();
            return self.full(usize::try_from(level).ok()?, start.checked_shr(level)?);
        }
        let left = split(size);
        let right = size.checked_sub(left)?;
        let (a, b) = (
            self.range(start, left)?,
            self.range(start_of(start, left)?, right)?,
        );
        Some(node_hash(&a, &b))
    }
}

/// The largest power of two below `size`, which is at least 2.
fn split(size: u64) -> u64 {
    let bits = size.saturating_sub(1).checked_ilog2().unwrap_or(0);
    1_u64.checked_shl(bits).unwrap_or(1)
}

const fn start_of(start: u64, left: u64) -> Option<u64> {
    start.checked_add(left)
}

/// Whether `proof` shows that `leaf` is the entry at `index` of the log of `size` entries whose root
/// is `root`.
///
/// # Source
/// RFC 9162, section 2.1.3.2.
#[must_use]
pub fn proves_inclusion(leaf: Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut place, mut last) = (index, size.saturating_sub(1));
    let mut hash = leaf;
    for step in proof {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            hash = node_hash(step, &hash);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, step);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether `proof` shows that the log of `new_size` entries with the root `new_root` begins with the
/// log of `old_size` entries with the root `old_root`.
///
/// # Source
/// RFC 9162, section 2.1.4.2.
#[must_use]
pub fn proves_consistency(
    (old_size, old_root): (u64, &Hash),
    (new_size, new_root): (u64, &Hash),
    proof: &[Hash],
) -> bool {
    if old_size == new_size {
        return proof.is_empty() && old_root == new_root;
    }
    if old_size == 0 {
        return proof.is_empty() && *old_root == empty_root();
    }
    if old_size > new_size {
        return false;
    }
    let (first, steps) = match proof.split_first() {
        _ if old_size.is_power_of_two() => (*old_root, proof),
        Some((first, steps)) => (*first, steps),
        None => return false,
    };
    let (mut place, mut last) = (old_size.saturating_sub(1), new_size.saturating_sub(1));
    while place & 1 == 1 {
        place >>= 1;
        last >>= 1;
    }
    let (mut old, mut new) = (first, first);
    for step in steps {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            old = node_hash(step, &old);
            new = node_hash(step, &new);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(&new, step);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && old == *old_root && new == *new_root
}

#[cfg(test)]
mod tests;
