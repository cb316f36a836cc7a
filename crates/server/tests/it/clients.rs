//! Published clients, unmodified, against the running server.

use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::client::stamp;
use crate::generate::{Generator, NAMES};
use crate::harness::{Account, Installation, Server, files, peers, text};

/// 2026-09-01T00:00:00Z.
const START: u64 = 1_788_220_800;

fn script(name: &str) -> PathBuf {
    Path::new("tests/clients").join(name)
}

/// Runs the npm client's driver; what each call answered, by its label.
fn node(room: &Installation, server: &Server, account: &Account) -> HashMap<String, Value> {
    let output = Command::new("node")
        .arg(script("node.cjs"))
        .env("URL", format!("https://{}/1", server.address("api")))
        .env("ACCOUNT", &account.id)
        .env("PASSCODE", &account.passcode)
        .env("MODULES", peers().join("node_modules"))
        .env("NODE_EXTRA_CA_CERTS", room.ca())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    let parse = |line: &str| serde_json::from_str::<(String, Value)>(line).ok();
    lines.lines().filter_map(parse).collect()
}

#[test]
fn the_npm_client_uploads_reads_and_deletes() {
    let room = Installation::new();
    let account = room.account("npm");
    let server = room.serve();
    let answers = node(&room, &server, &account);

    assert_eq!(
        answers["upload"],
        json!({"status":"success","processed":3,"unprocessed":[]})
    );
    let many = answers["many"].as_array().unwrap();
    let processed: Vec<_> = many
        .iter()
        .map(|answer| answer["processed"].as_u64().unwrap())
        .collect();
    assert_eq!(processed, [100, 100, 30]);
    let bad = &answers["bad"];
    assert_eq!(
        (&bad["status"], &bad["processed"]),
        (&json!("partial"), &json!(1))
    );
    let codes: Vec<_> = bad["unprocessed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| &record["code"])
        .collect();
    assert_eq!(codes, [513, 515]);
    assert_eq!(answers["tokens"]["status"], "success");

    assert_every_event(&answers);
    assert_every_profile(&answers);
    let events = answers["events"].as_array().unwrap();
    let mut numbers: Vec<_> = events
        .iter()
        .map(|event| event["event_props"]["n"].as_u64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..230).collect::<Vec<_>>());
    assert_eq!(
        answers["profiles count"],
        json!({"count": 230, "status": "success"})
    );
    assert_eq!(
        answers["events count"],
        json!({"count": 230, "status": "success"})
    );

    assert_every_other_call(&answers);
    assert_eq!(answers["delete"], json!({"status": "success"}));
    assert!(
        answers["profile after"]["record"].is_null(),
        "{}",
        answers["profile after"]
    );
    assert_eq!(answers["events after"], json!([]));
}

/// Every event that was sent and not refused is read back, and nothing else is: whose it is, when it was
/// (where it said so) and what it says.
fn assert_every_event(answers: &HashMap<String, Value>) {
    const REFUSED: &str = "Web Page Viewed";
    let sent = answers["sent"].as_array().unwrap().iter();
    let mut expected: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for event in sent.filter(|it| it["type"] == "event") {
        let name = event["evtName"].as_str().unwrap();
        let of_name = expected.entry(name).or_default();
        if name != REFUSED {
            let ts = event["ts"].as_u64().map(stamp);
            of_name.push(json!([
                event["identity"],
                event["objectId"],
                ts,
                event["evtData"]
            ]));
        }
    }
    assert_eq!(expected.len(), 8, "{:?}", expected.keys());
    for (name, mut expected) in expected {
        let is_timed = expected.iter().all(|it| !it[2].is_null());
        let stored = answers[&format!("stored {name}")].as_array().unwrap();
        let mut stored: Vec<Value> = stored
            .iter()
            .map(|it| {
                let (whose, ts) = (&it["profile"], is_timed.then_some(&it["ts"]));
                json!([whose["identity"], whose["objectId"], ts, it["event_props"]])
            })
            .collect();
        stored.sort_by_cached_key(Value::to_string);
        expected.sort_by_cached_key(Value::to_string);
        assert_eq!(stored, expected, "{name}");
    }
}

/// Every property that was sent of a person and not refused is read back, and nothing else is.
fn assert_every_profile(answers: &HashMap<String, Value>) {
    // When the driver's events were.
    const TS: u64 = 1_790_000_000;
    let once = |ts: u64| json!({"count": 1, "first_seen": ts, "last_seen": ts});
    let of = |call: &str| &answers[call]["record"];

    let first = json!({
        "identity": "u1", "name": "Peter", "email": "peter@foo.com", "phone": "+14155551234",
        "profileData": {"Age": 30, "tags": ["a", "b"], "score": 5},
        "events": {"Product Viewed": once(TS), "Ping": once(TS + 1), "Good": once(TS)},
        "platformInfo": [],
    });
    assert_eq!(*of("profile"), first);
    assert_eq!(*of("profile by email"), first);
    assert_eq!(answers["profiles"], json!([first]));

    let id = "-2ce3cca260664f70b82b1c6bb505f462";
    let device = json!({
        "profileData": {}, "events": {"Charged": once(TS)},
        "platformInfo": [{"platform": "iOS", "objectId": id}], "objectId": id,
    });
    assert_eq!(*of("profile by object"), device);
    let token = json!({"platform": "Android", "push_token": "frfrgrgrgrg", "objectId": "__g123"});
    let device = json!({
        "profileData": {}, "events": {}, "platformInfo": [token], "objectId": "__g123",
    });
    assert_eq!(*of("token"), device);

    let mut fifth = json!({
        "identity": "u5", "name": "Five", "phone": "+919213231415",
        "profileData": {"MSG-dndPhone": true}, "events": {"Ping": once(TS + 5)}, "platformInfo": [],
    });
    assert_eq!(*of("unsubscribed"), fifth);
    fifth.as_object_mut().unwrap().remove("phone");
    assert_eq!(*of("disassociated"), fifth);

    let demerged = of("demerged");
    let events = demerged["events"].as_object().unwrap();
    let counts: Vec<_> = events
        .iter()
        .map(|(name, it)| (&**name, &it["count"]))
        .collect();
    assert_eq!(
        counts,
        [("Closed", &json!(1)), ("Identity Reset", &json!(1))]
    );
    let device = json!({
        "profileData": {}, "events": events,
        "platformInfo": [{"platform": "Android", "objectId": "__gdevice6"}], "objectId": "__gdevice6",
    });
    assert_eq!(*demerged, device);
}

