//! Calls of the API encrypted by somebody else's program, against the running server.

use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::harness::{Account, Installation, Server, peers, text};

const SEALED: &str = "application/octet-stream+hpke";
const PLAIN: &str = "application/json;charset=utf-8";

/// One call: method, path, body, whether it is encrypted, whether the answer is to be.
type Asked<'a> = (&'a str, &'a str, Option<&'a str>, bool, bool);

/// A program with keys of its own.
struct Caller<'a> {
    folder: tempfile::TempDir,
    library: &'static str,
    room: &'a Installation,
    server: &'a Server,
}

impl<'a> Caller<'a> {
    fn new(library: &'static str, room: &'a Installation, server: &'a Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = script().arg("keys").arg(folder.path()).output().unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));
        Self {
            folder,
            library,
            room,
            server,
        }
    }

    /// A file of its keys.
    fn file(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        path.to_str().unwrap().to_owned()
    }

    /// Status, type and body of each answer, decrypted.
    fn calls(
        &self,
        account: &Account,
        key: &str,
        asked: &[Asked<'_>],
    ) -> Vec<(u16, String, String)> {
        let mut child = script()
            .arg(self.library)
            .arg(self.folder.path())
            .arg(key)
            .env("URL", format!("https://{}", self.server.address("api")))
            .env("ACCOUNT", &account.id)
            .env("PASSCODE", &account.passcode)
            .env("SSL_CERT_FILE", self.room.ca())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = child.stdin.take().unwrap();
        for call in asked {
            writeln!(lines, "{}", json!(call)).unwrap();
        }
        drop(lines);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let said = text(&output.stdout);
        said.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn script() -> Command {
    let mut command = Command::new(peers().join("python/bin/python"));
    command.arg("tests/clients/encrypted.py");
    command
}

fn public_key(shown: &Value, at: usize) -> String {
    shown["keys"][at]["public_key"].as_str().unwrap().to_owned()
}

#[test]
fn a_program_encrypts_its_calls_and_reads_encrypted_answers() {
    let room = Installation::new();
    let account = room.account("shop");
    let other = room.account("other");
    let server = room.serve();
    let act = |words: &[&str], whose: &Account| {
        let words = [&["account", "api-key"], words, &["--account", &whose.id]].concat();
        room.json(&words)
    };
    let made = act(&["create"], &account);
    let first = public_key(&made, 0);
    let caller = Caller::new("pyhpke", &room, &server);
    let own = std::fs::read_to_string(caller.file("public.hex")).unwrap();
    let shown = act(&["answers", "--public-key", &own], &account);
    assert_eq!(shown["answer_key"]["public_key"], own);
    let upload =
        r#"{"d":[{"type":"event","identity":"u1","evtName":"Viewed","evtData":{"n":"ü"}}]}"#;
    let person = "/1/profile.json?identity=u1";
    let question = r#"{"event_name":"Viewed","from":20200101,"to":20991231}"#;
    let said = caller.calls(
        &account,
        &first,
        &[
            ("POST", "/1/upload", Some(upload), true, true),
            ("POST", "/1/upload", Some(upload), true, false),
            ("POST", "/1/upload", Some(upload), false, false),
            ("POST", "/1/upload", Some("{"), true, true),
            ("POST", "/1/counts/events.json", Some(question), true, true),
            ("GET", person, None, false, true),
            ("GET", "/nowhere", None, false, true),
        ],
    );
    let answers: Vec<_> = said
        .iter()
        .map(|(status, kind, _)| (*status, kind.as_str()))
        .collect();
    assert_eq!(
        answers,
        [
            (200, SEALED),
            (200, PLAIN),
            (200, PLAIN),
            (400, SEALED),
            (200, SEALED),
            (200, SEALED),
            (404, PLAIN),
        ],
        "{said:?}"
    );
    assert!(said[0].2.contains(r#""processed":1"#), "{said:?}");
    assert_eq!(said[4].2, r#"{"count":3,"status":"success"}"#);
    let record: Value = serde_json::from_str(&said[5].2).unwrap();
    assert_eq!(record["record"]["identity"], "u1");

    // To another account's key, and in another account, it opens nothing.
    let others = act(&["create"], &other);
    let wrong = [("POST", "/1/upload", Some(upload), true, false)];
    let said = caller.calls(&account, &public_key(&others, 0), &wrong);
    assert_eq!(said[0].0, 400, "{said:?}");
    let said = caller.calls(&other, &first, &wrong);
    assert_eq!(said[0].0, 400, "{said:?}");
    let kept = room.json(&["quarantine", "list", "--account", &account.id]);
    assert_eq!(kept.as_array().unwrap().len(), 2, "{kept}");

    // Both keys are taken until the old one is retired; then plain calls are forbidden.
    let rotated = act(&["rotate", "--overlap-hours", "1"], &account);
    let good = [("POST", "/1/upload", Some(upload), true, true)];
    for at in 0..2 {
        let said = caller.calls(&account, &public_key(&rotated, at), &good);
        assert_eq!(said[0].0, 200, "{said:?}");
    }
    let old = made["keys"][0]["key_id"].to_string();
    let shown = act(&["retire", &old], &account);
    assert_eq!(shown["keys"][1]["state"], "retired", "{shown}");
    act(&["policy", "--set", "required"], &account);
    let said = caller.calls(&account, &first, &good);
    assert_eq!(said[0].0, 400, "{said:?}");
    let said = caller.calls(
        &account,
        &public_key(&rotated, 0),
        &[
            ("POST", "/1/upload", Some(upload), false, false),
            ("GET", person, None, false, false),
            ("GET", person, None, false, true),
            good[0],
        ],
    );
    let statuses: Vec<_> = said.iter().map(|(status, ..)| *status).collect();
    assert_eq!(statuses, [403, 403, 200, 200], "{said:?}");
    assert_eq!(room.count(&account, "SELECT count(*) FROM events"), 6);
}

#[test]
fn keysets_of_the_library_that_the_vendor_names_are_exchanged_as_they_are() {
    let room = Installation::new();
    let account = room.account("shop");
    let server = room.serve();
    let caller = Caller::new("tink", &room, &server);
    let common = ["--account", &account.id];
    let made = room.json(&[&["account", "api-key", "create"][..], &common].concat());
    let own = caller.file("public.json");
    let answers = ["account", "api-key", "answers", "--keyset", &own];
    let shown = room.json(&[&answers[..], &common].concat());
    assert!(shown["answer_key"]["prefix"].is_u64(), "{shown}");
    let upload = r#"{"d":[{"type":"event","identity":"u1","evtName":"Viewed","evtData":{}}]}"#;
    let keyset = made["keys"][0]["keyset"].to_string();
    let said = caller.calls(
        &account,
        &keyset,
        &[("POST", "/1/upload", Some(upload), true, true)],
    );
    assert_eq!((said[0].0, said[0].1.as_str()), (200, SEALED));
    assert!(said[0].2.contains(r#""processed":1"#), "{said:?}");
    assert_eq!(room.count(&account, "SELECT count(*) FROM events"), 1);
}
