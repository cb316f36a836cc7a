//! What a newcomer does first: init, serve, an account, an upload, a query, an export.

use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;

use crate::client::Client;
use crate::harness::{Installation, files, strongroom, text};

#[test]
fn init_makes_what_it_promises_and_nothing_readable_by_others() {
    let room = Installation::new();
    assert_eq!(room.ca(), room.root().join("tls/ca.pem"));
    assert_eq!(room.volumes().len(), 6);
    assert_eq!(room.volumes()[0], room.root().join("volumes/vol-1"));
    assert_eq!(room.config(), room.root().join("strongroom.toml"));
    let setup_url = room.printed["setup_url"].as_str().unwrap();
    assert!(setup_url.starts_with("https://localhost:"), "{setup_url}");
    assert_eq!(setup_url.rsplit("/link/").next().unwrap().len(), 35);
    let authorities: Vec<_> = files(&room.root())
        .into_iter()
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.contains("ca") && name.ends_with(".pem")
        })
        .collect();
    assert_eq!(authorities, [room.ca()]);
    for path in files(&room.root()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.contains("key") {
            let mode = path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", path.display());
        }
    }
}

#[test]
fn init_refuses_a_folder_that_is_not_empty() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine"), "x").unwrap();
    let output = strongroom()
        .arg("init")
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(
        text(&output.stderr).contains("not empty"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(files(folder.path()).len(), 1);
}

#[test]
fn init_takes_volumes_and_geometry() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("disk-a"), folder.path().join("disk-b"));
    // A disk whose file system was just made.
    std::fs::create_dir_all(one.join("lost+found")).unwrap();
    let room = Installation::with(&[
        "--volume",
        one.to_str().unwrap(),
        "--volume",
        two.to_str().unwrap(),
        "--data",
        "1",
        "--parity",
        "1",
    ]);
    assert_eq!(room.volumes(), [one, two]);
    let status = room.json(&["volume", "status"]);
    assert_eq!(status["volumes"].as_array().unwrap().len(), 2, "{status}");
}

