//! The published web SDK, unmodified, in a real browser, against the running server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::process::Command;

use crate::client::Client;
use crate::harness::{Account, Installation, Server, peers, text};

/// Runs the browser's story; what it saw.
fn browse(server: &Server, account: &Account, mode: &str) -> Value {
    let output = Command::new("node")
        .arg("tests/clients/web_sdk.mjs")
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

async fn profile(client: &Client, by: &str) -> Value {
    let path = format!("/1/profile.json?{by}");
    client.get(&path).await.body["record"].clone()
}

/// All that is known of a person but for the time zone, which is this machine's.
fn known(record: &Value) -> Value {
    let mut data = record["profileData"].clone();
    data.as_object_mut().unwrap().remove("tz");
    data
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

    // Everything was answered. (The story goes on once nothing is left to be sent again.)
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
    // What was held back while the browser was out is sent once it is another's, beside that one's own.
    assert_eq!(
        (&seen["sentWhileOut"], &seen["sentAfterClear"]),
        (&json!(0), &json!(2))
    );
    // It is not among the values, and none of these two.
    assert_eq!(
        (&seen["sneaked"], &seen["otherTab"]),
        (&json!(200), &json!(200))
    );
    assert_eq!(seen["resent"], json!([200, 200]));
    assert_eq!(seen["pinged"], json!([200]));
    assert_eq!(seen["synced"], "ok");
    assert_eq!(seen["variables"], json!([{}, "hi"]));
    assert_eq!(seen["custom"], "_w_shop:user(1)!@$-x");
    assert_eq!(
        seen["anonymous"], seen["back"],
        "who comes back has the id of before"
    );
    assert_ne!(seen["anonymous"], seen["third"]);
    assert_eq!(
        seen["out"],
        format!("{}:OO", seen["back"].as_str().unwrap())
    );

    // There are no groups: a script says so, and who reads JSON goes on with what it had.
    let asked = json!([{"name": "News", "isUnsubscribed": false}]);
    let is_script = mode == "script" || is_refused;
    let groups = if is_script { json!([]) } else { asked };
    assert_eq!(seen["groups"], groups);
    wishes(&room, &account);
    values(&room, &account, &server).await;
    pages_and_tokens(&room, &account, &seen);
    people(&server.client(&account), &seen).await;
    log(&room, &account);
}

/// In the quarantine is what was said about e-mails, whole, and nothing else.
fn wishes(room: &Installation, account: &Account) {
    let rows = room.query(account, "SELECT source, code, error, body FROM quarantine");
    let mut said = Vec::new();
    for row in &rows {
        assert_eq!((&row["source"], &row["code"]), (&json!("web"), &json!(0)));
        let why = row["error"].as_str().unwrap();
        assert!(why.starts_with("somebody's wish about e-mails"), "{row}");
        let body = STANDARD.decode(row["body"].as_str().unwrap()).unwrap();
        let fields: HashMap<String, String> =
            url::form_urlencoded::parse(&body).into_owned().collect();
        let of_the_link = ["e", "p", "page_type", "encoded"].map(|name| &*fields[name]);
        let sent = ["YUBiLmNj", "eyJwIjoxfQ==", "global", "true"];
        assert_eq!(of_the_link, sent, "{fields:?}");
        let message = wire::web_sdk::decompress_from_base64(&fields["d"]).unwrap();
        let message: Value = serde_json::from_str(&message).unwrap();
        assert_eq!(message["id"], *account.id, "{message}");
        // A choice of groups is in it, or under the key that is in it.
        let is_out = &message["unsubGroups"][0]["isUnsubscribed"];
        let is_there = *is_out == true || message["encrypted"] == true;
        assert!(fields["sub"] != "2" || is_there, "{message}");
        said.push(fields["sub"].clone());
    }
    said.sort_unstable();
    assert_eq!(said, ["0", "1", "2"]);
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
    let mut all = once(&[
        "After Clear",
        "After Login",
        "As Other",
        "As Third",
        "Back In",
        "Before Load",
        "By Custom Id",
        "Charged",
        "Jill again",
        "Notification Clicked",
        "Notification Viewed",
        "Offline",
        "Product Viewed",
        "With Address",
    ]);
    all.insert("Clicked".to_owned(), 2);
    assert_eq!(counts, all);

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
        ("Jill again", 4),
        ("Back In", 5),
        ("Offline", 6),
        ("By Custom Id", 7),
        ("Before Load", 8),
        ("After Clear", 9),
    ] {
        assert_eq!(events(&client, name).await, [json!({"k": k})]);
    }
    assert_eq!(events(&client, "With Address").await, [json!({})]);
    assert_eq!(events(&client, "Clicked").await, [json!({}), json!({})]);
    let shown = room.query(
        account,
        "SELECT name, \"p:wzrk_id\" AS id, \"p:wzrk_pivot\" AS pivot, \"p:wzrk_slideNo\" AS slide, \
         \"p:wzrk_bc\" AS bc FROM events WHERE name LIKE 'Notification%' ORDER BY name",
    );
    let of = |name: &str, slide: Value| {
        json!({
            "name": name, "id": "1700000000_20261001", "pivot": "wzrk_default", "slide": slide, "bc": "x",
        })
    };
    let clicked = of("Notification Clicked", json!(2));
    assert_eq!(shown, [clicked, of("Notification Viewed", Value::Null)]);
}

