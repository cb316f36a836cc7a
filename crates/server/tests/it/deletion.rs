//! A deleted person is gone from every read at once, and from the bytes after the job; and what the
//! server writes shows nobody's data to whoever reads the disk.

use serde_json::{Value, json};

use crate::canary::{MARK, assert_none, canary};
use crate::client::Client;
use crate::harness::{Account, Installation, Server, files};

const CANARIES: usize = 1_000;
/// An address that calls come from.
const PEER: &str = "127.113.91.77";

/// Plants canaries in identities, names, property keys and values, paths, headers and bad bodies, and in
/// where calls come from.
async fn plant(room: &Installation, server: &Server, account: &Account) {
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
    let far =
        |account: Account| Client::coming_from(PEER, server.address("api"), &room.ca(), account);
    let stranger = Account {
        passcode: String::from("wrong"),
        ..account.clone()
    };
    let refused = far(stranger).get("/1/now.json").await;
    assert_eq!(refused.status, 401);
    // Its line is durable once an upload has taken it along.
    far(account.clone()).upload(Vec::new()).await;
}

#[tokio::test]
async fn no_customer_byte_can_be_read_from_what_the_server_writes() {
    let room = Installation::new();
    let account = room.account("canaries");
    let server = room.serve();
    plant(&room, &server, &account).await;
    let assert_none = |when: &str| assert_none(&room, &[MARK, PEER], when);
    assert_none("journal");
    assert!(room.run(&["job", "run", "flush"]).status.success());
    assert_none("parts");
    let found = room.json(&["requests", "search", "--peer", PEER]);
    assert_eq!(found.as_array().map(Vec::len), Some(2), "{found}");
    let client = server.client(&account);
    for n in (0..CANARIES).step_by(5).take(3) {
        client
            .post("/1/delete/profiles.json", json!({"identity": canary(n)}))
            .await;
    }
    assert!(room.run(&["job", "run", "deletion"]).status.success());
    assert_none("after deletions");
    assert!(server.stop().success());
    assert_none("after the end");
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
