//! What a server learns of names while records pass, and what it says was wrong with them.

use serde_json::{Value, json};

use crate::harness::{Account, Installation};

fn list(room: &Installation, account: &Account, what: &str) -> Vec<Value> {
    let listed = room.json(&[what, "list", "--account", &account.id]);
    listed.as_array().unwrap().clone()
}

fn names(room: &Installation, account: &Account) -> Vec<(String, u64, Value)> {
    let listed = list(room, account, "dictionary");
    let name = |it: &Value| {
        let part = |of: &str| it[of].as_str().unwrap_or("-").to_owned();
        format!("{}/{}", part("event"), part("property"))
    };
    let shown = listed
        .iter()
        .map(|it| (name(it), it["count"].as_u64().unwrap(), it["kinds"].clone()));
    shown.collect()
}

fn errors(room: &Installation, account: &Account) -> Vec<(String, String, u64)> {
    let listed = list(room, account, "errors");
    let mut shown: Vec<_> = listed
        .iter()
        .map(|it| {
            let part = |of: &str| it[of].as_str().unwrap_or("-").to_owned();
            let name = format!("{}/{}", part("event"), part("property"));
            (part("error"), name, it["count"].as_u64().unwrap())
        })
        .collect();
    shown.sort_unstable();
    shown
}

/// What is wrong with the first upload, sent so often.
fn wrong(times: u64) -> Vec<(String, String, u64)> {
    let named = |error: &str, name: &str| (error.to_owned(), name.to_owned(), times);
    vec![
        named("event_name_reserved", "-/-"),
        named("property_key_characters", "Viewed/bad.key"),
    ]
}

