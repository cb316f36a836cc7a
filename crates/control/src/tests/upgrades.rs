//! Files of every older version, with rows, under today's program.

mod rows;

use model::catalog::Catalog as _;
use model::record::Table;
use model::{AccountId, ErrorKind, Timestamp, WriterId};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::sync::Arc;
use tempfile::TempDir;

use self::rows::{RECEIPT, ROWS, filled};
use super::deletions::person;
use super::parts::part;
use super::support::{self, Faulty, World, columns, dump, dump_session, operator};
use crate::database::Session;
use crate::schema::{self, STEPS, apply, migrate};
use crate::sealer::Sealer;
use crate::{AuditFilter, Control, KeyTable, Origin, objects, verify_receipt};

// The versions that what is told below came with.
const WEB_PAGES: usize = 3;
const PASSCODE_TERMS: usize = 5;
const USERS: usize = 6;
const SIGN_IN: usize = 10;
const USER_PAUSES: usize = 14;
const CLASSES: usize = 15;
const REVEALS: usize = 17;
const CANCELLING: usize = 19;
const CREDENTIAL_USE: usize = 20;
const OPT_OUTS: usize = 21;
const LEDGER_LINES: usize = 22;
const DELETION_WORK: usize = 23;
const REQUEST_RETENTION: usize = 24;

/// An installation that was never upgraded beyond a version.
struct Old {
    world: World,
    store: Arc<Faulty>,
    dir: TempDir,
    session: Session,
    sealer: Sealer,
}

impl Old {
    /// With what each version up to `version` wrote.
    async fn of(version: usize) -> Self {
        let world = World::new(900);
        let store = Faulty::new();
        let keyring = world.shared_keyring();
        let sealer = Sealer::new(&keyring, Arc::clone(&world.random));
        let keys = KeyTable::open(keyring, world.clock(), Arc::clone(&world.random));
        keys.attach(store.clone()).await.unwrap();
        keys.create_person_key_secret(shop()).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let session = Session::open(&dir.path().join("control.db")).await.unwrap();
        let mut old = Self {
            world,
            store,
            dir,
            session,
            sealer,
        };
        // Nobody pulls the plug here.
        old.write("PRAGMA synchronous = OFF").await;
        for reached in 1..=version {
            let random = Arc::clone(&old.world.random);
            apply(&mut old.session, random.as_ref(), &STEPS[..reached])
                .await
                .unwrap();
            old.write(ROWS[reached - 1]).await;
        }
        old
    }

    async fn write(&mut self, rows: &str) {
        sqlx::raw_sql(AssertSqlSafe(filled(&self.sealer, rows)))
            .execute(self.session.connection())
            .await
            .unwrap();
    }

    async fn migrate(&mut self) {
        let random = Arc::clone(&self.world.random);
        migrate(&mut self.session, random.as_ref()).await.unwrap();
    }

    async fn close(self) -> (World, Arc<Faulty>, TempDir) {
        self.session.close().await.unwrap();
        (self.world, self.store, self.dir)
    }
}

fn shop() -> AccountId {
    "SHOP".parse().unwrap()
}

fn id(byte: u8) -> String {
    hex::encode([byte; 16])
}

/// What people and jobs are told of what the file holds: what steps have touched since it was first
/// written, and the newest.
async fn told(control: &Control) -> Value {
    let (by, shop) = (operator(), shop());
    let log = control.audit_log(&by, shop, &AuditFilter::default()).await;
    let view = control.view(None, &Table::ALL).await.unwrap();
    let out = control.opted_out().await.unwrap();
    let rules = control.rules().borrow().account(shop).unwrap().clone();
    let hides =
        |byte: u8| [&rules.suppressed, &rules.doomed].map(|it| it.hides_whole(person(byte)));
    json!({
        "log": log.unwrap(),
        "parts": view.parts,
        "watermarks": view.watermarks,
        "account": control.account(&by, shop).await.unwrap(),
        "accepted": rules.verify_passcode("first passcode").map(|it| &it.name),
        "token": rules.verify_sdk_token("first token", Timestamp::from_ms(0)),
        "users": control.users(&by, shop).await.unwrap(),
        "deletions": control.deletions(&by, shop).await.unwrap(),
        "hidden": (1..=6).map(hides).collect::<Vec<_>>(),
        "ledger": control.ledger(),
        "out": out.iter().map(|it| (it.device, it.is_out, it.at)).collect::<Vec<_>>(),
    })
}

