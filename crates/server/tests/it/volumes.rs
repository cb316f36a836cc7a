//! Volumes are lost, emptied, swapped and bitten; up to two of six are nobody's problem.

use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

use crate::abuse::ops;
use crate::client::Client;
use crate::harness::{Account, Installation, Server, files, strongroom, text};

/// What happens to one volume.
#[derive(Debug, Clone, Copy)]
enum Harm {
    Deleted,
    Emptied,
    Bitten,
}

const HARMS: [Harm; 3] = [Harm::Deleted, Harm::Emptied, Harm::Bitten];

fn harm(volume: &Path, how: Harm) {
    match how {
        Harm::Deleted => fs::remove_dir_all(volume).unwrap(),
        Harm::Emptied => {
            fs::remove_dir_all(volume).unwrap();
            fs::create_dir(volume).unwrap();
        }
        Harm::Bitten => {
            for path in files(volume) {
                let mut bytes = fs::read(&path).unwrap();
                let middle = bytes.len() / 2;
                if let Some(byte) = bytes.get_mut(middle) {
                    *byte ^= 0x10;
                }
                fs::write(&path, bytes).unwrap();
            }
        }
    }
}

async fn upload(client: &Client, from: usize, count: usize) {
    let events = (from..from + count)
        .map(|n| json!({"type":"event","identity":format!("u{}", n % 17),"evtName":"E","evtData":{"n":n}}))
        .collect();
    client.upload(events).await;
}

