//! Disks that are full, and disks that have become read-only: real file systems, one for each volume,
//! in a name space of their own.

use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::client::Client;
use crate::harness::{Account, Installation, Server, say_not_tested, text};

const DISKS: usize = 6;
const DISK_BYTES: u64 = 12 * 1024 * 1024;

/// Six small file systems, and the process that keeps them.
struct Disks {
    keeper: Child,
    folder: tempfile::TempDir,
    /// Whether the name space has users of its own.
    own_users: bool,
}

impl Disks {
    /// None where the system lets nobody make such file systems: that is said aloud.
    fn new() -> Option<Self> {
        let mut why = String::new();
        for (flags, own_users) in [("-rm", true), ("-m", false)] {
            match Self::made_by(flags, own_users) {
                Ok(disks) => return Some(disks),
                Err(error) => why = error,
            }
        }
        say_not_tested("full and read-only disks", &why);
        None
    }

    fn made_by(flags: &str, own_users: bool) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "for i in 1 2 3 4 5 6; do mkdir \"$0/$i\" && \
             mount -t tmpfs -o size={DISK_BYTES},mode=700 disk \"$0/$i\" || exit 1; done; \
             echo ready; exec cat"
        );
        let mut keeper = Command::new("unshare")
            .arg(flags)
            .args(["sh", "-c", &script])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("unshare: {error}"))?;
        let mut said = String::new();
        let out = keeper.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut said).unwrap();
        if said.trim() != "ready" {
            let status = keeper.wait().unwrap();
            return Err(format!("`unshare {flags}` and mount ended with {status}"));
        }
        Ok(Self {
            keeper,
            folder,
            own_users,
        })
    }

    /// What runs the words after it where the disks are.
    fn within(&self) -> Vec<String> {
        let mut words: Vec<String> = ["nsenter", "--mount", "--target"].map(String::from).into();
        words.push(self.keeper.id().to_string());
        if self.own_users {
            words.extend(["--user", "--preserve-credentials"].map(String::from));
        }
        words
    }

    /// Where a disk is for commands within.
    fn path(&self, index: usize) -> PathBuf {
        self.folder.path().join((index + 1).to_string())
    }

    /// Where it is for this process.
    fn seen(&self, index: usize) -> PathBuf {
        let root = format!("/proc/{}/root", self.keeper.id());
        PathBuf::from(root + &self.path(index).display().to_string())
    }

    /// Fills a disk to the last byte.
    fn fill(&self, index: usize) {
        let mut filler = File::create(self.seen(index).join("filler")).unwrap();
        for size in [65_536, 1] {
            while filler.write_all(&vec![0x5a; size]).is_ok() {}
        }
    }

    fn free(&self, index: usize) {
        fs::remove_file(self.seen(index).join("filler")).unwrap();
    }

    /// Mounts a disk anew: `ro` or `rw`.
    fn remount(&self, index: usize, how: &str) {
        let within = self.within();
        let mounted = Command::new(&within[0])
            .args(&within[1..])
            .args(["mount", "-o", &format!("remount,{how}")])
            .arg(self.path(index))
            .status();
        assert!(mounted.unwrap().success());
    }

    fn installation(&self) -> (Installation, Account) {
        let paths: Vec<String> = (0..DISKS)
            .map(|index| self.path(index).display().to_string())
            .collect();
        let arguments: Vec<&str> = paths
            .iter()
            .flat_map(|path| ["--volume", path.as_str()])
            .collect();
        let room = Installation::within(self.within(), &arguments);
        let account = room.account("disks");
        (room, account)
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is what is wanted.
        drop(self.keeper.kill());
        drop(self.keeper.wait());
    }
}

fn events(from: usize, count: usize) -> Vec<Value> {
    (from..from + count)
        .map(|n| json!({"type":"event","identity":format!("u{}", n % 17),"evtName":"E","evtData":{"n":n}}))
        .collect()
}

async fn is_refused(client: &Client, when: &str) {
    let answer = client
        .post("/1/upload", json!({"d": events(900_000, 50)}))
        .await;
    assert_eq!(answer.status, 503, "{when}: {answer:?}");
}

/// Nobody reads personal data without an audit entry, and none can be written.
fn reading_is_refused(room: &Installation, account: &Account, when: &str) {
    let sql = "SELECT count(*) FROM events";
    let refused = room.run(&["query", "--account", &account.id, sql]);
    assert_eq!(refused.status.code(), Some(5), "{when}: {refused:?}");
    let said = text(&refused.stderr);
    assert!(
        said.contains("failed to write the audit log"),
        "{when}: {said}"
    );
}