/// What a file of `version` must tell.
fn expected(version: usize) -> Value {
    let (waiting, lines) = (version >= CANCELLING, version >= LEDGER_LINES);
    json!({
        "log": [
            {"account": "SHOP", "sequence": 1, "at": 1000, "actor_kind": "os_user", "actor": "olga",
             "role": "operator", "action": "account.created", "action_id": "SHOP",
             "description": "with a passcode", "outcome": "done", "peer": null},
            {"account": "SHOP", "sequence": 2, "at": 1100, "actor_kind": "passcode",
             "actor": "default", "role": "program", "action": "deletion.requested",
             "action_id": id(0xd1), "description": "1 keys hidden", "outcome": "done",
             "peer": "192.0.2.9"},
        ],
        "parts": [part(1)],
        "watermarks": [[{"node": 1, "start": 3}, 17]],
        "account": account(version),
        "accepted": "default",
        "token": 1,
        "users": held(version, users(version)),
        "deletions": held(version, deletions()),
        // Whether the job of the third one had begun was not written down: it counts as begun.
        "hidden": [[true, true], [false, false], [true, true], [waiting, false], [lines, lines],
                   [lines, false]],
        "ledger": if lines { 5 } else { 3 },
        "out": held(version, vec![(OPT_OUTS, json!([person(0x0d), true, 2200]))]),
    })
}

/// What of these a file of `version` holds, each since its own version.
fn held(version: usize, all: Vec<(usize, Value)>) -> Vec<Value> {
    let held = all.into_iter().filter(|(since, _)| version >= *since);
    held.map(|(_, it)| it).collect()
}

/// `object` with other members.
fn with(mut object: Value, mut more: Value) -> Value {
    let more = more.as_object_mut().unwrap();
    object.as_object_mut().unwrap().append(more);
    object
}

fn account(version: usize) -> Value {
    let has_use = version >= CREDENTIAL_USE;
    let passcode = |name: &str, created: i64, scopes: &str| {
        json!({"name": name, "created_at": created, "revoked_at": null, "used_at": null,
               "scopes": scopes, "expires_at": null, "networks": []})
    };
    let all = "upload,read,personal_information,delete";
    let used = json!({"used_at": has_use.then_some(2000)});
    let revoked = json!({"revoked_at": 2000});
    // What read before there were classes goes on reading everything.
    let reader = passcode("reader", 1200, "upload,read,personal_information");
    let terms = json!({"expires_at": 9000, "networks": ["192.0.2.0/24"]});
    let passcodes = vec![
        (1, with(passcode("default", 1000, all), used)),
        (CLASSES, passcode("later", 1900, "read")),
        (1, with(passcode("old", 1000, all), revoked)),
        (PASSCODE_TERMS, with(reader, terms)),
        (PASSCODE_TERMS, passcode("writer", 1200, "upload")),
    ];
    let first = json!({"number": 1, "created_at": 1000, "ends_at": has_use.then_some(3000),
                       "used_at": has_use.then_some(2100)});
    let second = json!({"number": 2, "created_at": 2000, "ends_at": null, "used_at": null});
    let tokens = vec![(1, first), (CREDENTIAL_USE, second)];
    let reveals = if version >= REVEALS { (2, 20) } else { (5, 50) };
    json!({
        "id": "SHOP", "name": "Shop", "time_zone": "UTC", "created_at": 1000, "uploads_max": 7,
        "calls_max": 2, "retention_days": 400,
        "request_retention_days": (version < REQUEST_RETENTION).then_some(30),
        "reveals": {"per_minute": reveals.0, "per_day": reveals.1},
        "domains": held(version, vec![(WEB_PAGES, json!("shop.example"))]),
        "takes_encrypted": version < WEB_PAGES,
        "passcodes": held(version, passcodes), "sdk_tokens": held(version, tokens),
    })
}

