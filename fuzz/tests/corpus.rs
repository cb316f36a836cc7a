//! Replays every input that fuzzing has found worth keeping, and the ones that once broke something.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_kept_input_keeps_the_laws() {
    let corpus = Path::new("corpus");
    for (name, target) in fuzz::TARGETS {
        let folder = corpus.join(name);
        let mut inputs = 0;
        for entry in fs::read_dir(&folder).unwrap() {
            target(&fs::read(entry.unwrap().path()).unwrap());
            inputs += 1;
        }
        assert!(inputs > 0, "{} is empty", folder.display());
    }
    let folders: BTreeSet<_> = fs::read_dir(corpus)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let known: BTreeSet<_> = fuzz::TARGETS
        .iter()
        .map(|(name, _)| String::from(*name))
        .collect();
    assert_eq!(folders, known, "a folder without a target");
}
