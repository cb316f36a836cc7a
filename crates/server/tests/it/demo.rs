//! The README's first command does what it says.

use crate::harness::{strongroom, text};

#[test]
fn the_demo_tells_its_story_and_ends() {
    let output = strongroom().args(["demo", "--once"]).output().unwrap();
    let story = text(&output.stdout);
    assert!(output.status.success(), "{story}\n{}", text(&output.stderr));
    let story = story.to_lowercase();
    for word in ["accepted", "dropped", "volume", "deleted"] {
        assert!(story.contains(word), "`{word}` is missing from\n{story}");
    }
}
