//! Bodies that a careless or hostile client sends: the documented answer, flat memory, and nothing
//! of the good records lost.

use serde_json::json;

use crate::client::Client;
use crate::harness::{Account, Installation, Server, gzip, text};
use crate::raw::Door;

/// Bytes that are sent at a time.
const PIECE_BYTES: usize = 16 * 1024;

/// A brotli stream (RFC 7932) of 51 bytes that unpacks to 64 MiB of zeros.
const BROTLI_BOMB: &str = "cfffff7f002400e2b14072effff9ffff0f8004401c1680eefd3fffffff01900088c302d0\
                           bdffcfffff7f001200715800baf7ff";

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
        r#"{"type":"event","identity":"y3","evtName":"E","ts":-1790000000}"#,
        // 2^64 more than a time of today.
        r#"{"type":"event","identity":"y3","evtName":"E","ts":18446744075499551616}"#,
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
    // Nobody can read the one or the other: the record is refused, whatever the spelling or the depth.
    let twice = [
        r#"{"type":"event","identity":"a","identity":"b","evtName":"E"}"#,
        r#"{"type":"event","identity":"a","\u0069dentity":"b","evtName":"E"}"#,
        r#"{"type":"event","identity":"a","evtName":"E","evtData":{"v":1,"v":2}}"#,
        r#"{"type":"event","identity":"a","evtName":"E","evtData":{"o":{"v":1,"\u0076":2}}}"#,
        r#"{"type":"profile","identity":"a","profileData":{"Name":"x","Name":"y"}}"#,
    ];
    for record in twice {
        let answer = client
            .post_text("/1/upload", format!(r#"{{"d":[{record},{GOOD}]}}"#))
            .await;
        assert_eq!(answer.status, 200, "{record}: {answer:?}");
        assert_eq!(answer.body["processed"], 1, "{record}: {answer:?}");
        let code = &answer.body["unprocessed"][0]["code"];
        assert_eq!(code, 512, "{record}: {answer:?}");
    }
    let body = format!(r#"{{"d":[{GOOD}],"d":[{GOOD}]}}"#);
    let answer = client.post_text("/1/upload", body).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let events = room.count(&account, "SELECT count(*) FROM events");
    assert_eq!(events, twice.len() as u64);
    for identity in ["a", "b"] {
        let path = format!("/1/profile.json?identity={identity}");
        let shown = client.get(&path).await;
        assert!(shown.body["record"].is_null(), "{shown:?}");
    }
}

/// A head of an upload with further headers.
pub(crate) fn head(account: &Account, headers: &str) -> String {
    format!(
        "POST /1/upload HTTP/1.1\r\nHost: localhost\r\nX-CleverTap-Account-Id: {}\r\n\
         X-CleverTap-Passcode: {}\r\n{headers}\r\n\r\n",
        account.id, account.passcode
    )
}

fn is_too_large(what: &str, answer: &[u8]) {
    let is_refused = answer.starts_with(b"HTTP/1.1 413 ");
    assert!(is_refused, "{what}: {}", text(answer));
}

/// What was uploaded before and after must be all there is, and memory flat.
async fn is_well(room: &Installation, server: &Server, account: &Account, memory_before: u64) {
    let good = serde_json::from_str(GOOD).unwrap();
    server.client(account).upload(vec![good]).await;
    let grown = server.peak_memory_bytes().saturating_sub(memory_before);
    assert!(grown < 64 << 20, "memory grew by {grown} bytes");
    assert_eq!(room.count(account, "SELECT count(*) FROM events"), 2);
}

#[tokio::test]
async fn b08_a_body_that_is_too_large_is_answered_before_more_than_the_limit_is_read() {
    let room = Installation::new();
    let account = room.account("hostile");
    let server = room.serve();
    let good = serde_json::from_str(GOOD).unwrap();
    server.client(&account).upload(vec![good]).await;
    let before = server.peak_memory_bytes();
    let door = Door::of(&room, &server, "api");

    // 128 MiB with an honest length, and in chunks whose end is not in sight. The answer comes while the
    // body is sent. Some of what is left is read so that it arrives, and then the connection ends.
    let all = 128 << 20;
    let piece = vec![b' '; PIECE_BYTES];
    let chunk = format!("{PIECE_BYTES:x}\r\n{}\r\n", " ".repeat(PIECE_BYTES));
    let length = format!("Content-Length: {all}");
    let cases = [
        (&*length, piece),
        ("Transfer-Encoding: chunked", chunk.into_bytes()),
    ];
    for (headers, piece) in cases {
        let pieces = std::iter::repeat_n(piece, all / PIECE_BYTES);
        let (answer, sent) = door.converse(&head(&account, headers), pieces).await;
        is_too_large(headers, &answer);
        assert!(sent < all, "{headers}: all of it was taken");
    }
    // Before anything is asked, which takes memory, too.
    is_well(&room, &server, &account, before).await;
    let sql = "SELECT size_bytes FROM requests WHERE status = 413 ORDER BY ts, record_id";
    let read = room.query(&account, sql);
    let read: Vec<_> = read.iter().map(|it| it["size_bytes"].as_u64()).collect();
    let [Some(announced), Some(endless)] = read[..] else {
        panic!("two requests, not {read:?}")
    };
    let limit = 16 << 20;
    assert_eq!(announced, 0, "what is announced is not read first");
    assert!(endless <= limit + (64 << 10), "{endless} bytes were read");
}

#[tokio::test]
async fn b09_bombs_are_refused() {
    let room = Installation::new();
    let account = room.account("hostile");
    let server = room.serve();
    let client = server.client(&account);
    let good = serde_json::from_str(GOOD).unwrap();
    client.upload(vec![good]).await;
    let before = server.peak_memory_bytes();
    let door = Door::of(&room, &server, "api");

    // 10 GiB of zeros, as the gzip of a gzip member repeated: 10 MiB on the wire.
    let packed = bomb(10 << 30);
    let headers = format!("Content-Encoding: gzip\r\nContent-Length: {}", packed.len());
    let pieces = packed.chunks(PIECE_BYTES).map(<[u8]>::to_vec);
    let (answer, _) = door.converse(&head(&account, &headers), pieces).await;
    is_too_large("gzip", &answer);

    // What is packed in another way, or twice, is not unpacked at all, whatever it would come to.
    let once = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
    let bombs = [
        ("zstd", once.repeat(160)),
        ("gzip, gzip", gzip(&packed)),
        ("identity, gzip", bomb(1 << 30)),
        ("br", hex::decode(BROTLI_BOMB).unwrap()),
    ];
    for (encoding, bomb) in bombs {
        let request = client
            .request("POST", "/1/upload")
            .header("Content-Encoding", encoding);
        let answer = Client::send(request.body(bomb)).await.unwrap();
        assert_eq!(answer.status, 415, "{encoding}: {answer:?}");
    }
    is_well(&room, &server, &account, before).await;
}

/// A gzip stream that unpacks to `length` zeros: members of 64 MiB, one after another.
fn bomb(length: u64) -> Vec<u8> {
    let member = gzip(&vec![0; 64 << 20]);
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