#[tokio::test]
async fn what_is_uploaded_is_read_back_by_every_way_out() {
    let room = Installation::new();
    let before = room.account("made while the server is down");
    let server = room.serve();
    let account = room.account("made while it runs");
    assert_ne!(before.id, account.id);
    let client = server.client(&account);
    client
        .upload(vec![
            json!({"type":"event","identity":"u1","ts":1_790_000_000,"evtName":"Viewed",
                   "evtData":{"Price":59.99,"Name":"Casio","deep":{"a":[1,2]},"none":null}}),
            json!({"type":"profile","identity":"u1","ts":1_790_000_001,
                   "profileData":{"Name":"Peter","Email":"peter@example.com","Plan":"gold"}}),
        ])
        .await;

    let rows = room.query(
        &account,
        r#"SELECT name, "p:Price", "p:deep", "p:none" FROM events"#,
    );
    assert_eq!(
        rows,
        [json!({"name":"Viewed","p:Price":59.99,"p:deep":{"a":[1,2]},"p:none":null})]
    );
    assert_eq!(
        room.count(&before, "SELECT count(*) FROM events"),
        0,
        "accounts are apart"
    );

    let shown = room.json(&[
        "person",
        "show",
        "--account",
        &account.id,
        "--identity",
        "u1",
    ]);
    assert!(shown.to_string().contains("peter@example.com"), "{shown}");

    let out = room.root().join("events.jsonl");
    let export = [
        "export",
        "events",
        "--account",
        &account.id,
        "--from",
        "2026-01-01",
        "--to",
    ];
    let words = [&export[..], &["2026-12-31", "-o", out.to_str().unwrap()]].concat();
    let output = room.run(&words);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines = std::fs::read_to_string(&out).unwrap();
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(lines.contains("Casio"));
    assert_eq!(out.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    assert!(server.stop().success());
    // The same through the files alone, with no server.
    assert_eq!(room.count(&account, "SELECT count(*) FROM events"), 1);
}

#[tokio::test]
async fn values_of_another_type_than_their_column_come_back_as_sent() {
    let room = Installation::new();
    let account = room.account("types");
    let server = room.serve();
    let client = server.client(&account);
    let values = [
        "5",
        "\"5\"",
        "5.5",
        "true",
        "null",
        "[1,\"x\"]",
        "{\"a\":1}",
        "1e2",
        "-0",
        "1.50",
        "18446744073709551617",
        "\"\"",
    ];
    let records: Vec<_> = values
        .iter()
        .enumerate()
        .map(|(index, value)| {
            format!(
                r#"{{"type":"event","identity":"u{index:02}","ts":{},"evtName":"E","evtData":{{"v":{value},"i":{index}}}}}"#,
                1_790_000_000 + index
            )
        })
        .collect();
    let body = format!(r#"{{"d":[{}]}}"#, records.join(","));
    let answer = client.post_text("/1/upload", body).await;
    assert_eq!(answer.body["status"], "success", "{answer:?}");

    let check = |stage: &str| {
        let output = room.run(&[
            "query",
            "--account",
            &account.id,
            "--json",
            r#"SELECT "p:v" FROM events ORDER BY "p:i""#,
        ]);
        let printed: String = text(&output.stdout).split_whitespace().collect();
        let expected: Vec<_> = values
            .iter()
            .map(|value| format!(r#"{{"p:v":{value}}}"#))
            .collect();
        assert_eq!(printed, format!("[{}]", expected.join(",")), "{stage}");
    };
    check("from the journal");
    assert!(room.run(&["job", "run", "flush"]).status.success());
    check("from parts");

    let answer = client
        .request("POST", "/1/events.json?batch_size=50")
        .body(r#"{"event_name":"E","from":20260101,"to":20261231}"#);
    let cursor = Client::send(answer).await.unwrap().body["cursor"]
        .as_str()
        .unwrap()
        .to_owned();
    let page = client.request("GET", &format!("/1/events.json?cursor={cursor}"));
    let page = page.send().await.unwrap().text().await.unwrap();
    let dense: String = page.split_whitespace().collect();
    for value in values {
        let value: String = value.split_whitespace().collect();
        assert!(
            dense.contains(&format!(r#""v":{value}"#)),
            "{value} in {page}"
        );
    }
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let room = Installation::new();
    let server = room.serve();
    let output = room.run(&["serve"]);
    assert!(!output.status.success());
    let complaint = text(&output.stderr);
    assert!(
        complaint.contains("lock") || complaint.contains("already"),
        "{complaint}"
    );
    assert!(server.stop().success());
}

#[test]
fn a_keyring_that_others_can_read_is_refused() {
    let room = Installation::new();
    let keyring = files(&room.root())
        .into_iter()
        .find(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("keyring")
        })
        .unwrap();
    std::fs::set_permissions(&keyring, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = room.run(&["serve"]);
    assert!(!output.status.success());
    assert!(
        text(&output.stderr).contains("600"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_copy_of_the_keyring_on_a_volume_is_refused() {
    let room = Installation::new();
    let copy = room.volumes()[1].join("keyring");
    let config = std::fs::read_to_string(room.config()).unwrap();
    let named = format!("copies = [\"{}\"]", copy.display());
    assert!(config.contains("# copies = []"), "{config}");
    std::fs::write(room.config(), config.replace("# copies = []", &named)).unwrap();
    let output = room.run(&["serve"]);
    assert!(!output.status.success());
    let complaint = text(&output.stderr);
    assert!(complaint.contains("keys apart from data"), "{complaint}");
    assert!(!copy.exists());
}

#[test]
fn a_start_without_the_keyring_names_the_copy_that_takes_its_place() {
    let room = Installation::new();
    let (keyring, copy) = (room.root().join("keyring"), room.root().join("spare"));
    let config = std::fs::read_to_string(room.config()).unwrap();
    let named = format!("copies = [\"{}\"]", copy.display());
    std::fs::write(room.config(), config.replace("# copies = []", &named)).unwrap();
    assert!(room.run(&["account", "list"]).status.success());
    std::fs::remove_file(&keyring).unwrap();
    let output = room.run(&["account", "list"]);
    assert!(!output.status.success());
    assert!(!keyring.exists());
    let complaint = text(&output.stderr);
    let command = complaint.split('`').find(|it| it.starts_with("cp -p "));
    let Some(command) = command else {
        panic!("{complaint}");
    };
    assert!(command.contains(copy.to_str().unwrap()), "{command}");
    let mut words = command.split(' ');
    let copied = std::process::Command::new(words.next().unwrap())
        .args(words)
        .status();
    assert!(copied.unwrap().success());
    assert!(keyring.exists());
    assert!(room.run(&["account", "list"]).status.success());
}

#[test]
fn more_volumes_of_another_store_than_may_be_lost_are_refused() {
    let (room, other) = (Installation::new(), Installation::new());
    for index in 0..3 {
        let (ours, theirs) = (&room.volumes()[index], &other.volumes()[index]);
        let aside = room.root().join(format!("aside-{index}"));
        std::fs::rename(ours, aside).unwrap();
        std::fs::rename(theirs, ours).unwrap();
    }
    let output = room.run(&["serve"]);
    assert!(!output.status.success());
    assert!(
        text(&output.stderr).contains("another store"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn the_operators_listener_speaks_plainly_of_health() {
    let room = Installation::new();
    let server = room.serve();
    let get = |path: &str| {
        let url = format!("http://{}{path}", server.address("ops"));
        let output = std::process::Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--max-time",
                "20",
                "--write-out",
                "\n%{http_code}",
            ])
            .arg(url)
            .output()
            .unwrap();
        text(&output.stdout)
    };
    assert!(get("/healthz").ends_with("200"));
    assert!(get("/readyz").ends_with("200"));
    assert!(get("/metrics").contains("# TYPE"));
}
