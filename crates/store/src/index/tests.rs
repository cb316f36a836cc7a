//! Tests of the index's counter of versions.

use super::Index;
use model::ErrorKind;

#[test]
fn versions_end_with_the_last_one_and_do_not_begin_again() {
    let index = Index::default();
    index.raise_version(u64::MAX - 1);
    index.raise_version(5);
    assert_eq!(index.next_version().unwrap(), u64::MAX);
    for _ in 0..2 {
        let error = index.next_version().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert_eq!(index.version(), u64::MAX);
    }
}
