//! The audit log as an operator sees it: lists, downloads that can be verified, checkpoints.

use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::harness::{Installation, strongroom, text};

fn export(room: &Installation, words: &[&str], name: &str) -> PathBuf {
    let file = room.root().join(name);
    let words = [&["audit", "export"], words, &["-o", file.to_str().unwrap()]].concat();
    let output = room.run(&words);
    assert!(output.status.success(), "{}", text(&output.stderr));
    file
}

/// Offline: without the installation's configuration.
fn verify(file: &Path, words: &[&str]) -> Output {
    let mut command = strongroom();
    command.args(["audit", "verify"]).arg(file).args(words);
    command.output().unwrap()
}

fn key(room: &Installation) -> String {
    let output = room.run(&["audit", "key"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

#[tokio::test]
async fn a_download_verifies_offline_and_a_touched_one_does_not() {
    let room = Installation::new();
    let account = room.account("shop");
    let server = room.serve();
    server
        .client(&account)
        .upload(vec![
            json!({"type":"event","identity":"u1","ts":1_790_000_000,"evtName":"Viewed"}),
        ])
        .await;
    let person = [
        "person",
        "show",
        "--account",
        &account.id,
        "--identity",
        "u1",
    ];
    room.json(&person);
    let file = export(&room, &[], "all.jsonl");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let key = key(&room);

    let output = verify(&file, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("The signer was not checked"));
    let output = verify(&file, &["--key", &key, "--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{found}");
    assert_eq!(
        (&found["holds"], &found["signer_checked"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(found["logs"][1]["account"], json!(account.id));

    let content = std::fs::read_to_string(&file).unwrap();
    assert!(content.contains("person.shown") && !content.contains("\"u1\""));
    let lines: Vec<&str> = content.lines().collect();
    let mut tampered: Vec<(&str, String)> = vec![
        ("edited", content.replacen("person.shown", "events.read", 1)),
        (
            "a line removed",
            [&lines[..3], &lines[4..]].concat().join("\n") + "\n",
        ),
        ("cut", lines[..lines.len() - 2].join("\n") + "\n"),
        ("empty", String::new()),
    ];
    let mut swapped = lines.clone();
    swapped.swap(3, 4);
    tampered.push(("reordered", swapped.join("\n") + "\n"));
    for (what, content) in tampered {
        let touched = room.root().join("touched.jsonl");
        std::fs::write(&touched, content).unwrap();
        assert_eq!(verify(&touched, &[]).status.code(), Some(1), "{what}");
    }
    assert!(server.stop().success());
}

#[test]
fn a_checkpoint_kept_elsewhere_finds_a_cut_tail_and_a_replaced_log() {
    let (room, other) = (Installation::new(), Installation::new());
    let account = room.account("shop");
    let early = export(&room, &["--account", &account.id], "early.jsonl");
    let late = export(&room, &["--account", &account.id], "late.jsonl");
    // The head of a download is what was published with it.
    let published = room
        .root()
        .join(format!("audit/checkpoints/{}.txt", account.id));
    let kept = room.root().join("kept.txt");
    std::fs::copy(&published, &kept).unwrap();
    let kept = kept.to_str().unwrap();
    let after = export(&room, &["--account", &account.id], "after.jsonl");
    for whole in [&late, &after] {
        let output = verify(whole, &["--checkpoint", kept]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
    let output = verify(&early, &["--checkpoint", kept]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    let forged = export(&other, &[], "forged.jsonl");
    assert_eq!(verify(&forged, &[]).status.code(), Some(0));
    assert_eq!(
        verify(&forged, &["--checkpoint", kept]).status.code(),
        Some(1)
    );
    let output = verify(&forged, &["--key", &key(&room)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!text(&output.stdout).contains("The signer is the key given"));
}

#[test]
fn checkpoints_are_written_by_the_job_and_when_the_server_stops() {
    let room = Installation::new();
    let account = room.account("shop");
    let folder = room.root().join("audit/checkpoints");
    assert!(room.run(&["job", "run", "checkpoint"]).status.success());
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let (own, installation) = (read(&format!("{}.txt", account.id)), read("0.txt"));
    assert!(own.contains(&format!("/audit/{}\n", account.id)), "{own}");
    let server = room.serve();
    let id = ["--account", &account.id];
    room.json(&[&["audit", "list"][..], &id[..]].concat());
    assert!(server.stop().success());
    assert_ne!(read(&format!("{}.txt", account.id)), own);
    assert_ne!(read("0.txt"), installation);
}

#[test]
fn entries_are_listed_and_written_as_a_filter_wants() {
    let room = Installation::new();
    let account = room.account("shop");
    let list = |words: &[&str]| {
        let common = ["audit", "list", "--account", &account.id];
        let listed = room.json(&[&common[..], words].concat());
        let actions = listed.as_array().unwrap().iter();
        actions
            .map(|it| it["action"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(list(&[]), ["account.created", "link.created"]);
    assert_eq!(list(&["--action", "audit.read"]), ["audit.read"]);
    assert_eq!(list(&["--to", "2001-01-01"]), Vec::<String>::new());
    assert_eq!(list(&["--actor", "nobody"]), Vec::<String>::new());
    assert_eq!(list(&["--after", "3", "--limit", "1"]), ["audit.read"]);
    let wrong = room.run(&["audit", "list", "--action", "nothing"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", text(&wrong.stderr));
    let unknown = room.run(&["audit", "list", "--account", "NOBODY"]);
    assert_eq!(unknown.status.code(), Some(3), "{}", text(&unknown.stderr));

    let one = ["--account", &account.id, "--action", "account.created"];
    let file = export(&room, &one, "one.jsonl");
    let output = verify(&file, &["--key", &key(&room)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("filtered"));

    let file = export(&room, &["--account", &account.id], "all.csv");
    let mut rows = csv::Reader::from_path(file).unwrap();
    assert_eq!(&rows.headers().unwrap()[1], "email");
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    assert_eq!(&rows[0][2], "account.created");
    let output = verify(&room.root().join("all.csv"), &[]);
    assert_eq!(output.status.code(), Some(1));
}
