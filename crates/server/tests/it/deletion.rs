//! A deleted person is gone from every read at once, and from the bytes after the job; and what the
//! server writes shows nobody's data to whoever reads the disk.

use serde_json::{Value, json};
use std::io::Read as _;
use std::path::Path;

use crate::harness::{Account, Installation, Server, files};

/// What every canary starts with: nothing that the server writes may contain it in any form.
const MARK: &str = "CANARYq7Zx";
const CANARIES: usize = 1_000;

fn canary(number: usize) -> String {
    format!("{MARK}{number:06}")
}

/// Plants canaries in identities, names, property keys and values, paths, headers and bad bodies.
async fn plant(server: &Server, account: &Account) {
    let client = server.client(account);
    let records: Vec<Value> = (0..CANARIES)
        .map(|n| match n % 5 {
            0 => json!({"type":"event","identity":canary(n),"evtName":"E"}),
            1 => json!({"type":"event","identity":"p","evtName":canary(n)}),
            2 => json!({"type":"event","identity":"p","evtName":"E","evtData":{canary(n):1}}),
            3 => json!({"type":"event","identity":"p","evtName":"E","evtData":{"v":canary(n)}}),
            _ => json!({"type":"profile","identity":format!("q{n}"),"profileData":{"Name":canary(n)}}),
        })
        .collect();
    client.upload(records).await;
    let bad =
        json!({"d":[{"type":"profile","identity":canary(1),"profileData":{"Email":canary(2)}}]});
    assert_eq!(client.post("/1/upload", bad).await.body["processed"], 0);
    let spread = [
        client.request("GET", &format!("/{}", canary(3))),
        client.request("GET", &format!("/1/profile.json?identity={}", canary(4))),
        client
            .request("GET", "/1/now.json")
            .header("User-Agent", canary(5)),
        client.anonymous("GET", &format!("/1/{}", canary(6))),
        client
            .anonymous("POST", "/1/upload")
            .header("X-CleverTap-Passcode", canary(7)),
        client.request("POST", "/1/upload").body(canary(8)),
    ];
    for request in spread {
        // Some are answered and some are dropped in silence: here only what is written matters.
        drop(request.send().await);
    }
}

#[tokio::test]
async fn no_customer_byte_can_be_read_from_what_the_server_writes() {
    let room = Installation::new();
    let account = room.account("canaries");
    let server = room.serve();
    plant(&server, &account).await;
    assert_none(&room, "journal");
    assert!(room.run(&["job", "run", "flush"]).status.success());
    assert_none(&room, "parts");
    let client = server.client(&account);
    for n in (0..CANARIES).step_by(5).take(3) {
        client
            .post("/1/delete/profiles.json", json!({"identity": canary(n)}))
            .await;
    }
    assert!(room.run(&["job", "run", "deletion"]).status.success());
    assert_none(&room, "after deletions");
    assert!(server.stop().success());
    assert_none(&room, "after the end");
    assert_entropy(&room);
}

