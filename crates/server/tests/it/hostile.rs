//! Bodies that a careless or hostile client sends: the documented answer, flat memory, and nothing
//! of the good records lost.

use serde_json::json;
use std::io::Write as _;

use crate::client::Client;
use crate::harness::{Installation, text};

const GOOD: &str = r#"{"type":"event","identity":"good","evtName":"Good"}"#;

#[tokio::test]
async fn b14_a_bad_record_takes_no_good_one_with_it() {
    let room = Installation::new();
    let account = room.account("hostile");
    let server = room.serve();
    let client = server.client(&account);
    let bad = [
        r#"{"type":"event","identity":"y1","evtName":"E","ts":-62135596800}"#,
        r#"{"type":"event","identity":"y2","evtName":"E","ts":253402300799}"#,
        r#"{"type":"event","identity":"y3","evtName":"E","ts":0}"#,
        r#"{"type":"event","evtName":"E"}"#,
        r#"{"type":"event","identity":"y4"}"#,
        r#"{"type":"other","identity":"y5","evtName":"E"}"#,
        r#"{"type":"event","identity":"y6","evtName":"E","evtData":[1]}"#,
        r#"{"type":"event","identity":"y7","evtName":"App Launched"}"#,
        "7",
        "null",
        "[]",
    ];
    let mut good = 0;
    for record in bad {
        let answer = client
            .post_text("/1/upload", format!(r#"{{"d":[{GOOD},{record},{GOOD}]}}"#))
            .await;
        good += 2;
        assert_eq!(answer.status, 200, "{record}: {answer:?}");
        assert_eq!(answer.body["status"], "partial", "{record}: {answer:?}");
        assert_eq!(answer.body["processed"], 2, "{record}: {answer:?}");
        let echoed = &answer.body["unprocessed"][0]["record"];
        assert_eq!(
            *echoed,
            serde_json::from_str::<serde_json::Value>(record).unwrap()
        );
    }
    assert_eq!(room.count(&account, "SELECT count(*) FROM events"), good);
    let kept = room.count(&account, "SELECT count(*) FROM quarantine");
    assert_eq!(kept, bad.len() as u64);
}

#[tokio::test]
async fn b11_bodies_that_are_not_json_get_the_documented_answer() {
    let room = Installation::new();
    let account = room.account("hostile");
    let server = room.serve();
    let client = server.client(&account);
    let malformed = json!({"status":"fail","error":"Malformed request","code":400});
    let deep = format!(
        r#"{{"d":[{{"type":"event","identity":"x","evtName":"E","evtData":{{"a":{}{}}}}}]}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let bodies: [Vec<u8>; 9] = [
        Vec::new(),
        b"{".to_vec(),
        b"{\"d\":[{\"type\":\"event\",\"identity\":\"x\",\"evtName\":\"E\",\"evtData\":{\"v\":NaN}}]}".to_vec(),
        b"{\"d\":[{\"type\":\"event\",\"identity\":\"\xff\xfe\",\"evtName\":\"E\"}]}".to_vec(),
        b"\xef\xbb\xbf\xef\xbb\xbf{\"d\":[]}".to_vec(),
        "[".repeat(100_000).into_bytes(),
        "{\"a\":".repeat(100_000).into_bytes(),
        deep.into_bytes(),
        b"{\"d\":[] } trailing".to_vec(),
    ];
    for body in bodies {
        let start = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let answer = client.post_text("/1/upload", body).await;
        assert_eq!((answer.status, &answer.body), (400, &malformed), "{start}");
    }
    // Still alive and well.
    client
        .upload(vec![serde_json::from_str(GOOD).unwrap()])
        .await;
    assert_eq!(room.count(&account, "SELECT count(*) FROM events"), 1);
}

#[tokio::test]
async fn b12_duplicate_keys_follow_one_rule_everywhere() {
    let room = Installation::new();
    let account = room.account("hostile");
    let server = room.serve();
    let client = server.client(&account);
    let record =
        r#"{"type":"event","identity":"a","identity":"b","evtName":"E","evtData":{"v":1}}"#;
    let answer = client
        .post_text("/1/upload", format!(r#"{{"d":[{record},{GOOD}]}}"#))
        .await;
    assert_eq!(answer.status, 200);
    let accepted = answer.body["processed"].as_u64().unwrap();
    assert_eq!(
        room.count(&account, "SELECT count(*) FROM events"),
        accepted
    );
    if accepted == 2 {
        // The documented rule names one of the two; every reader must agree on it.
        let (a, b) = (
            client.get("/1/profile.json?identity=a").await.body["record"].is_null(),
            client.get("/1/profile.json?identity=b").await.body["record"].is_null(),
        );
        assert_ne!(a, b);
    }
}

#[tokio::test]
async fn b08_b09_large_bodies_and_bombs_are_refused_with_flat_memory() {
    let room = Installation::new();
    let account = room.account("hostile");
    let server = room.serve();
    let client = server.client(&account);
    client
        .upload(vec![serde_json::from_str(GOOD).unwrap()])
        .await;
    let before = server.peak_memory_bytes();

    // 64 MB with an honest length: refused before it is read.
    let request = client
        .request("POST", "/1/upload")
        .body(vec![b' '; 64 << 20]);
    // An answer, or a connection that is closed while the body is still being sent.
    if let Ok(answer) = Client::send(request).await {
        assert_eq!(answer.status, 413, "{answer:?}");
    }

    // 10 GiB of zeros, as the gzip of a gzip member repeated: 10 MiB on the wire.
    let request = client
        .request("POST", "/1/upload")
        .header("Content-Encoding", "gzip")
        .body(bomb(10 << 30));
    if let Ok(answer) = Client::send(request).await {
        assert_eq!(answer.status, 413, "{answer:?}");
    }
    for encoding in ["gzip, gzip", "br", "zstd", "identity, gzip"] {
        let request = client
            .request("POST", "/1/upload")
            .header("Content-Encoding", encoding);
        let answer = Client::send(request.body("{}")).await.unwrap();
        assert_eq!(answer.status, 415, "{encoding}: {answer:?}");
    }

    client
        .upload(vec![serde_json::from_str(GOOD).unwrap()])
        .await;
    let grown = server.peak_memory_bytes().saturating_sub(before);
    assert!(grown < 128 << 20, "memory grew by {grown} bytes");
    assert_eq!(room.count(&account, "SELECT count(*) FROM events"), 2);
}

/// A gzip stream that unpacks to `length` zeros: members of 64 MiB, one after another.
fn bomb(length: u64) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let member = encoder.finish().unwrap();
    member.repeat(usize::try_from(length / (64 << 20)).unwrap())
}

#[tokio::test]
async fn b14_numbers_come_back_as_sent_or_are_refused() {
    let room = Installation::new();
    let account = room.account("hostile");
    let server = room.serve();
    let client = server.client(&account);
    let digits = "9".repeat(4_096);
    let numbers = [
        "1e400",
        "-1e400",
        "-0",
        "-0.0",
        "9223372036854775808",
        "18446744073709551617",
        "1.0e-999",
        "0.1000000000000000055511151231257827",
        &digits,
    ];
    let mut kept = Vec::new();
    for number in numbers {
        let record = format!(
            r#"{{"type":"event","identity":"u","evtName":"E","evtData":{{"v":{number},"at":{}}}}}"#,
            kept.len()
        );
        let answer = client
            .post_text("/1/upload", format!(r#"{{"d":[{record}]}}"#))
            .await;
        assert!(matches!(answer.status, 200 | 400), "{number}: {answer:?}");
        if answer.body["status"] == "success" {
            kept.push(number);
        }
    }
    assert!(kept.len() >= 6, "{kept:?}");
    let sql = r#"SELECT "p:v" FROM events ORDER BY "p:at""#;
    let output = room.run(&["query", "--account", &account.id, "--json", sql]);
    let printed: String = text(&output.stdout).split_whitespace().collect();
    let expected: Vec<String> = kept
        .iter()
        .map(|number| format!(r#"{{"p:v":{number}}}"#))
        .collect();
    assert_eq!(printed, format!("[{}]", expected.join(",")));
}
