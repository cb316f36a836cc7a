//! What staff see of people, and what is taken back, from the command line.

use serde_json::{Value, json};

use crate::harness::{Account, Installation, strongroom, text};

fn event(identity: &str, what: &str) -> Value {
    json!({"type": "event", "identity": identity, "evtName": "Bought", "evtData": {"What": what}})
}

/// How many events a query sees.
fn seen(room: &Installation, account: &Account) -> u64 {
    room.count(account, "SELECT count(*) AS n FROM events")
}

#[tokio::test]
async fn a_deletion_that_is_cancelled_loses_nothing_that_was_held() {
    let room = Installation::new();
    let account = room.account("shop");
    let server = room.serve();
    let client = server.client(&account);
    client
        .upload(vec![event("ann", "shoe"), event("bob", "hat")])
        .await;
    let job = |name: &str| assert!(room.run(&["job", "run", name]).status.success());
    let of_ann = ["--account", &account.id, "--identity", "ann"];
    let order = || {
        let ordered = room.json(&[&["person", "delete", "--yes"], &of_ann[..]].concat());
        ordered["deletion"].as_str().unwrap().to_owned()
    };
    let id = order();
    assert_eq!(seen(&room, &account), 1);
    // Parts that are written and merged meanwhile hold her.
    job("flush");
    job("compaction");
    client.upload(vec![event("ann", "glove")]).await;
    let cancel = ["person", "cancel-deletion", &id, "--account", &account.id];
    let list = room.json(&cancel);
    assert_eq!(list[0]["state"], "cancelled", "{list}");
    // What came in between was not kept.
    assert_eq!(seen(&room, &account), 2);
    assert!(!room.run(&cancel).status.success());

    let id = order();
    job("deletion");
    assert_eq!(seen(&room, &account), 1);
    let cancel = ["person", "cancel-deletion", &id, "--account", &account.id];
    assert!(!room.run(&cancel).status.success());
    let list = room.json(&["person", "deletions", "--account", &account.id]);
    assert_eq!(list[0]["state"], "done", "{list}");

    let receipt = ["person", "receipt", &id, "--account", &account.id];
    let receipt = text(&room.run(&receipt).stdout);
    let key = room.json(&["audit", "key"]);
    let file = room.root().join("receipt.txt");
    let verify = |receipt: &str| {
        std::fs::write(&file, receipt).unwrap();
        let mut command = strongroom();
        command.args(["person", "verify-receipt", "--json", "--key"]);
        let key = key["key"].as_str().unwrap();
        command.arg(key).arg(&file).output().unwrap()
    };
    let said: Value = serde_json::from_slice(&verify(&receipt).stdout).unwrap();
    assert_eq!(said["holds"], true, "{said}");
    assert_eq!(said["receipt"]["found"]["events"], 1, "{said}");
    let edited = receipt.replace("\"events\":1", "\"events\":0");
    assert_ne!(edited, receipt);
    assert_eq!(verify(&edited).status.code(), Some(1));
    assert!(server.stop().success());
}

#[tokio::test]
async fn classes_filters_and_restrictions_are_set_on_the_host() {
    let room = Installation::new();
    let account = room.account("shop");
    let server = room.serve();
    let client = server.client(&account);
    client
        .upload(vec![event("ann", "shoe"), event("bob", "hat")])
        .await;
    let on_account = ["--account", account.id.as_str()];
    let run = |words: &[&str]| room.json(&[words, &on_account[..]].concat());

    let class = ["dictionary", "class", "What", "free-text", "--of", "event"];
    run(&class);
    let said = run(&["dictionary", "mask", "What", "partial", "--of", "event"]);
    let classes = said["classes"].as_array().unwrap();
    let what = classes.iter().find(|it| it["property"] == "What").unwrap();
    assert_eq!(what["class"], "free_text");
    assert_eq!(what["mask"], "partial");
    assert_eq!(what["is_said"], true);

    let role = ["role", "set", "berlin", "people=read"];
    let made = run(&[&role[..], &["--filter", "City = 'Berlin'"]].concat());
    assert_eq!(made["filter"], "City = 'Berlin'");
    // Without the flag it keeps the one that it has; an empty one takes it away.
    assert_eq!(run(&role)["filter"], "City = 'Berlin'");
    let wrong = [&role[..], &["--filter", "City = Berlin"], &on_account[..]].concat();
    assert!(!room.run(&wrong).status.success());
    let open = run(&[&role[..], &["--filter", ""]].concat());
    assert_eq!(open["filter"], Value::Null);
    let email = "ann@example.com";
    run(&["user", "invite", email, "--role", "member"]);
    let explained = run(&["access", "show", "--user", email]);
    assert_eq!(explained["people_seen"], "all", "{explained}");
    assert_eq!(explained["personal_information"], "masked", "{explained}");

    let quota = room.json(&["account", "reveals", &account.id, "--per-minute", "1"]);
    assert_eq!(quota["reveals_per_minute"], 1);
    assert_eq!(quota["reveals_per_day"], 50);

    let ann = ["--identity", "ann"];
    let restrict = ["person", "restrict", "--reason", "objected"];
    let shown = run(&[&restrict[..], &ann[..]].concat());
    assert_eq!(shown["restricted"], true, "{shown}");
    assert_eq!(seen(&room, &account), 1);
    let found = run(&[&["person", "show"][..], &ann[..]].concat());
    assert_eq!(found["events"]["Bought"]["count"], 1, "{found}");
    let lifted = run(&[&["person", "lift", "--reason", "agreed"][..], &ann[..]].concat());
    assert_eq!(lifted["restricted"], false, "{lifted}");
    assert_eq!(seen(&room, &account), 2);
    let history = run(&[&["person", "restrictions"][..], &ann[..]].concat());
    assert_eq!(history["history"][0]["lift_reason"], "agreed", "{history}");
    assert!(server.stop().success());
}