fn users(version: usize) -> Vec<(usize, Value)> {
    let user = |byte: u8, name: &str, email: &str| {
        json!({
            "id": id(byte), "email": email, "name": name, "state": "invited",
            "signed_in_at": null,
            "factors": {"totp": false, "passkeys": 0, "recovery_codes": 0},
            "grants": [{"role": "Desk", "granted_at": 1300, "expires_at": null,
                        "is_pending": false}],
        })
    };
    let mut ann = user(0x0a, "Ann", "ann@shop.example");
    if version >= SIGN_IN {
        let factors = json!({"totp": true, "passkeys": 1, "recovery_codes": 1});
        let proved = json!({"state": "active", "signed_in_at": 1600, "factors": factors});
        ann = with(ann, proved);
    }
    let mut bob = user(0x0b, "Bob", "bob@shop.example");
    if version >= USER_PAUSES {
        bob["state"] = json!("disabled");
    }
    vec![(USERS, ann), (USERS, bob)]
}

fn deletions() -> Vec<(usize, Value)> {
    let whole = |byte: u8| json!({"person": person(byte), "from": null, "to": null});
    let deletion = |byte: u8, requested: i64, more: Value| {
        let pending = json!({
            "id": id(byte), "account": "SHOP", "state": "pending", "revision": 1, "keys": [],
            "requested_at": requested, "started_at": null, "has_begun": true,
            "completed_at": null, "receipt": null, "signed_receipt": null,
        });
        with(pending, more)
    };
    let done = json!({"state": "done", "revision": 2, "keys": [whole(1)], "started_at": 110,
                      "completed_at": 120, "receipt": "{\"rows\":3}"});
    let stretch = json!({"person": person(2), "from": 10, "to": 20});
    let running = json!({"state": "running", "keys": [stretch], "started_at": 210});
    let waiting = json!({"keys": [whole(4)], "has_begun": false});
    let cancelled = json!({"state": "cancelled", "has_begun": false, "completed_at": 510});
    let extended = json!({"keys": [whole(5), whole(6)], "revision": 2});
    let receipt = verify_receipt(RECEIPT, None).receipt.unwrap();
    let signed = json!({"state": "done", "started_at": 710, "completed_at": 720,
                        "receipt": receipt, "signed_receipt": RECEIPT});
    vec![
        (1, deletion(0xd1, 100, done)),
        (1, deletion(0xd2, 200, running)),
        (1, deletion(0xd3, 300, json!({"keys": [whole(3)]}))),
        (CANCELLING, deletion(0xd4, 400, waiting)),
        (CANCELLING, deletion(0xd5, 500, cancelled)),
        (LEDGER_LINES, deletion(0xd6, 600, extended)),
        (DELETION_WORK, deletion(0xd7, 700, signed)),
    ]
}

#[tokio::test]
async fn a_file_of_every_older_version_is_read_with_everything_that_is_in_it() {
    for version in 1..STEPS.len() {
        let (world, store, dir) = Old::of(version).await.close().await;
        let (control, report) = world.open(dir.path(), store).await.unwrap();
        assert_eq!(report.origin, Origin::Local);
        let told = told(&control).await;
        assert_eq!(told, expected(version), "version {version}");
        let writer = control.next_writer().await.unwrap();
        assert_eq!(writer, WriterId { node: 1, start: 4 });
        let new = control.create_account(&operator(), "New", "UTC").await;
        let new = new.unwrap().account_id;
        let new = control.account(&operator(), new).await.unwrap();
        assert_eq!(new.request_retention_days, None, "as configured");
    }
}