/// What the browser says of itself and of its pages, and its push token, as they were sent.
fn pages_and_tokens(room: &Installation, account: &Account, seen: &Value) {
    let by = json!({"lib": "web-sdk-v2.5.2", "protocol": "http", "Flutter": 20_300});
    let context = "SELECT context FROM events WHERE name = 'After Login'";
    assert_eq!(room.query(account, context), [json!({"context": by})]);
    let rows = room.query(
        account,
        "SELECT DISTINCT op, value FROM profile_changes \
         WHERE value LIKE '%utm_source%' OR value LIKE '%push-token-1%' ORDER BY op, value",
    );
    let url = |path: &str| format!("{}{path}", seen["origin"].as_str().unwrap());
    let cart = json!({
        "lib": "web-sdk-v2.5.2", "protocol": "http", "Flutter": 20_300,
        "utm_source": "ad", "utm_medium": "cpc", "utm_campaign": "c2",
        "page": url("/cart?utm_source=ad&utm_medium=cpc&utm_campaign=c2"),
    });
    let shop = json!({
        "lib": "web-sdk-v2.5.2", "protocol": "http",
        "utm_source": "news", "utm_medium": "email", "utm_campaign": "c1",
        "page": url("/shop?utm_source=news&utm_medium=email&utm_campaign=c1"),
    });
    let keys = json!({"p256dh": "p", "auth": "a"});
    let token = json!({"id": "push-token-1", "type": "chrome", "keys": keys});
    let said = [("device", cart), ("device", shop), ("token", token)];
    assert_eq!(
        rows,
        said.map(|(op, value)| json!({"op": op, "value": value}))
    );
}

/// Three people on one browser stay three, and browsers of nobody stay nobody's.
async fn people(client: &Client, seen: &Value) {
    let jill = profile(client, "identity=u-42").await;
    assert_eq!(
        (&jill["name"], &jill["email"], &jill["phone"]),
        (
            &json!("Jill"),
            &json!("jill@example.com"),
            &json!("+14155551234")
        ),
        "{jill}"
    );
    // What was known before signing in is hers, and what she removed is gone.
    let data = json!({
        "score": 13, "sizes": ["m", "xl"], "lucky": [7, 21], "Customer Type": "Platinum", "MSG-email": false,
        "DOB": "$D_0", "Gender": "F", "Tier": "$E_gold", "Address": {"City": "Pune", "Floors": [1, 2]},
        "Latitude": 19.07, "Longitude": 72.87, "ct_optout": false,
    });
    assert_eq!(known(&jill), data);
    let mut hers = once(&[
        "After Login",
        "Back In",
        "Charged",
        "Jill again",
        "Notification Clicked",
        "Notification Viewed",
        "Offline",
        "Product Viewed",
        "With Address",
    ]);
    hers.insert("Clicked".to_owned(), 2);
    assert_eq!(did(&jill), hers);
    let other = profile(client, "identity=u-99").await;
    assert_eq!(
        (&other["name"], did(&other)),
        (&json!("Other"), once(&["As Other"]))
    );
    let third = profile(client, "email=third@example.com").await;
    assert_eq!(
        (&third["name"], did(&third)),
        (&json!("Third"), once(&["As Third"]))
    );
    let data = json!({
        "FBID": "f-7", "Gender": "M", "Married": "Y", "Education": "Graduate", "Employed": "Y",
        "DOB": "$D_19470815", "Latitude": 12.97, "Longitude": 77.59,
    });
    assert_eq!(known(&third), data);
    let early = profile(client, "identity=u-5").await;
    assert_eq!(
        (&early["name"], &early["objectId"], did(&early)),
        (&json!("Early"), &seen["early"], once(&["Before Load"]))
    );
    let cleared = seen["afterClear"].as_str().unwrap();
    for (id, event) in [
        (cleared, "After Clear"),
        ("_w_shop%3Auser(1)!%40%24-x", "By Custom Id"),
    ] {
        let nobody = profile(client, &format!("objectId={id}")).await;
        assert_eq!(
            (&nobody["identity"], did(&nobody)),
            (&Value::Null, once(&[event]))
        );
    }

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
    assert_eq!(of("/e", "answered", "127.0.0.0/24"), 4, "{lines:?}");
    let dropped = lines.iter().filter(|it| it["outcome"] == "dropped");
    assert_eq!(dropped.count(), 0, "{lines:?}");
    // Whoever knows the address finds them all, though of most a hash of it is kept.
    let found = |peer: &str| {
        let words = [
            "requests",
            "search",
            "--account",
            &account.id,
            "--peer",
            peer,
        ];
        let words = [&words[..], &["--plane", "collect", "--limit", "10000"]].concat();
        room.json(&words).as_array().map(Vec::len)
    };
    let all: u64 = lines.iter().map(|it| it["n"].as_u64().unwrap()).sum();
    assert_eq!(found("127.0.0.1"), usize::try_from(all).ok());
    assert_eq!(found("127.0.0.2"), Some(0));
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