/// What the calls of the client answered that neither upload nor export.
fn assert_every_other_call(answers: &HashMap<String, Value>) {
    // The package has no method that is not called.
    let methods = [
        "constructor",
        "delete",
        "demerge",
        "disassociate",
        "events",
        "getEventsCount",
        "getMessageReports",
        "getProfilesCount",
        "profile",
        "profiles",
        "realTimeCounts",
        "subscribe",
        "targets",
        "topPropertyCounts",
        "trends",
        "upload",
        "uploadDeviceTokens",
    ];
    assert_eq!(answers["methods"], json!(methods));

    // How many have done something just now is a matter of when this runs.
    let active = &answers["now"]["count"];
    assert!(active.is_u64(), "{}", answers["now"]);
    let now = json!({"count": active, "status": "success"});
    assert_eq!(answers["now"], now);
    let id = &answers["top"]["req_id"];
    let two = json!({"n": {"INT": {"0": 1, "1": 1}}, "status": "success", "req_id": id});
    assert_eq!(answers["top"], two);
    let (days, id) = (&answers["trends"]["days"], &answers["trends"]["req_id"]);
    let days = json!({"days": days, "status": "success", "req_id": id});
    assert_eq!(answers["trends"], days);
    assert_eq!(answers["trends"]["days"]["20260921"], 230);
    let unknown = json!({"status": "fail", "error": "[\"Invalid event : Nothing\"]", "code": 400});
    assert_eq!(answers["unknown"], unknown);
    let reports = json!({"status": "success", "total_results": 0, "messages": []});
    assert_eq!(answers["reports"], reports);
    for action in ["create", "estimate", "list", "result", "stop"] {
        let answer = &answers[&format!("targets {action}")];
        assert_eq!(answer["code"], 501, "{action}: {answer}");
    }
    let one = json!({"status": "success", "processed": 1, "unprocessed": []});
    for call in [
        "phone",
        "unsubscribe",
        "disassociate",
        "device",
        "later",
        "dry",
    ] {
        assert_eq!(answers[call], one, "{call}");
    }
    assert_eq!(answers["demerge"], json!({"status": "success"}));
}

#[tokio::test]
async fn quickhouse_exports_every_event_that_was_sent() {
    let room = Installation::new();
    let account = room.account("quickhouse");
    let server = room.serve();
    let client = server.client(&account);
    let mut generator = Generator::new(7, START, 0);
    let mut expected: BTreeMap<u64, Value> = BTreeMap::new();
    for _ in 0..4 {
        let mut wanted = Vec::new();
        let body = generator.body(1_000, |truth| {
            if truth.name == 0 {
                wanted.push(truth.number);
            }
        });
        let parsed: Value = serde_json::from_str(&body).unwrap();
        for record in parsed["d"].as_array().unwrap() {
            let number = record["evtData"]["n"].as_u64().unwrap();
            if wanted.contains(&number) {
                expected.insert(number, record.clone());
            }
        }
        assert_eq!(
            client.post_text("/1/upload", body).await.body["processed"],
            1_000
        );
    }

    let out = tempfile::tempdir().unwrap();
    let output = Command::new(peers().join("python/bin/python"))
        .arg(script("quickhouse_export.py"))
        .env("URL", format!("https://{}", server.address("api")))
        .env("ACCOUNT", &account.id)
        .env("PASSCODE", &account.passcode)
        .env("EVENT", NAMES[0])
        .env("FROM", "2026-09-01")
        .env("TO", "2026-11-23")
        .env("OUT", out.path())
        .env("SSL_CERT_FILE", room.ca())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );

    // 2026-11-23 is day 84 of the 93: later events are not asked for.
    let end = START + 84 * 86_400;
    expected.retain(|_, record| record["ts"].as_u64().unwrap() < end);
    let mut exported = BTreeMap::new();
    let tables = files(out.path()).into_iter();
    for path in tables.filter(|path| path.extension().is_some_and(|it| it == "csv")) {
        let mut reader = csv::Reader::from_path(path).unwrap();
        let headers = reader.headers().unwrap().clone();
        let column = |name: &str| headers.iter().position(|header| header == name).unwrap();
        let [identity, ts, props] = ["identity", "ts", "props"].map(column);
        for row in reader.records() {
            let row = row.unwrap();
            let properties: Value = serde_json::from_str(&row[props]).unwrap();
            let number = properties["n"].as_u64().unwrap();
            let at: jiff::Timestamp = row[ts].parse().unwrap();
            let event = (row[identity].to_owned(), at.as_second(), properties);
            assert!(exported.insert(number, event).is_none());
        }
    }
    assert_eq!(exported.len(), expected.len());
    for (number, record) in expected {
        let (identity, ts, properties) = &exported[&number];
        assert_eq!(*identity, record["identity"].as_str().unwrap());
        assert_eq!(*ts, record["ts"].as_i64().unwrap());
        assert_eq!(*properties, record["evtData"]);
    }
}
