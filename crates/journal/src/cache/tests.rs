//! The cache keeps to its bound and drops the right commit.

use super::Cache;
use model::{CommitId, WriterId};
use std::sync::Arc;

fn id(number: u64) -> CommitId {
    CommitId {
        writer: WriterId { node: 1, start: 1 },
        number,
    }
}

#[test]
fn what_was_used_longest_ago_makes_room() {
    let mut cache = Cache::new(30);
    let entries = Arc::new(Vec::new());
    for number in 1..=3 {
        cache.insert(id(number), &entries, 10);
    }
    assert!(cache.find(id(1)).is_some());
    cache.insert(id(4), &entries, 10);
    assert!(cache.find(id(2)).is_none());
    assert!(cache.find(id(1)).is_some() && cache.find(id(3)).is_some());
    assert_eq!(cache.bytes(), 30);
}

#[test]
fn a_commit_larger_than_the_bound_is_not_kept() {
    let mut cache = Cache::new(30);
    let entries = Arc::new(Vec::new());
    cache.insert(id(1), &entries, 10);
    cache.insert(id(2), &entries, 31);
    cache.insert_if_room(id(3), &entries, 21);
    assert!(cache.find(id(1)).is_some());
    assert!(cache.find(id(2)).is_none() && cache.find(id(3)).is_none());
    cache.remove(id(1));
    assert_eq!(cache.bytes(), 0);
}
