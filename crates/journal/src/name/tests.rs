//! Names are read back as written, and nothing else is taken for one.

use super::Name;
use model::{CommitId, WriterId};
use object_store::path::Path;

const WRITER: WriterId = WriterId {
    node: 7,
    start: 0x1f,
};

#[test]
fn names_are_read_back() {
    let id = CommitId {
        writer: WRITER,
        number: 0xabc,
    };
    let cases = [
        (
            Name::Commit(id),
            "journal/00000007-0000001f/0000000000000abc",
        ),
        (
            Name::Copy(id, WRITER),
            "journal/00000007-0000001f/0000000000000abc-00000007-0000001f",
        ),
        (
            Name::Settlement(WRITER),
            "journal/settled/00000007-0000001f",
        ),
    ];
    for (name, text) in cases {
        assert_eq!(name.path().as_ref(), text);
        assert_eq!(Name::parse(&Path::from(text)), Some(name));
    }
}

#[test]
fn other_names_are_nobodys() {
    for text in [
        "journal",
        "journal/00000007-0000001f",
        "journal/00000007-0000001f/abc",
        "journal/00000007-0000001f/+000000000000abc",
        "journal/00000007-0000001f/0000000000000ABC",
        "journal/00000007-0000001f/0000000000000abc/x",
        "journal/7-1f/0000000000000abc",
        "journal/settled/x",
        "lake/00000007-0000001f/0000000000000abc",
    ] {
        assert_eq!(Name::parse(&Path::from(text)), None, "{text}");
    }
}