#[tokio::test]
async fn names_are_counted_once_before_and_after_they_reach_parts() {
    let room = Installation::new();
    let account = room.account("shop");
    let server = room.serve();
    let client = server.client(&account);
    let upload = async |body: Value| {
        let answer = client.post("/1/upload", body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    let event = |name: &str, data: Value| json!({"type": "event", "identity": "u1", "evtName": name, "evtData": data});
    let flush = || assert!(room.run(&["job", "run", "flush"]).status.success());
    let first = json!({"d": [
        event("Viewed", json!({"price": 1, "when": "$D_1790000000"})),
        event("Viewed", json!({"price": 2.5, "bad.key": [1]})),
        {"type": "profile", "identity": "u1", "profileData": {"Email": "a@b.cd", "plan": "gold"}},
        event("Web Page Viewed", json!({})),
    ]});
    upload(first).await;
    let expected = |times: u64| {
        let kinds = |of: &[(&str, u64)]| -> Value {
            of.iter()
                .map(|(kind, n)| ((*kind).to_owned(), json!(n * times)))
                .collect()
        };
        vec![
            ("Viewed/-".to_owned(), 2 * times, kinds(&[])),
            ("Viewed/bad.key".to_owned(), times, kinds(&[("list", 1)])),
            (
                "Viewed/price".to_owned(),
                2 * times,
                kinds(&[("float", 1), ("integer", 1)]),
            ),
            ("Viewed/when".to_owned(), times, kinds(&[("date", 1)])),
            ("-/Email".to_owned(), times, kinds(&[("text", 1)])),
            ("-/plan".to_owned(), times, kinds(&[("text", 1)])),
        ]
    };
    assert_eq!(names(&room, &account), expected(1));
    assert_eq!(errors(&room, &account), wrong(1));
    flush();
    assert_eq!(names(&room, &account), expected(1));
    assert_eq!(errors(&room, &account), wrong(1));
    assert_eq!(names(&room, &room.account("other")), []);

    // The second time a part, a journal and another kind of value stand beside one another.
    let know = ["dictionary", "define", "Viewed", "--property", "price"];
    room.json(&[&know[..], &["--account", &account.id]].concat());
    let policy = ["dictionary", "policy", "--properties", "drop-property"];
    room.json(&[&policy[..], &["--account", &account.id]].concat());
    let second = json!({"d": [event("Viewed", json!({"price": "dear", "other": 1})), event("New", json!({}))]});
    upload(second).await;
    let found = errors(&room, &account);
    for (error, name) in [
        ("property_type_mismatch_accepted", "Viewed/price"),
        ("property_undefined_dropped", "Viewed/other"),
        ("event_undefined_accepted", "New/-"),
    ] {
        let wanted = (error.to_owned(), name.to_owned(), 1);
        assert!(found.contains(&wanted), "{error}: {found:?}");
    }
    let before = (names(&room, &account), found);
    drop(server);
    let server = room.serve();
    flush();
    assert_eq!((names(&room, &account), errors(&room, &account)), before);
    let schema = server
        .client(&account)
        .get("/getSchema?type=events")
        .await
        .body;
    let viewed = &schema["events"][1];
    assert_eq!(
        (&viewed["name"], &viewed["eventCount"]),
        (&json!("Viewed"), &json!(3))
    );
    let price = json!({"name": "price", "type": "integer", "count": 3});
    assert!(
        viewed["properties"].as_array().unwrap().contains(&price),
        "{schema}"
    );
    let people = server
        .client(&account)
        .get("/getSchema?type=userProperties")
        .await
        .body;
    let plan = json!({"name": "plan", "type": "text", "count": 1});
    assert!(
        people["userProperties"].as_array().unwrap().contains(&plan),
        "{people}"
    );
    // A sample of what was refused is in the quarantine under its id.
    let listed = list(&room, &account, "errors");
    let refused = listed
        .iter()
        .find(|it| it["error"] == "event_name_reserved")
        .unwrap();
    let id = refused["sample"].as_str().unwrap();
    let shown = room.json(&["quarantine", "show", "--account", &account.id, id]);
    assert_eq!(shown["code"], 513, "{shown}");
}

#[tokio::test]
async fn a_discarded_event_of_the_system_is_taken_again_once_it_is_forgotten() {
    let room = Installation::new();
    let account = room.account("shop");
    let server = room.serve();
    let client = server.client(&account);
    let say = |verb: &str| room.json(&["dictionary", verb, "Charged", "--account", &account.id]);
    let charged =
        json!({"type": "event", "identity": "u1", "evtName": "Charged", "evtData": {"Amount": 3}});
    let body = json!({"d": [charged]});
    say("discard");
    let refused = client.post("/1/upload", body.clone()).await;
    assert_eq!(refused.body["unprocessed"][0]["code"], 528, "{refused:?}");
    say("forget");
    let taken = client.post("/1/upload", body).await;
    assert_eq!(taken.body["processed"], 1, "{taken:?}");
}

#[tokio::test]
async fn what_is_declared_holds_in_every_dialect_and_is_told() {
    let room = Installation::new();
    let account = room.account("shop");
    let server = room.serve();
    let client = server.client(&account);
    let say = |words: &[&str]| {
        let whose = ["--account", &account.id];
        room.json(&[&["dictionary"], words, &whose].concat())
    };
    say(&[
        "property",
        "sum",
        "--event",
        "Paid",
        "--kind",
        "number",
        "--mandatory",
    ]);
    say(&["property", "note", "--event", "Paid", "--kind", "text"]);
    say(&["property", "points", "--people", "--kind", "number"]);
    let said = say(&[
        "policy",
        "--mismatches",
        "drop-property",
        "--profile",
        "drop",
        "--profile-mismatches",
        "drop",
    ]);
    let sum = json!({"name": "sum", "kind": "number", "is_mandatory": true});
    assert_eq!(said["events"][0]["properties"][1], sum, "{said}");
    assert_eq!(said["profile"][0]["name"], "points", "{said}");
    let paid = |data: Value| json!({"type": "event", "identity": "u1", "evtName": "Paid", "evtData": data});
    let body = json!({"d": [
        paid(json!({"sum": 1.5, "note": "a", "other": 1})),
        paid(json!({"sum": 2, "note": 7})),
        paid(json!({"sum": "2"})),
        paid(json!({"note": "b"})),
        {"type": "profile", "identity": "u1", "profileData": {"points": 3, "plan": "gold", "Name": "Ann"}},
        {"type": "profile", "identity": "u1", "profileData": {"points": "many"}},
    ]});
    let answer = client.post("/1/upload", body).await;
    assert_eq!(answer.body["processed"], 4, "{answer:?}");
    let refused = answer.body["unprocessed"].as_array().unwrap();
    let codes: Vec<_> = refused.iter().map(|it| it["code"].as_u64()).collect();
    assert_eq!(codes, [Some(528), Some(528)], "{answer:?}");
    let sql = r#"SELECT "p:sum", "p:note", "p:other" FROM events ORDER BY record_id"#;
    let kept = room.json(&["query", "--account", &account.id, sql]);
    let kept: Vec<_> = kept
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            (
                it["p:sum"].as_f64(),
                it["p:note"].as_str(),
                it["p:other"].as_i64(),
            )
        })
        .collect();
    let expected = [(Some(1.5), Some("a"), Some(1)), (Some(2.0), None, None)];
    assert_eq!(kept, expected);
    let person = room.json(&[
        "person",
        "show",
        "--account",
        &account.id,
        "--identity",
        "u1",
    ]);
    let shown = person.to_string();
    assert!(
        shown.contains("Ann") && shown.contains("\"points\":3"),
        "{shown}"
    );
    assert!(
        !shown.contains("gold") && !shown.contains("many"),
        "{shown}"
    );
    let found = errors(&room, &account);
    for (error, name, count) in [
        ("property_missing", "-/-", 2),
        ("property_type_mismatch_dropped", "Paid/note", 1),
        ("property_undefined_accepted", "Paid/other", 1),
        ("profile_undefined_dropped", "-/plan", 1),
        ("profile_type_mismatch_dropped", "-/points", 1),
    ] {
        let wanted = (error.to_owned(), name.to_owned(), count);
        assert!(found.contains(&wanted), "{wanted:?}: {found:?}");
    }
}