#[tokio::test]
async fn steps_leave_every_older_row_as_it_was_but_for_what_they_convert() {
    const CONVERTED: [(&str, &str); 2] = [("passcodes", "scopes"), ("accounts", "sdk_token_hash")];
    for version in 1..STEPS.len() {
        let mut old = Old::of(version).await;
        let mut kept = columns(&mut old.session).await;
        kept.retain(|table, _| table != "settings" && table != "history");
        for (table, column) in CONVERTED {
            kept.get_mut(table).unwrap().retain(|it| it != column);
        }
        let before = support::rows(&mut old.session, &kept).await;
        old.migrate().await;
        let after = support::rows(&mut old.session, &kept).await;
        assert_eq!(after, before, "version {version}");
    }
}

#[tokio::test]
async fn a_second_start_changes_nothing_of_an_upgraded_file() {
    for version in [1, STEPS.len() - 1] {
        let (world, store, dir) = Old::of(version).await.close().await;
        let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
        let upgraded = dump(&control).await;
        drop(control);
        let (control, _) = world.open(dir.path(), store).await.unwrap();
        assert_eq!(dump(&control).await, upgraded, "version {version}");
    }
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_refused_and_left_as_it_is() {
    let mut old = Old::of(STEPS.len() - 1).await;
    old.migrate().await;
    let newer = (STEPS.len() + 1).to_string();
    schema::set(&mut old.session, "schema_version", &newer)
        .await
        .unwrap();
    let before = dump_session(&mut old.session).await;
    let (world, store, dir) = old.close().await;
    let refused = world.open(dir.path(), store.clone()).await;
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let words = error.to_string();
    assert!(words.contains("start that one, or a newer one"), "{words}");
    let path = dir.path().join("control.db");
    let mut session = Session::open(&path).await.unwrap();
    assert_eq!(dump_session(&mut session).await, before);
    let shipped = objects::list(store.as_ref(), "control").await.unwrap();
    assert!(shipped.is_empty(), "{shipped:?}");
}

#[tokio::test]
async fn a_step_that_fails_half_way_leaves_the_version_before_it() {
    const FAILS: &str = "CREATE TABLE half (id BIGINT PRIMARY KEY); INSERT INTO half VALUES (1); \
         UPDATE accounts SET name = 'half'; ALTER TABLE passcodes DROP COLUMN hash; \
         INSERT INTO nowhere VALUES (1)";
    for version in 1..STEPS.len() {
        let mut old = Old::of(version).await;
        let before = dump_session(&mut old.session).await;
        let steps = [&STEPS[..version], &[FAILS][..]].concat();
        let random = Arc::clone(&old.world.random);
        let failed = apply(&mut old.session, random.as_ref(), &steps).await;
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::Unavailable);
        let after = dump_session(&mut old.session).await;
        assert_eq!(after, before, "version {version}");
        old.migrate().await;
    }
}

#[tokio::test]
async fn every_entry_of_long_old_logs_gets_its_leaf() {
    // Together as many as three transactions give leaves to; the second goes from one log to the next.
    const ENTRIES: u64 = 600;
    let mut old = Old::of(1).await;
    let later: AccountId = "SHOP-2".parse().unwrap();
    let earlier = (3..=ENTRIES).map(|number| (shop(), number));
    for (account, number) in earlier.chain((1..=ENTRIES).map(|number| (later, number))) {
        let rows = format!(
            "INSERT INTO audit VALUES ('{account}', {number}, 1200, 'os_user', \
             <hash audit actor|olga>, <seal audit/actor/{account}/{number}|olga>, 'operator', \
             'audit.read', '{account}', <seal audit/description/{account}/{number}|1 entries>, \
             'done', NULL)"
        );
        old.write(&rows).await;
    }
    let (world, store, dir) = old.close().await;
    let (control, _) = world.open(dir.path(), store).await.unwrap();
    for account in [shop(), later] {
        let filter = AuditFilter::default();
        let log = control.audit_log(&operator(), account, &filter).await;
        let numbers: Vec<u64> = log.unwrap().iter().map(|it| it.sequence).collect();
        assert_eq!(numbers, (1..=ENTRIES).collect::<Vec<_>>(), "{account}");
    }
}
