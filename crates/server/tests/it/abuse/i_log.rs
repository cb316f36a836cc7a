//! I07: a download of the audit log that was tampered with, in each of the six ways.

use std::path::{Path, PathBuf};

use crate::harness::{Installation, strongroom, text};

fn export(room: &Installation, name: &str) -> PathBuf {
    let file = room.root().join(name);
    let output = room.run(&["audit", "export", "-o", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    file
}

/// Whether all of it holds, and what was said.
fn verify(file: &Path, words: &[&str]) -> (bool, String) {
    let output = strongroom()
        .args(["audit", "verify"])
        .arg(file)
        .args(words)
        .output();
    let output = output.unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    match output.status.code() {
        Some(0) => (true, said),
        Some(1) => (false, said),
        other => panic!("{other:?}: {said}"),
    }
}

#[test]
fn i07_each_of_the_six_tamperings_is_found() {
    let (room, forger) = (Installation::new(), Installation::new());
    let account = room.account("shop");
    forger.account("shop");
    let early = export(&room, "early.jsonl");
    for _ in 0..3 {
        room.json(&["audit", "list", "--account", &account.id]);
    }
    let file = export(&room, "whole.jsonl");
    // What somebody keeps elsewhere: the heads that were published with the download.
    let heads = room.root().join("audit/checkpoints");
    let kept = heads.join(format!("{}.txt", account.id));
    let kept = kept.to_str().unwrap();
    let (holds, said) = verify(&file, &["--checkpoint", kept]);
    assert!(holds, "{said}");

    let whole = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let entries: Vec<usize> = (0..lines.len())
        .filter(|at| lines[*at].starts_with("{\"kind\":\"entry\""))
        .collect();
    let touch = |name: &str, lines: &[&str]| {
        let touched = room.root().join(name);
        std::fs::write(&touched, lines.join("\n") + "\n").unwrap();
        touched
    };
    // Found by the file alone, whichever entry it is done to.
    for (number, at) in entries.iter().copied().enumerate() {
        let mut edited = lines.clone();
        let byte = edited[at].replacen("\"outcome\":\"d", "\"outcome\":\"b", 1);
        let byte = match byte == edited[at] {
            true => edited[at].replacen("\"at_ms\":1", "\"at_ms\":2", 1),
            false => byte,
        };
        assert_ne!(byte, edited[at]);
        edited[at] = &byte;
        let mut deleted = lines.clone();
        deleted.remove(at);
        let mut tampered = vec![
            ("a byte edited", touch("edited.jsonl", &edited)),
            ("a line deleted", touch("deleted.jsonl", &deleted)),
        ];
        if let Some(next) = entries.get(number + 1) {
            let mut reordered = lines.clone();
            reordered.swap(at, *next);
            tampered.push(("reordered", touch("reordered.jsonl", &reordered)));
        }
        for (what, touched) in tampered {
            let (holds, said) = verify(&touched, &[]);
            assert!(!holds, "{what} at line {at}: {said}");
        }
    }
    for cut in 1..lines.len() {
        let touched = touch("cut.jsonl", &lines[..cut]);
        let (holds, said) = verify(&touched, &[]);
        assert!(!holds, "the tail cut at line {cut}: {said}");
    }
    // Found by a head that was kept elsewhere: each of these files is sound in itself.
    let forged = export(&forger, "forged.jsonl");
    for (what, touched) in [
        ("replaced, hashes recomputed", &forged),
        ("newest deleted", &early),
    ] {
        let (holds, said) = verify(touched, &[]);
        assert!(holds, "{what}: {said}");
        let (holds, said) = verify(touched, &["--checkpoint", kept]);
        assert!(!holds, "{what}: {said}");
    }
}
