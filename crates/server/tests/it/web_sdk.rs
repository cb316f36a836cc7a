//! The published web SDK, unmodified, in a real browser, against the running server.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use crate::client::Client;
use crate::harness::{Account, Installation, Server, peers, text};

/// Runs the browser's story; what it saw.
fn browse(server: &Server, account: &Account, mode: &str) -> Value {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients/web_sdk.mjs");
    let output = Command::new("node")
        .arg(script)
        .env("HOST", server.address("collect").to_string())
        .env("ACCOUNT", &account.id)
        .env("TOKEN", &account.sdk_token)
        .env("MODULES", peers().join("node_modules"))
        .env("MODE", mode)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let out = text(&output.stdout);
    match serde_json::from_str(&out) {
        Ok(seen) => seen,
        Err(error) => panic!("{error} in {out}"),
    }
}

/// The properties of every event of a name, by the REST API.
async fn events(client: &Client, name: &str) -> Vec<Value> {
    let query = json!({"event_name": name, "from": 20_200_101, "to": 20_991_231});
    let records = client.export("/1/events.json", 50, query).await;
    records.iter().map(|it| it["event_props"].clone()).collect()
}

async fn profile(client: &Client, identity: &str) -> Value {
    let path = format!("/1/profile.json?identity={identity}");
    client.get(&path).await.body["record"].clone()
}

/// How often a person did what.
fn did(record: &Value) -> BTreeMap<String, u64> {
    let events = record["events"].as_object().unwrap().iter();
    events
        .map(|(name, it)| (name.clone(), it["count"].as_u64().unwrap()))
        .collect()
}

fn once(names: &[&str]) -> BTreeMap<String, u64> {
    names.iter().map(|name| ((*name).to_owned(), 1)).collect()
}

async fn check(mode: &str, encryption: &str) {
    let room = Installation::new();
    let account = room.account(mode);
    let set = ["account", "encryption", &account.id, "--set", encryption];
    let is_refused = room.json(&set)["takes_encrypted"] == json!(false);
    let server = room.serve();
    let seen = browse(&server, &account, mode);

    // Everything was answered, and nothing is left to be sent again but what was never sent.
    let statuses = seen["statuses"].as_array().unwrap();
    let refused = statuses.iter().filter(|it| **it == 402).count();
    assert_eq!(is_refused, refused > 0, "{statuses:?}");
    assert!(
        statuses
            .iter()
            .all(|it| [200, 402].map(Value::from).contains(it)),
        "{statuses:?}"
    );
    assert_eq!(seen["isFallback"], is_refused, "it goes on without");
    assert_eq!(seen["errors"], json!([]));
    assert_eq!(
        (&seen["left"], &seen["sentWhileOut"]),
        (&json!(1), &json!(0))
    );
    // None of the two is among the values.
    assert_eq!(
        (&seen["sneaked"], &seen["otherTab"]),
        (&json!(200), &json!(200))
    );
    assert_eq!(seen["resent"], json!([200, 200]));
    assert_eq!(seen["synced"], "ok");
    assert_eq!(
        seen["anonymous"], seen["back"],
        "who comes back has the id of before"
    );
    assert_ne!(seen["anonymous"], seen["third"]);
    assert_eq!(
        seen["out"],
        format!("{}:OO", seen["back"].as_str().unwrap())
    );

    values(&room, &account, &server).await;
    people(&server.client(&account), &seen).await;
    log(&room, &account);
}