#[tokio::test]
async fn a_deleted_person_is_gone_at_once_and_stays_gone() {
    let room = Installation::new();
    let account = room.account("deletion");
    let server = room.serve();
    let client = server.client(&account);
    let event = |field: &str, who: &str| json!({"type":"event",field:who,"evtName":"E","evtData":{"w":who}});
    client
        .upload(vec![
            json!({"type":"profile","identity":"gone","objectId":"device-1",
                   "profileData":{"Name":"Gone","Email":"gone@example.com"}}),
            // The same person under an older identity.
            json!({"type":"profile","identity":"older","profileData":{"identity":"gone"}}),
            event("identity", "gone"),
            event("identity", "older"),
            event("objectId", "device-1"),
            event("identity", "stays"),
        ])
        .await;
    assert!(room.run(&["job", "run", "flush"]).status.success());
    client
        .upload(vec![event("identity", "gone"), event("identity", "stays")])
        .await;

    let answer = client
        .post("/1/delete/profiles.json", json!({"identity": "gone"}))
        .await;
    assert_eq!(answer.body, json!({"status": "success"}));

    let only_others = |when: &str| {
        let rows = room.query(&account, r#"SELECT "p:w" AS w FROM events"#);
        assert_eq!(rows, [json!({"w":"stays"}), json!({"w":"stays"})], "{when}");
        for table in ["profile_changes", "links"] {
            let sql = format!("SELECT * FROM {table}");
            let rows = serde_json::to_string(&room.query(&account, &sql)).unwrap();
            assert!(!rows.contains("gone"), "{table} {when}: {rows}");
        }
    };
    only_others("at once");
    for lookup in [
        "identity=gone",
        "identity=older",
        "objectId=device-1",
        "email=gone@example.com",
    ] {
        let shown = client.get(&format!("/1/profile.json?{lookup}")).await;
        assert!(shown.body["record"].is_null(), "{lookup}: {shown:?}");
    }
    // Later records of the same identities are taken and not kept.
    client
        .upload(vec![
            event("identity", "gone"),
            event("objectId", "device-1"),
        ])
        .await;
    only_others("after later records");

    assert!(room.run(&["job", "run", "deletion"]).status.success());
    only_others("after the job");
    server.kill();
    let server = room.serve();
    only_others("after a restart");
    let count = server
        .client(&account)
        .post(
            "/1/counts/events.json",
            json!({"event_name":"E","from":20200101,"to":20271231}),
        )
        .await;
    assert_eq!(count.body["count"], 2);
}

/// Every file below the installation, and the system's temporary folder as the server saw it.
fn assert_none(room: &Installation, when: &str) {
    let mut searched = 0;
    for path in files(&room.root()) {
        let bytes = std::fs::read(&path).unwrap();
        searched += bytes.len();
        assert_free(&path, &bytes, when);
        for unpacked in unpack(&bytes) {
            assert_free(&path, &unpacked, when);
        }
    }
    assert!(searched > 10_000, "only {searched} bytes were searched");
}

fn assert_free(path: &Path, bytes: &[u8], when: &str) {
    for (form, needle) in needles() {
        let found = memchr::memmem::find(bytes, &needle).is_some();
        assert!(!found, "a canary, {form}, in {} ({when})", path.display());
    }
    let parquet = memchr::memmem::find(bytes, b"PAR1").is_some();
    assert!(!parquet, "an unsealed part in {} ({when})", path.display());
}

/// The mark as text, as UTF-16, and in the three alignments of base64.
fn needles() -> Vec<(&'static str, Vec<u8>)> {
    use base64::Engine as _;
    let mark = MARK.as_bytes();
    let wide = |order: fn(u16) -> [u8; 2]| MARK.encode_utf16().flat_map(order).collect::<Vec<_>>();
    let mut needles = vec![
        ("as text", mark.to_vec()),
        ("as UTF-16LE", wide(u16::to_le_bytes)),
        ("as UTF-16BE", wide(u16::to_be_bytes)),
    ];
    for shift in 0..3_usize {
        let padded = [&vec![0; shift][..], mark].concat();
        let encoded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(&padded);
        // Only the characters that depend on nothing but the mark.
        let from = (shift * 8).div_ceil(6);
        let to = padded.len() * 8 / 6;
        needles.push(("in base64", encoded.as_bytes()[from..to].to_vec()));
    }
    needles
}

/// What can be decoded wherever the magic of zstd or gzip is found.
fn unpack(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut unpacked = Vec::new();
    let read = |mut reader: Box<dyn std::io::Read + '_>| {
        let mut out = Vec::new();
        // An error in the middle leaves what came before it, which is searched too.
        drop(reader.by_ref().take(16 << 20).read_to_end(&mut out));
        out
    };
    for at in memchr::memmem::find_iter(bytes, b"\x28\xb5\x2f\xfd") {
        if let Ok(decoder) = zstd::Decoder::new(&bytes[at..]) {
            unpacked.push(read(Box::new(decoder)));
        }
    }
    for at in memchr::memmem::find_iter(bytes, b"\x1f\x8b\x08") {
        unpacked.push(read(Box::new(flate2::read::GzDecoder::new(&bytes[at..]))));
    }
    unpacked
}

/// Blocks of the volumes look like noise: more than 7.9 bits a byte.
fn assert_entropy(room: &Installation) {
    const BLOCK: usize = 16 * 1024;
    let mut blocks = 0;
    for volume in room.volumes() {
        for path in files(&volume) {
            let bytes = std::fs::read(&path).unwrap();
            for block in bytes.chunks_exact(BLOCK) {
                let mut counts = [0_u32; 256];
                block
                    .iter()
                    .for_each(|byte| counts[usize::from(*byte)] += 1);
                let entropy: f64 = counts
                    .iter()
                    .filter(|count| **count > 0)
                    .map(|count| f64::from(*count) / BLOCK as f64)
                    .map(|share| -share * share.log2())
                    .sum();
                assert!(entropy > 7.9, "{entropy} bits a byte in {}", path.display());
                blocks += 1;
            }
        }
    }
    assert!(blocks > 0, "no block of {BLOCK} bytes on any volume");
}
