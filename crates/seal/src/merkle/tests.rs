//! The trees are those of the standard, every proof verifies, and no altered one does.

use super::{Frontier, Hash, Tree, empty_root, leaf_hash, proves_consistency, proves_inclusion};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;

/// Sizes of trees that are compared in full: every shape up to five levels.
const SIZE_MAX: u64 = 33;

fn entry(number: u64) -> Vec<u8> {
    format!("entry {number}").into_bytes()
}

fn leaves(size: u64) -> Vec<Hash> {
    (0..size).map(|number| leaf_hash(&entry(number))).collect()
}

fn theirs(size: u64) -> MemoryBackedTree<Sha256, Vec<u8>> {
    let mut tree = MemoryBackedTree::new();
    for number in 0..size {
        tree.push(entry(number));
    }
    tree
}

fn root(size: u64) -> Hash {
    Frontier::from_iter(leaves(size)).root()
}

#[test]
fn roots_and_proofs_are_those_of_another_implementation() {
    for size in 0..=SIZE_MAX {
        let (ours, theirs) = (Tree::new(leaves(size)), theirs(size));
        assert_eq!(ours.root()[..], theirs.root().as_bytes()[..], "{size}");
        assert_eq!(root(size), ours.root(), "{size}");
        for index in 0..size {
            let proof = theirs.prove_inclusion(usize::try_from(index).unwrap());
            let own = ours.inclusion(index).unwrap();
            assert_eq!(own.concat(), proof.as_bytes(), "{index} of {size}");
        }
        for old in 1..=size {
            let added = usize::try_from(size - old).unwrap();
            let proof = theirs.prove_consistency(added);
            let own = ours.consistency(old).unwrap();
            assert_eq!(own.concat(), proof.as_bytes(), "{old} of {size}");
        }
    }
}

#[test]
fn every_proof_is_checked_as_another_implementation_checks_it() {
    let size = 21;
    let (ours, theirs) = (Tree::new(leaves(size)), theirs(size));
    for index in 0..size {
        let digests: Vec<_> = ours.inclusion(index).unwrap();
        let digests: Vec<_> = digests.iter().map(|it| (*it).into()).collect();
        let proof = ct_merkle::InclusionProof::<Sha256>::from_digests(&digests);
        theirs
            .root()
            .verify_inclusion(&entry(index), index, &proof)
            .unwrap();
    }
}

#[test]
fn roots_of_the_past_are_remembered() {
    let tree = Tree::new(leaves(SIZE_MAX));
    for size in 0..=SIZE_MAX {
        assert_eq!(tree.root_at(size), Some(root(size)), "{size}");
    }
    assert_eq!(tree.root_at(SIZE_MAX + 1), None);
    assert_eq!(tree.root_at(0), Some(empty_root()));
}

#[test]
fn a_frontier_goes_on_where_it_was_kept() {
    for size in 0..=SIZE_MAX {
        let frontier = Frontier::from_iter(leaves(size));
        let bytes = frontier.to_bytes();
        let mut kept = Frontier::from_bytes(size, &bytes).unwrap();
        assert_eq!(kept, frontier);
        kept.push(leaf_hash(&entry(size)));
        assert_eq!((kept.size(), kept.root()), (size + 1, root(size + 1)));
        assert!(Frontier::from_bytes(size, &[bytes, vec![0; 32]].concat()).is_none());
    }
    assert!(Frontier::from_bytes(1, &[0; 31]).is_none());
}

#[test]
fn what_is_not_in_the_log_has_no_proof() {
    let tree = Tree::new(leaves(5));
    assert!(tree.inclusion(5).is_none() && tree.consistency(6).is_none());
    assert!(Tree::new(Vec::new()).inclusion(0).is_none());
    assert!(!proves_inclusion(
        leaf_hash(&entry(0)),
        0,
        0,
        &[],
        &empty_root()
    ));
}

/// A proof with one thing wrong with it.
#[derive(Debug, Clone)]
enum Change {
    Flip(usize, u8),
    Drop(usize),
    Double(usize),
    Swap(usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<usize>(), 0_u8..8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        any::<usize>().prop_map(Change::Drop),
        any::<usize>().prop_map(Change::Double),
        any::<usize>().prop_map(Change::Swap),
    ]
}

fn altered(proof: &[Hash], change: &Change) -> Vec<Hash> {
    let mut out = proof.to_vec();
    let length = out.len().max(1);
    match change {
        Change::Flip(at, bit) => {
            if let Some(hash) = out.get_mut(at % length) {
                hash[at / length % 32] ^= 1 << bit;
            }
        }
        Change::Drop(at) if !out.is_empty() => {
            out.remove(at % length);
        }
        Change::Double(at) if !out.is_empty() => out.insert(at % length, out[at % length]),
        Change::Swap(at) if out.len() > 1 => out.swap(at % length, (at + 1) % length),
        Change::Drop(_) | Change::Double(_) | Change::Swap(_) => {}
    }
    out
}

proptest! {
    #[test]
    fn an_inclusion_proof_holds_and_an_altered_one_does_not(
        size in 1_u64..300, pick in any::<u64>(), other in any::<u64>(), change in change(),
    ) {
        let index = pick % size;
        let tree = Tree::new(leaves(size));
        let (leaf, root) = (leaf_hash(&entry(index)), tree.root());
        let proof = tree.inclusion(index).unwrap();
        prop_assert!(proves_inclusion(leaf, index, size, &proof, &root));
        let wrong = altered(&proof, &change);
        if wrong != proof {
            prop_assert!(!proves_inclusion(leaf, index, size, &wrong, &root));
        }
        let elsewhere = other % size;
        if elsewhere != index {
            prop_assert!(!proves_inclusion(leaf, elsewhere, size, &proof, &root));
            let stranger = leaf_hash(&entry(elsewhere));
            prop_assert!(!proves_inclusion(stranger, index, size, &proof, &root));
        }
        prop_assert!(!proves_inclusion(leaf, index, size, &proof, &super::node_hash(&root, &leaf)));
    }

    #[test]
    fn a_consistency_proof_holds_and_an_altered_one_does_not(
        size in 1_u64..300, pick in any::<u64>(), change in change(),
    ) {
        let old = pick % (size + 1);
        let tree = Tree::new(leaves(size));
        let (before, after) = (root(old), tree.root());
        let proof = tree.consistency(old).unwrap();
        prop_assert!(proves_consistency((old, &before), (size, &after), &proof));
        let wrong = altered(&proof, &change);
        if wrong != proof {
            prop_assert!(!proves_consistency((old, &before), (size, &after), &wrong));
        }
        // A log of which one entry was another.
        let mut changed = leaves(size);
        let place = usize::try_from(pick % size).unwrap();
        changed[place][0] ^= 1;
        let forged = Tree::new(changed);
        if u64::try_from(place).unwrap() < old {
            let proof = forged.consistency(old).unwrap();
            prop_assert!(!proves_consistency((old, &before), (size, &forged.root()), &proof));
        }
        prop_assert!(!proves_consistency((size + 1, &before), (size, &after), &proof));
    }
}