/// Each event once, nothing of the SDK's own, every value as it was sent.
async fn values(room: &Installation, account: &Account, server: &Server) {
    let rows = room.query(
        account,
        "SELECT name, count(*) AS n FROM events GROUP BY name",
    );
    let counts: BTreeMap<_, _> = rows
        .iter()
        .map(|row| {
            (
                row["name"].as_str().unwrap().to_owned(),
                row["n"].as_u64().unwrap(),
            )
        })
        .collect();
    let names = [
        "After Login",
        "As Other",
        "As Third",
        "Back In",
        "Charged",
        "Jill again",
        "Product Viewed",
        "With Address",
    ];
    assert_eq!(counts, once(&names));
    assert_eq!(room.count(account, "SELECT count(*) FROM quarantine"), 0);

    let client = server.client(account);
    let viewed = json!({
        "Product name": "Café 😀 / +1", "Price": 59.99, "Count": 3, "flag": true,
        "big": 9_007_199_254_740_991_u64, "When": "$D_1700000000", "tags": ["a", "b"],
        "nested": {"a": {"b": 1}},
    });
    assert_eq!(events(&client, "Product Viewed").await, [viewed]);
    let items = json!([{"Category":"Books","Quantity":1},{"Category":"Jewellery","Quantity":2}]);
    let charged = json!({
        "Amount": 300, "Payment mode": "Credit Card", "Charged ID": 24_052_013, "Items": items,
    });
    assert_eq!(events(&client, "Charged").await, [charged]);
    for (name, k) in [
        ("After Login", 1),
        ("As Other", 2),
        ("As Third", 3),
        ("Back In", 5),
    ] {
        assert_eq!(events(&client, name).await, [json!({"k": k})]);
    }
}

/// Three people on one browser stay three.
async fn people(client: &Client, seen: &Value) {
    let jill = profile(client, "u-42").await;
    assert_eq!(
        (&jill["name"], &jill["email"], &jill["phone"]),
        (
            &json!("Jill"),
            &json!("jill@example.com"),
            &json!("+14155551234")
        ),
        "{jill}"
    );
    let data = &jill["profileData"];
    assert_eq!(
        data["score"], 13,
        "what was known before signing in is hers: {jill}"
    );
    assert_eq!(data["sizes"], json!(["m", "l"]), "{jill}");
    assert_eq!(data["Plan"], json!(null), "it was removed: {jill}");
    assert_eq!(data["Customer Type"], "Platinum", "{jill}");
    assert_eq!(data["MSG-email"], false, "{jill}");
    assert_eq!(data["DOB"], "$D_0", "{jill}");
    let hers = [
        "After Login",
        "Back In",
        "Charged",
        "Jill again",
        "Product Viewed",
        "With Address",
    ];
    assert_eq!(did(&jill), once(&hers));
    let other = profile(client, "u-99").await;
    assert_eq!(
        (&other["name"], did(&other)),
        (&json!("Other"), once(&["As Other"]))
    );
    let third = profile(client, "u-7").await;
    assert_eq!(
        (&third["name"], did(&third)),
        (&json!("Third"), once(&["As Third"]))
    );

    // The token went from hand to hand, and is where it was last.
    let device = |record: &Value, id: &Value| -> Value {
        let devices = record["platformInfo"].as_array().unwrap();
        let found = devices.iter().find(|it| it["objectId"] == *id);
        found.cloned().unwrap_or_else(|| panic!("{record}"))
    };
    assert_eq!(
        device(&jill, &seen["back"])["push_token"],
        "push-token-1",
        "{jill}"
    );
    assert_eq!(
        device(&third, &seen["third"])["push_token"],
        json!(null),
        "{third}"
    );
}

/// The log has every request, and one address: of the page that allowed it.
fn log(room: &Installation, account: &Account) {
    let lines = room.query(
        account,
        "SELECT path, outcome, reason, peer, count(*) AS n FROM requests \
         WHERE plane = 'collect' GROUP BY path, outcome, reason, peer",
    );
    let of = |path: &str, outcome: &str, peer: &str| -> u64 {
        let found = lines
            .iter()
            .filter(|it| it["path"] == path && it["outcome"] == outcome && it["peer"] == peer);
        found.map(|it| it["n"].as_u64().unwrap()).sum()
    };
    assert!(of("/a", "answered", "127.0.0.0/24") > 20, "{lines:?}");
    assert_eq!(of("/a", "answered", "127.0.0.1"), 1, "{lines:?}");
    assert_eq!(
        of("/defineVars", "answered", "127.0.0.0/24"),
        1,
        "{lines:?}"
    );
    let dropped = lines.iter().filter(|it| it["outcome"] == "dropped");
    assert_eq!(dropped.count(), 0, "{lines:?}");
}

#[tokio::test]
async fn by_script() {
    check("script", "taken").await;
}

#[tokio::test]
async fn by_fetch_across_origins() {
    check("fetch", "taken").await;
}

#[tokio::test]
async fn encrypted_in_transit() {
    check("encrypted", "taken").await;
}

#[tokio::test]
async fn encrypted_refused_with_fallback() {
    check("encrypted", "refused").await;
}
