//! A million generated events go in; what comes out is the truth.

use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use crate::client::stamp;
use crate::generate::{Generator, NAMES, Truth};
use crate::harness::Installation;

const EVENTS: usize = 1_000_000;
const BATCH: usize = 1_000;
const CONNECTIONS: usize = 8;
/// 2026-08-01T00:00:00Z.
const START: u64 = 1_785_542_400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_events_are_counted_and_exported_as_the_truth_says() {
    let room = Installation::new();
    let account = room.account("million");
    let server = room.serve();
    let client = server.client(&account);

    let truths = Arc::new(Mutex::new(Vec::with_capacity(EVENTS)));
    let uploads = (0..CONNECTIONS).map(|connection| {
        let (client, truths) = (client.clone(), Arc::clone(&truths));
        tokio::spawn(async move {
            let share = EVENTS / CONNECTIONS;
            let mut generator =
                Generator::new(connection as u64, START, (connection * share) as u64);
            for _ in 0..share / BATCH {
                let mut batch = Vec::with_capacity(BATCH);
                let body = generator.body(BATCH, |truth| batch.push(truth));
                let answer = client.post_text("/1/upload", body).await;
                assert_eq!(answer.body["processed"], BATCH, "{answer:?}");
                truths.lock().unwrap().extend(batch);
            }
        })
    });
    for upload in uploads.collect::<Vec<_>>() {
        upload.await.unwrap();
    }
    let truths = Arc::into_inner(truths).unwrap().into_inner().unwrap();
    assert_eq!(truths.len(), EVENTS);

    // Of ingest with flushes beside it; queries have a bound of their own.
    assert!(
        server.peak_memory_bytes() < 512 << 20,
        "{} bytes",
        server.peak_memory_bytes()
    );

    let mut expected: BTreeMap<(String, String), u64> = BTreeMap::new();
    for truth in &truths {
        *expected
            .entry((NAMES[truth.name].to_owned(), day(truth.ts)))
            .or_default() += 1;
    }
    let rows = room.query(
        &account,
        "SELECT name, to_char(ts, '%Y-%m-%d') AS day, count(*) AS events FROM events GROUP BY 1, 2",
    );
    let counted: BTreeMap<_, _> = rows
        .iter()
        .map(|row| {
            let text = |field: &str| row[field].as_str().unwrap().to_owned();
            ((text("name"), text("day")), row["events"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(counted, expected);

    // One day of the most frequent event, record by record.
    let chosen = START + 40 * 86_400;
    let wanted: HashMap<u64, Truth> = truths
        .iter()
        .filter(|truth| truth.name == 0 && truth.ts / 86_400 == chosen / 86_400)
        .map(|truth| (truth.number, *truth))
        .collect();
    assert!(wanted.len() > 500, "{}", wanted.len());
    let date: u64 = day(chosen).replace('-', "").parse().unwrap();
    let query = json!({"event_name": NAMES[0], "from": date, "to": date});
    let records = client.export("/1/events.json", 500, query.clone()).await;
    assert_eq!(records.len(), wanted.len());
    let mut seen = HashMap::new();
    for record in &records {
        let number = record["event_props"]["n"].as_u64().unwrap();
        assert!(seen.insert(number, record).is_none(), "{number} came twice");
        let truth = wanted[&number];
        assert_eq!(
            record["profile"]["identity"],
            format!("customer-{:06}", truth.person)
        );
        assert_eq!(record["ts"].as_u64().unwrap(), stamp(truth.ts));
    }
    // Every property of every record, as generated.
    let properties = generated_properties(&wanted);
    for (number, record) in seen {
        assert_eq!(record["event_props"], properties[&number]);
    }

    let count = client.post("/1/counts/events.json", query).await;
    assert_eq!(
        count.body,
        json!({"count": wanted.len(), "status": "success"})
    );
    let uploads = "SELECT count(*) FROM requests WHERE path = '/1/upload' AND status = 200";
    assert_eq!(room.count(&account, uploads), (EVENTS / BATCH) as u64);
    let reads = "SELECT count(*) FROM requests WHERE path = '/1/events.json' AND status = 200";
    assert!(room.count(&account, reads) >= 3);
    assert!(server.stop().success());
}

/// Generates everything again and keeps the properties of the events wanted.
fn generated_properties(wanted: &HashMap<u64, Truth>) -> HashMap<u64, Value> {
    let share = EVENTS / CONNECTIONS;
    let mut properties = HashMap::new();
    for connection in 0..CONNECTIONS {
        let mut generator = Generator::new(connection as u64, START, (connection * share) as u64);
        let mut record = String::new();
        for _ in 0..share {
            record.clear();
            let truth = generator.write(&mut record);
            if wanted.contains_key(&truth.number) {
                let record: Value = serde_json::from_str(&record).unwrap();
                properties.insert(truth.number, record["evtData"].clone());
            }
        }
    }
    properties
}

/// `YYYY-MM-DD` of a second, in UTC.
fn day(seconds: u64) -> String {
    jiff::Timestamp::from_second(seconds as i64)
        .unwrap()
        .strftime("%Y-%m-%d")
        .to_string()
}
