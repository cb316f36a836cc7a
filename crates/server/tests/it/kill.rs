//! `kill -9` in the middle of an upload run, and at chosen system calls: what was acknowledged is
//! there, once.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

use crate::client::Client;
use crate::generate::Generator;
use crate::harness::Installation;

const BATCH: usize = 200;
const CONNECTIONS: usize = 8;
const ROUNDS: usize = 3;
/// Acknowledgements after which the server is killed.
const ENOUGH: usize = 60;
/// 2026-08-01T00:00:00Z.
const START: u64 = 1_785_542_400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_record_is_there_once_after_a_kill() {
    let room = Installation::new();
    let account = room.account("killed");
    let mut acknowledged: BTreeSet<u64> = BTreeSet::new();
    let mut sent = 0_u64;
    let mut answered_requests = 0_u64;
    for round in 0..ROUNDS {
        let server = room.serve();
        let client = server.client(&account);
        let (answers, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let uploads: Vec<_> = (0..CONNECTIONS)
            .map(|connection| {
                let first = sent + (connection * 1_000_000) as u64;
                let seed = (round * CONNECTIONS + connection) as u64;
                let (client, answers, enough) =
                    (client.clone(), Arc::clone(&answers), Arc::clone(&enough));
                tokio::spawn(upload_until_cut(
                    client,
                    Generator::new(seed, START, first),
                    move || {
                        if answers.fetch_add(1, Ordering::SeqCst) + 1 == ENOUGH {
                            enough.notify_one();
                        }
                    },
                ))
            })
            .collect();
        sent += (CONNECTIONS * 1_000_000) as u64;
        enough.notified().await;
        server.kill();
        for upload in uploads {
            let batches = upload.await.unwrap();
            answered_requests += batches.len() as u64;
            acknowledged.extend(batches.into_iter().flatten());
        }
        check(&room, &account, &acknowledged);
    }
    let server = room.serve();
    check(&room, &account, &acknowledged);
    let logged = "SELECT count(*) FROM requests WHERE path = '/1/upload' AND status = 200";
    assert!(room.count(&account, logged) >= answered_requests);
    assert!(server.stop().success());
}

/// System calls that change what is on a disk, and at which of them, counted in each thread, the
/// server is killed: early ones meet it in its start, late ones in uploads and the flush.
const CALLS: [(&str, &[u32]); 5] = [
    ("fdatasync", &[2, 9, 25]),
    ("fsync", &[6, 40]),
    ("/^rename", &[3, 20]),
    ("pwrite64", &[12, 20]),
    ("/^unlink", &[8]),
];
/// Batches that each connection sends at most while it waits for the server's end.
const BATCHES_MAX: usize = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_record_is_there_once_after_a_kill_at_any_system_call() {
    let room = Installation::new();
    let account = room.account("killed");
    let mut acknowledged: BTreeSet<u64> = BTreeSet::new();
    // Before the first event there is no column to ask for.
    let server = room.serve();
    let mut generator = Generator::new(0, START, 0);
    let body = generator.body(BATCH, |truth| {
        acknowledged.insert(truth.number);
    });
    let request = server.client(&account).request("POST", "/1/upload");
    let answer = Client::send(request.body(body)).await.unwrap();
    assert_eq!(answer.body["processed"], BATCH, "{answer:?}");
    assert!(server.stop().success());
    let (mut sent, mut killed_starting, mut killed_listening) = (1_000_000_u64, 0, 0);
    for (call, numbers) in CALLS {
        for number in numbers {
            let trace = format!("trace={call}");
            let inject = format!("inject={call}:signal=KILL:when={number}");
            // The server ends with strace, should that end first.
            let strace = [
                ["strace", "-f", "-qq", "-o", "/dev/null"].as_slice(),
                &["-e", &trace, "-e", &inject],
                &["setpriv", "--pdeathsig", "KILL"],
            ]
            .concat();
            let context = format!("{call} {number}");
            match room.serve_by(&strace) {
                Err(status) => {
                    assert_eq!(status.signal(), Some(9), "{context}: {status}");
                    killed_starting += 1;
                }
                Ok(server) => {
                    let client = server.client(&account);
                    let uploads: Vec<_> = (0..2)
                        .map(|connection| {
                            let first = sent + connection * 1_000_000;
                            let generator = Generator::new(first, START, first);
                            tokio::spawn(upload_until_cut(client.clone(), generator, || {}))
                        })
                        .collect();
                    sent += 2_000_000;
                    // Parts are written, and what they replace is deleted, under the same threat.
                    drop(room.run(&["job", "run", "flush"]));
                    let mut met = true;
                    for upload in uploads {
                        let batches = upload.await.unwrap();
                        met &= batches.len() < BATCHES_MAX;
                        acknowledged.extend(batches.into_iter().flatten());
                    }
                    if met {
                        let status = server.ended();
                        assert_eq!(status.signal(), Some(9), "{context}: {status}");
                        killed_listening += 1;
                    } else {
                        println!("{context}: never met");
                        server.kill();
                    }
                }
            }
            println!("{context}: {} acknowledged so far", acknowledged.len());
            check(&room, &account, &acknowledged);
        }
    }
    println!("killed while starting: {killed_starting}, while listening: {killed_listening}");
    assert!(killed_starting > 0 && killed_listening > 2 && acknowledged.len() > 20 * BATCH);
    let server = room.serve();
    check(&room, &account, &acknowledged);
    assert!(server.stop().success());
}

/// Uploads batch after batch until the server is gone; returns the numbers in each acknowledged one.
async fn upload_until_cut(
    client: Client,
    mut generator: Generator,
    acknowledged: impl Fn(),
) -> Vec<Vec<u64>> {
    let mut batches = Vec::new();
    while batches.len() < BATCHES_MAX {
        let mut numbers = Vec::with_capacity(BATCH);
        let body = generator.body(BATCH, |truth| numbers.push(truth.number));
        let request = client.request("POST", "/1/upload").body(body);
        match Client::send(request).await {
            Ok(answer) if answer.status == 200 => {
                assert_eq!(answer.body["processed"], BATCH, "{answer:?}");
                batches.push(numbers);
                acknowledged();
            }
            Ok(answer) => assert_eq!(answer.status, 503, "{answer:?}"),
            Err(_) => return batches,
        }
    }
    batches
}

fn check(room: &Installation, account: &crate::harness::Account, acknowledged: &BTreeSet<u64>) {
    let rows = room.query(
        account,
        r#"SELECT "p:n" AS n, count(*) AS times FROM events GROUP BY 1"#,
    );
    let found: BTreeMap<u64, u64> = rows
        .iter()
        .map(|row| (row["n"].as_u64().unwrap(), row["times"].as_u64().unwrap()))
        .collect();
    let doubled: Vec<_> = found
        .iter()
        .filter(|(_, times)| **times != 1)
        .take(5)
        .collect();
    assert!(doubled.is_empty(), "doubled: {doubled:?}");
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|n| !found.contains_key(n))
        .take(5)
        .collect();
    assert!(lost.is_empty(), "lost: {lost:?} of {}", acknowledged.len());
    assert_eq!(
        found.len() % BATCH,
        0,
        "a batch is stored whole or not at all"
    );
}
