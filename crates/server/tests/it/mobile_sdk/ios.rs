//! iOS's forms: the headers and the query string of its requests, the ids that it gives to devices, and what
//! it says of them.

use model::Secret;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::{START, TAKEN, accepted, counts, envelope, event, events, item, opened, phone};
use crate::client::Client;
use crate::harness::{Account, Installation};

const IPHONE: &str = "-0123456789ABCDEF0123456789ABCDEF";
/// An id for advertising.
const ADVERTISING: &str = "EA7583CD-A667-48BC-B806-42ECB2B48606";
/// How older SDKs call a device that has one.
const BY_ADVERTISING: &str = "-gEA7583CDA66748BCB80642ECB2B48606";

/// The request line and headers of a batch.
fn iphone(client: &Client, account: &Account) -> reqwest::RequestBuilder {
    let path = format!("/a1?os=iOS&t=70301&z={}&ts={START}", account.id);
    client
        .anonymous("POST", &path)
        .header("Content-Type", "application/json; charset=utf-8")
        .header("X-CleverTap-Account-Id", &account.id)
        .header("X-CleverTap-Token", &account.sdk_token)
}

/// What is said of app and device, ids for advertising of one user and of several among it.
fn app_fields() -> Value {
    json!({
        "Version": "3.1", "Build": "310", "SDK Version": 70_301, "Make": "Apple", "Model": "iPhone15,3",
        "OS Version": "17.4.1", "OS": "iOS", "Carrier": "x", "useIP": false, "wdt": "2.82", "hgt": "6.11",
        "cc": "in", "locale": "en_IN", "Latitude": 19.07, "Longitude": 72.87, "ifaA": true, "ifaL": false,
        "ifa": ADVERTISING, "mt_ifa": ADVERTISING, "ifv": "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    })
}

fn meta(account: &Account, device: &str) -> Value {
    json!({
        "type": "meta", "g": device, "tk": account.sdk_token, "id": account.id, "af": app_fields(),
        "ddnd": false, "frs": true, "l_ts": 0, "f_ts": 0, "regURLs": ["shop"], "arp": {"j_n": "x"},
        "ref": {"us": "news", "um": "email", "uc": "c1"},
    })
}

/// An object without some of its members.
fn without(mut object: Value, names: &[&str]) -> Value {
    let members = object.as_object_mut().unwrap();
    members.retain(|name, _| !names.contains(&name.as_str()));
    object
}

#[tokio::test]
async fn a_batch_of_ios_is_read_back_as_it_was_sent() {
    let room = Installation::new();
    let account = room.account("ios-batch");
    let server = room.serve();
    let (phone, client) = (phone(&room, &server, &account), server.client(&account));
    let profile = json!({
        // A text that reads as a number is sent as one.
        "Identity": 4711, "Phone": 919_876_543_210_u64, "Name": "Ana", "Email": "ana@example.com", "Gender": "F",
        "Carrier": "x", "cc": "in", "tz": "Asia/Kolkata", "score": {"$incr": 5}, "tags": {"$set": ["a", "b"]},
    });
    let more = json!({"score": {"$decr": 2}, "tags": {"$add": ["c"]}, "old": {"$delete": 1}});
    let token = json!({"action": "register", "id": "apns-1", "type": "apns"});
    let viewed = json!({
        "name": "Caf\u{e9} \u{1f600}", "url": "https://shop.test/a", "price": 59.99, "count": 3, "flag": true,
        "when": "$D_1700000000", "tags": ["a", 1], "nested": {"a": {"b": [1.5]}},
    });
    let body = json!([
        meta(&account, IPHONE),
        event(1, "App Launched", app_fields()),
        event(1, "wzrk_fetch", json!({"t": 0})),
        event(2, "Product Viewed", viewed.clone()),
        item(
            3,
            json!({"type": "page", "us": "news", "um": "email", "referrer": "shop://x", "install": false})
        ),
        item(4, json!({"type": "profile", "profile": profile})),
        item(5, json!({"type": "profile", "profile": more})),
        item(6, json!({"type": "data", "data": token})),
        item(7, json!({"type": "ping", "mc": 120, "nt": "WiFi"})),
        event(
            8,
            "Notification Viewed",
            json!({"wzrk_id": "1_2", "wzrk_cts": START})
        ),
    ]);
    // Slashes are escaped.
    let body = body.to_string().replace('/', "\\/");
    let answer = accepted(iphone(&phone, &account).body(body)).await;
    assert_eq!(answer.text().await.unwrap(), TAKEN);

    let all = json!({"App Launched": 1, "Notification Viewed": 1, "Product Viewed": 1});
    assert_eq!(counts(&room, &account).await, all);
    assert_eq!(room.count(&account, "SELECT count(*) FROM quarantine"), 0);
    let seen = events(&client, "Product Viewed").await;
    assert_eq!(seen[0]["event_props"], viewed);
    assert_eq!(seen[0]["ts"], 20_261_001_000_002_u64);
    let mut said = without(
        app_fields(),
        &["Version", "Make", "Model", "OS Version", "ifa", "mt_ifa"],
    );
    let led = json!({"utm_source": "news", "utm_medium": "email", "utm_campaign": "c1"});
    said.as_object_mut()
        .unwrap()
        .extend(led.as_object().unwrap().clone());
    assert_eq!(seen[0]["session_props"], said);
    let launched = events(&client, "App Launched").await;
    let kept = without(app_fields(), &["ifa", "mt_ifa"]);
    assert_eq!(launched[0]["event_props"], kept);
    let shown = "SELECT \"p:wzrk_id\" AS id, \"p:wzrk_cts\" AS cts FROM events WHERE name = 'Notification Viewed'";
    assert_eq!(
        room.query(&account, shown),
        [json!({"id": "1_2", "cts": START})]
    );

    let ana = client.get("/1/profile.json?identity=4711").await.body["record"].clone();
    let known = ["name", "email", "phone"].map(|it| &ana[it]);
    assert_eq!(known, ["Ana", "ana@example.com", "+919876543210"], "{ana}");
    let data = json!({
        "Gender": "F", "Carrier": "x", "cc": "in", "tz": "Asia/Kolkata", "score": 3, "tags": ["a", "b", "c"],
        "Latitude": 19.07, "Longitude": 72.87,
    });
    assert_eq!(ana["profileData"], data);
    let device = json!({
        "platform": "iOS", "os_version": "17.4.1", "app_version": "3.1", "make": "Apple", "model": "iPhone15,3",
        "push_token": "apns-1", "objectId": IPHONE,
    });
    assert_eq!(ana["platformInfo"], json!([device]));
    let ids = format!("SELECT count(*) FROM profile_changes WHERE value LIKE '%{ADVERTISING}%'");
    assert_eq!(room.count(&account, &ids), 0);
}

#[tokio::test]
async fn an_iphone_whose_body_alone_says_who_it_is() {
    let room = Installation::new();
    let account = room.account("ios");
    let server = room.serve();
    let phone = phone(&room, &server, &account);
    let meta = json!({
        "type": "meta", "tk": account.sdk_token, "g": IPHONE, "id": account.id,
        "af": {"OS Version": "17.4", "Version": "3.0", "Make": "Apple", "Model": "iPhone15,3", "useIP": true},
    });
    let event = json!({"type": "event", "evtName": "Opened", "evtData": {"n": 1.5}, "ep": START, "s": START});
    let token = json!({"type": "data", "pg": 1, "data": {"id": "apns-1", "action": "register", "type": "apns"}});
    let body = json!([meta, event, token]);
    accepted(phone.anonymous("POST", "/a1?os=iOS").body(body.to_string())).await;

    let client = server.client(&account);
    let opened = events(&client, "Opened").await;
    assert_eq!(opened[0]["event_props"], json!({"n": 1.5}));
    assert_eq!(opened[0]["profile"]["objectId"], IPHONE);
    assert_eq!(opened[0]["profile"]["platform"], "iOS", "{opened:?}");
    let shown = client
        .get(&format!("/1/profile.json?objectId={IPHONE}"))
        .await;
    let device = &shown.body["record"]["platformInfo"][0];
    assert_eq!(
        (&device["push_token"], &device["make"]),
        (&json!("apns-1"), &json!("Apple")),
        "{shown:?}"
    );
    let peers = room.query(&account, "SELECT peer FROM requests WHERE path = '/a1'");
    assert_eq!(peers, [json!({"peer": "127.0.0.1"})], "it has allowed it");
}

#[tokio::test]
async fn an_iphone_whose_headers_say_who_it_is() {
    let room = Installation::new();
    let account = room.account("ios-headers");
    let server = room.serve();
    let phone = phone(&room, &server, &account);
    let iphone = |method: &str, path: &str| {
        let request = phone.anonymous(method, path);
        request.header("X-CleverTap-Account-Id", &account.id)
    };
    // It asks where to send without a query string.
    let hello = iphone("GET", "/hello").send().await.unwrap();
    let here = format!("localhost:{}", server.address("collect").port());
    assert_eq!(hello.status().as_u16(), 200);
    assert_eq!(hello.headers()["x-wzrk-rd"], *here);
    assert_eq!(hello.headers()["x-wzrk-spiky-rd"], *here);

    let body = json!([
        {"type": "meta", "g": IPHONE, "af": {"OS Version": "17.4", "Make": "Apple"}},
        {"type": "event", "evtName": "Opened", "evtData": {"n": 1.5}, "ep": START, "s": START},
    ]);
    let send = |token: &str| {
        let path = format!("/a1?os=iOS&t=70000&ts={START}");
        let request = iphone("POST", &path).header("X-CleverTap-Token", token);
        request.body(body.to_string())
    };
    assert!(send("wrong").send().await.is_err(), "it was answered");
    let answer = accepted(send(&account.sdk_token)).await;
    assert_eq!(answer.text().await.unwrap(), TAKEN);
    let opened = events(&server.client(&account), "Opened").await;
    assert_eq!(opened.len(), 1, "{opened:?}");
    assert_eq!(opened[0]["profile"]["objectId"], IPHONE);
    let sources = room.query(&account, "SELECT DISTINCT source FROM events");
    assert_eq!(sources, [json!({"source": "ios"})]);
}

#[tokio::test]
async fn every_id_that_ios_gives_to_a_device_is_the_devices_name() {
    let room = Installation::new();
    let account = room.account("ios-ids");
    let server = room.serve();
    let (phone, client) = (phone(&room, &server, &account), server.client(&account));
    let ids = [
        IPHONE,
        // The vendor's, one after an error, a custom one with all that it may have in it, one for advertising.
        "-v0123456789abcdef0123456789abcdef",
        "-i0123456789abcdef0123456789abcdef",
        "-hShop(1)!:@$_-=|<>;+.9",
        BY_ADVERTISING,
    ];
    for (n, id) in (0..).zip(ids) {
        let body = json!([meta(&account, id), event(n, "Opened", json!({"n": n}))]);
        accepted(iphone(&phone, &account).body(body.to_string())).await;
    }
    let opened = events(&client, "Opened").await;
    let names: BTreeMap<u64, &str> = opened
        .iter()
        .map(|it| {
            (
                it["event_props"]["n"].as_u64().unwrap(),
                it["profile"]["objectId"].as_str().unwrap(),
            )
        })
        .collect();
    let names: Vec<&str> = names.into_values().collect();
    let [plain @ .., called] = names.as_slice() else {
        panic!("{opened:?}");
    };
    assert_eq!(*plain, ids[..4]);
    // The one for advertising is known by another name, and found by either.
    assert!(
        called.starts_with('-') && !called.contains(&BY_ADVERTISING[2..]),
        "{called}"
    );
    for (by, name) in ids.into_iter().zip(&names).chain([(*called, called)]) {
        let encoded: String = by.bytes().map(|it| format!("%{it:02X}")).collect();
        let path = format!("/1/profile.json?objectId={encoded}");
        let shown = client.get(&path).await;
        assert_eq!(shown.body["record"]["objectId"], **name, "{shown:?}");
        assert_eq!(
            shown.body["record"]["events"]["Opened"]["count"], 1,
            "{shown:?}"
        );
    }
}

#[tokio::test]
async fn an_encrypted_batch_says_inside_whose_it_is() {
    let room = Installation::new();
    let account = room.account("ios-encrypted");
    let server = room.serve();
    let phone = phone(&room, &server, &account);
    let key = Secret::new([7; 32]);
    let body = json!([
        meta(&account, IPHONE),
        event(1, "Opened", json!({"n": 1.5}))
    ])
    .to_string();
    let request = phone
        .anonymous("POST", "/a1?os=iOS")
        .header("X-CleverTap-Encryption-Enabled", "true");
    let answer = accepted(request.body(envelope(&key, &body))).await;
    assert_eq!(opened(&key, answer).await, TAKEN);
    let seen = events(&server.client(&account), "Opened").await;
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0]["event_props"], json!({"n": 1.5}));
    assert_eq!(seen[0]["profile"]["objectId"], IPHONE);
}