fn all_there(room: &Installation, account: &Account, count: usize, when: &str) {
    let rows = room.query(account, r#"SELECT "p:n" AS n FROM events ORDER BY 1"#);
    let found: Vec<_> = rows.iter().map(|row| row["n"].as_u64().unwrap()).collect();
    let expected: Vec<_> = (0..count as u64).collect();
    assert_eq!(found, expected, "{when}");
}

/// Half of the events in parts, half in the journal.
async fn filled() -> (Installation, Account, Server) {
    let room = Installation::new();
    let account = room.account("volumes");
    let server = room.serve();
    upload(&server.client(&account), 0, 300).await;
    assert!(room.run(&["job", "run", "flush"]).status.success());
    upload(&server.client(&account), 300, 300).await;
    (room, account, server)
}

#[tokio::test]
async fn two_volumes_may_be_harmed_while_running_and_across_a_restart() {
    for (index, how) in HARMS.into_iter().enumerate() {
        let (room, account, server) = filled().await;
        let volumes = room.volumes();
        let (one, two) = (&volumes[index], &volumes[5 - index]);
        harm(one, how);
        harm(two, how);
        all_there(&room, &account, 600, &format!("{how:?}, while running"));
        upload(&server.client(&account), 600, 100).await;
        all_there(&room, &account, 700, &format!("{how:?}, written since"));
        server.kill();
        let server = room.serve();
        all_there(&room, &account, 700, &format!("{how:?}, after a restart"));
        upload(&server.client(&account), 700, 100).await;
        all_there(
            &room,
            &account,
            800,
            &format!("{how:?}, written after a restart"),
        );
        assert!(server.stop().success());
    }
}

#[tokio::test]
async fn swapped_volumes_are_told_apart_by_their_labels() {
    let (room, account, server) = filled().await;
    assert!(server.stop().success());
    let volumes = room.volumes();
    let aside = room.root().join("aside");
    fs::rename(&volumes[1], &aside).unwrap();
    fs::rename(&volumes[4], &volumes[1]).unwrap();
    fs::rename(&aside, &volumes[4]).unwrap();
    let server = room.serve();
    all_there(&room, &account, 600, "after the swap");
    upload(&server.client(&account), 600, 100).await;
    all_there(&room, &account, 700, "written after the swap");
}

#[tokio::test]
async fn with_three_gone_nothing_is_acknowledged_and_nothing_is_wrong_then_all_comes_back() {
    let (room, account, server) = filled().await;
    let client = server.client(&account);
    let volumes = room.volumes();
    let aside: Vec<PathBuf> = (0..3)
        .map(|index| room.root().join(format!("aside-{index}")))
        .collect();
    for (volume, aside) in volumes.iter().zip(&aside) {
        fs::rename(volume, aside).unwrap();
    }
    let event = json!({"d":[{"type":"event","identity":"x","evtName":"E","evtData":{"n":9_999}}]});
    let answer = client.post("/1/upload", event).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    let refused = room.run(&[
        "query",
        "--account",
        &account.id,
        "SELECT count(*) FROM events",
    ]);
    assert!(!refused.status.success() || !refused.stdout.is_empty());
    server.kill();
    assert!(
        !room.run(&["serve"]).status.success(),
        "three volumes are missing"
    );

    for (volume, aside) in volumes.iter().zip(&aside) {
        fs::rename(aside, volume).unwrap();
    }
    let server = room.serve();
    assert!(room.run(&["job", "run", "maintain"]).status.success());
    let rows = room.query(
        &account,
        r#"SELECT "p:n" AS n FROM events WHERE "p:n" < 600"#,
    );
    assert_eq!(rows.len(), 600);
    let status = room.json(&["volume", "status"]);
    let volumes = status["volumes"].as_array().unwrap();
    let in_service = volumes
        .iter()
        .filter(|volume| volume.to_string().contains("in_service"));
    assert_eq!(in_service.count(), 6, "{status}");
    drop(server);
}

#[tokio::test]
async fn a_volume_that_comes_back_is_repaired() {
    let (room, account, server) = filled().await;
    let volumes = room.volumes();
    let aside = room.root().join("aside");
    fs::rename(&volumes[3], &aside).unwrap();
    upload(&server.client(&account), 600, 100).await;
    fs::rename(&aside, &volumes[3]).unwrap();
    assert!(room.run(&["job", "run", "maintain"]).status.success());
    // Now two others may go: the third one carries what was written while it was away.
    harm(&volumes[0], Harm::Deleted);
    harm(&volumes[1], Harm::Deleted);
    all_there(&room, &account, 700, "on the repaired volume");
}

#[tokio::test]
async fn a_volume_has_one_number_wherever_it_is_read() {
    let (room, account, server) = filled().await;
    let places = room.volumes();
    let second = &places[1];
    assert!(second.ends_with("vol-2"), "{second:?}");
    fs::rename(second, room.root().join("aside")).unwrap();
    upload(&server.client(&account), 600, 100).await;
    let status = room.json(&["volume", "status"]);
    let volumes = status["volumes"].as_array().unwrap();
    let out = volumes.iter().find(|it| it["state"] != "in_service");
    assert_eq!(out.unwrap()["number"], 2, "{status}");
    let table = text(&room.run(&["volume", "status"]).stdout);
    let row = table.lines().find(|it| it.contains("vol-2")).unwrap();
    assert_eq!(row.split_whitespace().next(), Some("2"), "{table}");
    let metrics = ops(&server, "/metrics");
    for number in 1..=6 {
        let up = u8::from(number != 2);
        let sample = format!("strongroom_volume_in_service{{volume=\"{number}\"}} {up}");
        assert!(
            metrics.lines().any(|it| it == sample),
            "{sample}: {metrics}"
        );
    }
}

/// A copy of an installation's folder, as a move or a backup leaves one, names the same volumes.
#[tokio::test]
async fn a_process_under_a_copied_configuration_is_refused_the_volumes_that_are_open() {
    let disks = tempfile::tempdir().unwrap();
    let volumes: Vec<String> = (0..6)
        .map(|number| disks.path().join(format!("{number}")).display().to_string())
        .collect();
    let arguments: Vec<&str> = volumes
        .iter()
        .flat_map(|volume| ["--volume", volume.as_str()])
        .collect();
    let room = Installation::with(&arguments);
    let account = room.account("volumes");
    let server = room.serve();
    upload(&server.client(&account), 0, 300).await;
    let copy = tempfile::tempdir().unwrap();
    for name in ["strongroom.toml", "keyring"] {
        fs::copy(room.root().join(name), copy.path().join(name)).unwrap();
    }
    let refused = strongroom()
        .args(["volume", "status", "--config"])
        .arg(copy.path().join("strongroom.toml"))
        .output()
        .unwrap();
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.contains(&volumes[0]), "{said}");
    assert!(said.contains("open in another process"), "{said}");
    upload(&server.client(&account), 300, 100).await;
    all_there(&room, &account, 400, "after the other process");
    assert!(server.stop().success());
}