/// What was acknowledged is there once; what was refused may be there or not.
fn all_there(room: &Installation, account: &Account, count: usize, when: &str) {
    let rows = room.query(
        account,
        r#"SELECT "p:n" AS n FROM events WHERE "p:n" < 900000 ORDER BY 1"#,
    );
    let found: Vec<_> = rows.iter().map(|row| row["n"].as_u64().unwrap()).collect();
    let expected: Vec<_> = (0..count as u64).collect();
    assert_eq!(found, expected, "{when}");
}

fn in_service(room: &Installation) -> usize {
    let status = room.json(&["volume", "status"]);
    let volumes = status["volumes"].as_array().unwrap();
    volumes
        .iter()
        .filter(|volume| volume.to_string().contains("in_service"))
        .count()
}

async fn started() -> Option<(Disks, Installation, Account, Server)> {
    let disks = Disks::new()?;
    let (room, account) = disks.installation();
    let server = room.serve();
    server.client(&account).upload(events(0, 300)).await;
    assert!(room.run(&["job", "run", "flush"]).status.success());
    server.client(&account).upload(events(300, 300)).await;
    Some((disks, room, account, server))
}

#[tokio::test]
async fn full_disks_refuse_uploads_lose_nothing_and_go_on_when_there_is_space() {
    let Some((disks, room, account, server)) = started().await else {
        return;
    };
    let client = server.client(&account);
    (0..DISKS).for_each(|index| disks.fill(index));
    is_refused(&client, "all disks are full").await;
    reading_is_refused(&room, &account, "all disks are full");
    (0..DISKS).for_each(|index| disks.free(index));
    client.upload(events(600, 100)).await;
    all_there(&room, &account, 700, "there is space again");
    assert_eq!(in_service(&room), DISKS);

    // Up to two full disks are nobody's problem; they come back when they have space.
    (1..3).for_each(|index| disks.fill(index));
    client.upload(events(700, 100)).await;
    all_there(&room, &account, 800, "two disks are full");
    assert_eq!(in_service(&room), DISKS - 2);
    disks.fill(5);
    is_refused(&client, "three disks are full").await;
    (1..3).for_each(|index| disks.free(index));
    disks.free(5);
    assert!(room.run(&["job", "run", "maintain"]).status.success());
    client.upload(events(800, 100)).await;
    assert_eq!(in_service(&room), DISKS);

    // A kill and a start on full disks: it may be refused, and loses nothing.
    (0..DISKS).for_each(|index| disks.fill(index));
    is_refused(&client, "all disks are full again").await;
    server.kill();
    match room.serve_by(&[]) {
        Err(status) => assert_eq!(status.code(), Some(5)),
        Ok(server) => is_refused(&server.client(&account), "a start on full disks").await,
    }
    (0..DISKS).for_each(|index| disks.free(index));
    let server = room.serve();
    all_there(&room, &account, 900, "after a start");
    server.client(&account).upload(events(900, 100)).await;
    all_there(&room, &account, 1_000, "written after a start");
    assert!(server.stop().success());
}

#[tokio::test]
async fn read_only_disks_are_out_of_service_until_they_can_be_written_to() {
    let Some((disks, room, account, server)) = started().await else {
        return;
    };
    let client = server.client(&account);
    (0..2).for_each(|index| disks.remount(index, "ro"));
    client.upload(events(600, 100)).await;
    all_there(&room, &account, 700, "two disks are read-only");
    assert_eq!(in_service(&room), DISKS - 2);
    disks.remount(2, "ro");
    is_refused(&client, "three disks are read-only").await;
    reading_is_refused(&room, &account, "three disks are read-only");
    server.kill();
    // Two of them across a start.
    disks.remount(2, "rw");
    let server = room.serve();
    let client = server.client(&account);
    all_there(&room, &account, 700, "after a start");
    client.upload(events(700, 100)).await;
    (0..2).for_each(|index| disks.remount(index, "rw"));
    assert!(room.run(&["job", "run", "maintain"]).status.success());
    assert_eq!(in_service(&room), DISKS);
    all_there(&room, &account, 800, "all can be written to again");
    assert!(server.stop().success());
}
