//! What Android's and iOS's SDKs send, replayed through TLS: their headers, query strings and bodies.

mod again;
mod ios;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Secret;
use reqwest::Response;
use serde_json::{Value, json};

use crate::canary::{MARK, assert_none, canary};
use crate::client::{Client, stamp};
use crate::harness::{Account, Installation, Server};

const ANDROID: &str = "__0123456789abcdef0123456789abcdef";
/// The answer to a batch where the account wants every event.
const TAKEN: &str = r#"{"arp":{"d_e":[]}}"#;
/// 2026-10-01T00:00:00Z.
const START: u64 = 1_790_812_800;

/// A client of the collect plane.
fn phone(room: &Installation, server: &Server, account: &Account) -> Client {
    Client::new(server.address("collect"), &room.ca(), account.clone())
}

/// Android's request line and headers.
fn android(client: &Client, account: &Account) -> reqwest::RequestBuilder {
    let path = format!("/a1?os=Android&t=70500&z={}&ts={START}", account.id);
    client
        .anonymous("POST", &path)
        .header("Content-Type", "application/json; charset=utf-8")
        .header("X-CleverTap-Account-ID", &account.id)
        .header("X-CleverTap-Token", &account.sdk_token)
}

/// An item of the batch, made `n` seconds after the start.
fn item(n: u64, mut item: Value) -> Value {
    let more = json!({"s": START, "pg": 1, "ep": START + n, "f": true, "lsl": 0, "dsync": false, "n": "Home"});
    item.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    item
}

/// As [`item`], an event.
fn event(n: u64, name: &str, data: Value) -> Value {
    item(
        n,
        json!({"type": "event", "evtName": name, "evtData": data}),
    )
}

/// A batch of Android's with every type of item: what it does first, and after signing in.
fn batch(account: &Account) -> Value {
    let meta = json!({
        "type": "meta", "g": ANDROID, "id": account.id, "tk": account.sdk_token, "l_ts": 0, "f_ts": 0,
        "ref": {"us": "google-play", "um": "organic"},
        "ct_pi": "Identity,Email", "ddnd": false, "rtl": [], "rct": 0, "ait": 0, "frs": true, "fl": true,
        "af": {"Build": "42", "Version": "1.4.2", "OS Version": "14", "SDK Version": 70_500,
            "Make": "Fairphone", "Model": "FP5", "Carrier": "x", "useIP": false, "OS": "Android",
            "wdt": 2.81, "hgt": 6.1, "dpi": 400, "dt": 1, "locale": "en_IN", "cc": "in",
            "GoogleAdID": "38400000-8cf0-11bd-b23e-10b96e40000d", "GoogleAdIDLimit": false},
    });
    json!([
        meta,
        event(
            1,
            "App Launched",
            json!({"Install": "y", "GoogleAdID": "38400000-8cf0-11bd-b23e-10b96e40000d"})
        ),
        event(1, "wzrk_fetch", json!({"t": 0})),
        event(2, "Tap", json!({"button": "buy"})),
        event(2, "Tap", json!({"button": "buy"})),
        event(
            3,
            "Product Viewed",
            json!({
                "name": "Caf\u{e9} \u{1f600}", "price": 59.99, "count": 3, "flag": true, "long": 9_007_199_254_740_993_u64,
                "when": "$D_1700000000", "tags": ["a", 1, true], "nested": {"a": {"b": null}},
            })
        ),
        item(
            4,
            json!({"type": "profile", "profile": {
                "Identity": "u-1", "Name": "Ana", "Email": "ana@example.com", "Phone": "+919876543210",
                "Gender": "F", "Carrier": "x", "cc": "in", "tz": "Asia/Kolkata", "score": {"$incr": 5},
                "tags": {"$set": ["a", "b"]},
            }})
        ),
        item(
            5,
            json!({"type": "profile", "profile": {"score": {"$decr": 2}, "tags": {"$add": ["c"]}}})
        ),
        item(
            6,
            json!({"type": "data", "data": {"action": "register", "id": "fcm-1", "type": "fcm"}})
        ),
        item(7, json!({"type": "ping", "mc": 120, "nt": "WiFi"})),
        item(8, json!({"type": "page"})),
        event(
            9,
            "Charged",
            json!({"Amount": 300, "Items": [{"c": "Books"}, {"c": "Toys"}]})
        ),
    ])
}

/// A body as encryption in transit has it.
fn envelope(key: &Secret<[u8; 32]>, body: &str) -> String {
    let sealed = seal::transit::seal(key, [1; 12], body.as_bytes()).unwrap();
    json!({
        "itp": STANDARD.encode(sealed), "itk": STANDARD.encode(key.expose()), "itv": STANDARD.encode([1; 12]),
    })
    .to_string()
}

/// What an answer says under the key of its request.
async fn opened(key: &Secret<[u8; 32]>, answer: Response) -> String {
    assert_eq!(answer.headers()["x-clevertap-encryption-enabled"], "true");
    let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    let bytes = |name: &str| STANDARD.decode(answer[name].as_str().unwrap()).unwrap();
    let nonce = bytes("itv").try_into().unwrap();
    let text = seal::transit::open(key, nonce, &bytes("itp")).unwrap();
    String::from_utf8(text).unwrap()
}

/// The protocol takes nothing but 200 for a success, and a domain for a reason to send again.
async fn accepted(request: reqwest::RequestBuilder) -> Response {
    let response = request.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200, "{response:?}");
    assert!(
        !response.headers().contains_key("x-wzrk-rd"),
        "{response:?}"
    );
    response
}

async fn events(client: &Client, name: &str) -> Vec<Value> {
    let query = json!({"event_name": name, "from": 20_200_101, "to": 20_991_231});
    client.export("/1/events.json", 50, query).await
}

async fn counts(room: &Installation, account: &Account) -> Value {
    let rows = room.query(
        account,
        "SELECT name, count(*) AS n FROM events GROUP BY name ORDER BY name",
    );
    let counts = rows
        .iter()
        .map(|it| (it["name"].as_str().unwrap().to_owned(), it["n"].clone()));
    Value::Object(counts.collect())
}

#[tokio::test]
async fn a_batch_of_androids_is_read_back_as_it_was_sent() {
    let room = Installation::new();
    let account = room.account("android");
    let server = room.serve();
    let (phone, client) = (phone(&room, &server, &account), server.client(&account));

    let hello = phone.anonymous(
        "GET",
        &format!("/hello?os=Android&t=70500&z={}", account.id),
    );
    let hello = hello.send().await.unwrap();
    let here = format!("localhost:{}", server.address("collect").port());
    assert_eq!(hello.status().as_u16(), 200);
    assert_eq!(hello.headers()["x-wzrk-rd"], *here);
    assert_eq!(hello.headers()["x-wzrk-spiky-rd"], *here);

    let body = batch(&account);
    let answer = accepted(android(&phone, &account).body(body.to_string())).await;
    assert_eq!(answer.text().await.unwrap(), TAKEN);

    let items = [
        ("Tap", &[3_usize, 4][..]),
        ("Product Viewed", &[5][..]),
        ("Charged", &[11][..]),
    ];
    for (name, items) in items {
        let read = events(&client, name).await.into_iter();
        let read: Vec<_> = read
            .map(|it| json!([it["event_props"], it["ts"]]))
            .collect();
        let sent = items.iter().map(|item| &body[*item]);
        let sent: Vec<_> = sent
            .map(|it| json!([it["evtData"], stamp(it["ep"].as_u64().unwrap())]))
            .collect();
        assert_eq!(read, sent, "{name}");
    }
    let viewed = events(&client, "Product Viewed").await;
    let profile = &viewed[0]["profile"];
    assert_eq!(profile["objectId"], ANDROID, "{profile}");
    let app = ["platform", "os_version", "app_version", "make", "model"].map(|it| &profile[it]);
    assert_eq!(
        app,
        ["Android", "14", "1.4.2", "Fairphone", "FP5"],
        "{profile}"
    );
    let session = json!({
        "Build": "42", "SDK Version": 70_500, "Carrier": "x", "useIP": false, "OS": "Android", "wdt": 2.81,
        "hgt": 6.1, "dpi": 400, "dt": 1, "locale": "en_IN", "cc": "in", "utm_source": "google-play",
        "utm_medium": "organic",
    });
    assert_eq!(viewed[0]["session_props"], session);
    assert_eq!(
        events(&client, "App Launched").await[0]["event_props"],
        json!({"Install": "y"}),
        "an advertising id is not kept"
    );
    let sessions = room.query(&account, "SELECT DISTINCT \"session\", source FROM events");
    assert_eq!(sessions, [json!({"session": START, "source": "android"})]);
    assert_eq!(
        counts(&room, &account).await,
        json!({"App Launched": 1, "Charged": 1, "Product Viewed": 1, "Tap": 2}),
        "two taps of one second are two, and the SDK's own question is none"
    );

    let ana = client.get("/1/profile.json?identity=u-1").await.body["record"].clone();
    let known = ["name", "email", "phone"].map(|it| &ana[it]);
    assert_eq!(known, ["Ana", "ana@example.com", "+919876543210"], "{ana}");
    let data = json!({
        "Gender": "F", "Carrier": "x", "cc": "in", "tz": "Asia/Kolkata", "score": 3, "tags": ["a", "b", "c"],
    });
    assert_eq!(ana["profileData"], data);
    let device = json!({
        "platform": "Android", "os_version": "14", "app_version": "1.4.2", "make": "Fairphone", "model": "FP5",
        "push_token": "fcm-1", "objectId": ANDROID,
    });
    assert_eq!(ana["platformInfo"], json!([device]));
    assert_eq!(ana["events"]["Tap"]["count"], 2, "{ana}");
    let ids = "SELECT count(*) FROM profile_changes WHERE value LIKE '%38400000%'";
    assert_eq!(
        room.count(&account, ids),
        0,
        "an advertising id is not kept"
    );
    let ids = "SELECT count(*) FROM events WHERE context LIKE '%38400000%'";
    assert_eq!(room.count(&account, ids), 0);

    let lines = room.query(
        &account,
        "SELECT DISTINCT path, peer FROM requests WHERE plane = 'collect'",
    );
    assert!(
        lines.iter().all(|it| it["peer"] == "127.0.0.0/24"),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 2, "{lines:?}");
}

#[tokio::test]
async fn an_encrypted_batch_is_answered_encrypted_or_refused_so_that_it_comes_plain() {
    let room = Installation::new();
    let account = room.account("encrypted");
    let server = room.serve();
    let phone = phone(&room, &server, &account);
    let key = Secret::new([7; 32]);
    let body = batch(&account).to_string();
    let request = || {
        let request = android(&phone, &account).header("X-CleverTap-Encryption-Enabled", "true");
        request.body(envelope(&key, &body))
    };
    assert_eq!(opened(&key, accepted(request()).await).await, TAKEN);
    let all = json!({"App Launched": 1, "Charged": 1, "Product Viewed": 1, "Tap": 2});
    assert_eq!(counts(&room, &account).await, all);

    let set = ["account", "encryption", &account.id, "--set", "refused"];
    assert_eq!(room.json(&set)["takes_encrypted"], false);
    assert_eq!(request().send().await.unwrap().status().as_u16(), 402);
    accepted(android(&phone, &account).body(body)).await;
    assert_eq!(counts(&room, &account).await, all, "it had come before");
}

#[tokio::test]
async fn what_cannot_be_read_of_a_known_phone_is_sealed_in_quarantine_and_nobody_else_is_answered()
{
    let room = Installation::new();
    let account = room.account("unreadable");
    let server = room.serve();
    let phone = phone(&room, &server, &account);
    let unreadable = format!("{{\"{}", canary(1));
    let unkeyed = json!([{"type": "event", "evtName": canary(2)}]).to_string();
    for body in [unreadable.clone(), unkeyed] {
        let answer = accepted(android(&phone, &account).body(body)).await;
        assert_eq!(answer.text().await.unwrap(), TAKEN);
    }
    let kept = room.query(
        &account,
        "SELECT code, source FROM quarantine ORDER BY code",
    );
    assert_eq!(
        kept,
        [
            json!({"code": 0, "source": "android"}),
            json!({"code": 523, "source": "android"})
        ]
    );

    let good = batch(&account).to_string();
    let path = format!("/a1?os=Android&z={}", account.id);
    let wrong = good.replace(&account.sdk_token, "wrong");
    let strangers = [
        phone.anonymous("POST", &path).body(wrong.clone()),
        phone.anonymous("POST", &path).body("{"),
        phone.anonymous("POST", "/a1").body("{"),
        phone
            .anonymous("POST", &path)
            .header("X-CleverTap-Token", "wrong")
            .body(good.clone()),
        phone.anonymous("POST", "/a1?z=AAA-AAA-AAAZ").body(good),
        phone.anonymous("GET", "/hello?os=Android&z=AAA-AAA-AAAZ"),
        phone.anonymous("POST", "/defineVars").body(wrong),
    ];
    for request in strangers {
        assert!(request.send().await.is_err(), "a stranger was answered");
    }
    assert_eq!(counts(&room, &account).await, json!({}));

    // It is there for who may see it, and nobody reads it from the disk.
    let place = ["--account", &account.id];
    let listed = room.json(&[&["quarantine", "list"][..], &place].concat());
    let listed = listed.as_array().unwrap().iter();
    let bodies = listed.map(|it| {
        let id = it["record_id"].as_str().unwrap();
        let shown = room.json(&[&["quarantine", "show", id][..], &place].concat());
        shown["body"].as_str().unwrap().to_owned()
    });
    let bodies: Vec<String> = bodies.collect();
    assert!(bodies.contains(&unreadable), "{bodies:?}");
    assert!(bodies.iter().all(|it| it.contains(MARK)), "{bodies:?}");
    assert_none(&room, &[MARK], "journal");
    assert!(room.run(&["job", "run", "flush"]).status.success());
    assert_none(&room, &[MARK], "parts");
    assert!(server.stop().success());
    assert_none(&room, &[MARK], "after the end");
}

#[tokio::test]
async fn pages_of_other_domains_are_dropped_once_an_account_has_a_list() {
    let room = Installation::new();
    let account = room.account("domains");
    let server = room.serve();
    let phone = phone(&room, &server, &account);
    let domains = |flags: &[&str]| {
        room.json(&[&["account", "domains", &*account.id][..], flags].concat())["domains"].clone()
    };
    let message =
        json!({"id": account.id, "type": "event", "evtName": "Seen", "evtData": {}, "g": "abc"});
    let packed = lz_str::compress_to_base64(message.to_string().as_str());
    let packed = packed
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    let from = async |origin: &str, number: u32| {
        let path = format!("/a?t=96&type=push&d={packed}&rn={number}&i={START}&sn=0");
        let request = phone
            .anonymous("GET", &path)
            .header("Referer", format!("{origin}/page"));
        request.send().await.map(|it| it.status().as_u16()).ok()
    };
    assert_eq!(domains(&[]), json!([]));
    assert_eq!(from("https://evil.test", 1).await, Some(200));
    let both = domains(&["--add", "Shop.Example.com", "--add", "127.0.0.1"]);
    assert_eq!(both, json!(["127.0.0.1", "shop.example.com"]));
    assert_eq!(from("https://evil.test", 2).await, None);
    assert_eq!(from("https://shop.example.com.evil.test", 3).await, None);
    assert_eq!(from("https://shop.example.com:8443", 4).await, Some(200));
    let twice = room.run(&[
        "account",
        "domains",
        &account.id,
        "--add",
        "www.shop.example.com",
        "--json",
    ]);
    assert!(!twice.status.success());
    let illegal = room.run(&[
        "account",
        "domains",
        &account.id,
        "--add",
        "https://a.test/",
        "--json",
    ]);
    assert!(!illegal.status.success());
    assert_eq!(
        domains(&["--remove", "shop.example.com"]),
        json!(["127.0.0.1"])
    );
    assert_eq!(from("https://shop.example.com", 5).await, None);
    assert_eq!(counts(&room, &account).await, json!({"Seen": 2}));
    // Phones come from no page.
    accepted(android(&phone, &account).body(batch(&account).to_string())).await;
    let groups = room.json(&["drops", "list"]);
    let told: Vec<_> = groups
        .as_array()
        .unwrap()
        .iter()
        .map(|group| json!([group["reason"], group["path"], group["count"]]))
        .collect();
    assert_eq!(told, [json!(["foreign_page", "/a", 3])]);
}

#[tokio::test]
async fn the_dictionary_holds_for_every_dialect() {
    let room = Installation::new();
    let account = room.account("dictionary");
    let server = room.serve();
    let (phone, client) = (phone(&room, &server, &account), server.client(&account));
    let say =
        |words: &[&str]| room.json(&[&["dictionary"], words, &["--account", &account.id]].concat());
    say(&["define", "Tap", "--property", "button"]);
    say(&["discard", "Noise"]);
    say(&["policy", "--events", "drop"]);
    let said = say(&["policy", "--properties", "drop-property"]);
    assert_eq!(said["undefined_properties"], "drop_property");
    let button = json!({"name": "button", "kind": null, "is_mandatory": false});
    let known = json!({"name": "Tap", "status": "known", "properties": [button]});
    assert_eq!(said["events"][1], known);
    assert_eq!(say(&["show"]), said);

    let event = |name: &str| {
        json!({
            "type": "event", "evtName": name, "evtData": {"button": 1.50, "x": {"y": 1}}, "ep": START, "s": START,
        })
    };
    let meta = json!({"type": "meta", "g": ANDROID, "id": account.id, "tk": account.sdk_token});
    let names = ["Tap", "Noise", "Unknown", "App Launched"];
    let body = Value::Array([vec![meta], names.map(event).to_vec()].concat());
    let answer = accepted(android(&phone, &account).body(body.to_string())).await;
    assert_eq!(answer.text().await.unwrap(), r#"{"arp":{"d_e":["Noise"]}}"#);
    assert_eq!(
        counts(&room, &account).await,
        json!({"App Launched": 1, "Tap": 1})
    );
    assert_eq!(
        events(&client, "Tap").await[0]["event_props"],
        json!({"button": 1.5})
    );

    let record =
        |name: &str| json!({"type": "event", "identity": "u", "evtName": name, "evtData": {}});
    let upload = json!({"d": [record("Tap"), record("Noise"), record("Unknown")]});
    let answer = client.post("/1/upload", upload).await;
    let unprocessed = answer.body["unprocessed"].as_array().unwrap();
    let codes: Vec<_> = unprocessed.iter().map(|it| &it["code"]).collect();
    assert_eq!(codes, [528, 528], "{answer:?}");
    let errors = room.query(
        &account,
        "SELECT error, count(*) AS n FROM quarantine GROUP BY error ORDER BY error",
    );
    assert_eq!(
        errors,
        [
            json!({"error": "event_discarded", "n": 2}),
            json!({"error": "event_undefined", "n": 2})
        ]
    );
    say(&["policy", "--properties", "drop-event"]);
    let answer = client.post(
        "/1/upload",
        json!({"d": [{"type": "event", "identity": "u", "evtName": "Tap", "evtData": {"z": 1}}]}),
    );
    assert_eq!(answer.await.body["unprocessed"][0]["code"], 528);
}

#[tokio::test]
async fn what_a_phone_was_refused_is_stored_as_it_was_once_the_account_wants_it() {
    let room = Installation::new();
    let account = room.account("late");
    let server = room.serve();
    let (phone, client) = (phone(&room, &server, &account), server.client(&account));
    let say = |verb: &str| {
        for event in ["Tap", "App Launched"] {
            room.json(&["dictionary", verb, event, "--account", &account.id]);
        }
    };
    say("discard");
    let body = batch(&account).to_string();
    accepted(android(&phone, &account).body(body.clone())).await;
    accepted(android(&phone, &account).body(body)).await;
    assert_eq!(
        counts(&room, &account).await,
        json!({"Charged": 1, "Product Viewed": 1})
    );
    let place = ["--account", &account.id];
    let kept = room.json(&[&["quarantine", "list"][..], &place].concat());
    let mut ids: Vec<_> = kept
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["record_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 3, "{kept}");
    for id in ids.iter().copied() {
        let shown = room.json(&[&["quarantine", "show", id][..], &place].concat());
        let shown = shown.to_string();
        assert!(shown.contains("Fairphone"), "{shown}");
        for secret in ["38400000", &account.sdk_token] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    let device = async || {
        let ana = client.get("/1/profile.json?identity=u-1").await;
        ana.body["record"]["platformInfo"].clone()
    };
    let known = device().await;
    assert_eq!(known[0]["make"], "Fairphone", "{known}");
    let replay = || {
        let words = [&["quarantine", "replay"][..], &place, &ids].concat();
        let done = room.json(&words);
        let outcomes = done["records"].as_array().unwrap().clone();
        outcomes
            .iter()
            .map(|it| it["outcome"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(replay(), ["refused"; 3]);
    say("forget");
    assert_eq!(replay(), ["stored"; 3]);
    assert_eq!(replay(), ["replayed_before"; 3]);
    let of_both = "FROM events WHERE name IN ('Tap', 'App Launched')";
    let sql = format!("SELECT record_id {of_both} ORDER BY record_id");
    let stored = room.query(&account, &sql);
    let stored: Vec<_> = stored.iter().map(|it| it["record_id"].as_str()).collect();
    ids.sort_unstable();
    let asked: Vec<_> = ids.iter().map(|it| Some(*it)).collect();
    assert_eq!(stored, asked, "each under the id that it had in quarantine");
    assert_eq!(device().await, known, "what is known of the device stays");
    let mut events_stored = events(&client, "Tap").await;
    assert_eq!(events_stored.len(), 2);
    for tap in &events_stored {
        assert_eq!(tap["event_props"], json!({"button": "buy"}));
    }
    events_stored.extend(events(&client, "App Launched").await);
    assert_eq!(events_stored.len(), 3);
    for event in events_stored {
        let (profile, session) = (&event["profile"], &event["session_props"]);
        assert_eq!(profile["identity"], "u-1", "{event}");
        let app = ["platform", "os_version", "app_version", "make"].map(|it| &profile[it]);
        assert_eq!(app, ["Android", "14", "1.4.2", "Fairphone"], "{event}");
        let said = ["utm_source", "utm_medium", "Build"].map(|it| &session[it]);
        assert_eq!(said, ["google-play", "organic", "42"], "{event}");
    }
}

#[tokio::test]
async fn a_phone_that_has_opted_out_is_out_through_kills_and_flushes() {
    let room = Installation::new();
    let account = room.account("out");
    let send = async |server: &Server, number: u64, opts_out: Option<bool>| {
        let meta = json!({"type": "meta", "g": ANDROID, "id": account.id, "af": {"OS": "Android"}});
        let (name, at) = (format!("Tap {number}"), START + number);
        let tap = json!({"type": "event", "evtName": name, "evtData": {}, "ep": at});
        let mut items = vec![meta, tap];
        items.extend(
            opts_out.map(
                |is_out| json!({"type": "profile", "profile": {"ct_optout": is_out}, "ep": at}),
            ),
        );
        let phone = phone(&room, server, &account);
        let body = Value::from(items).to_string();
        accepted(android(&phone, &account).body(body)).await;
    };
    let server = room.serve();
    send(&server, 1, Some(true)).await;
    send(&server, 2, None).await;
    server.kill();
    // From the journal.
    let server = room.serve();
    send(&server, 3, None).await;
    assert!(room.run(&["job", "run", "flush"]).status.success());
    server.kill();
    // From the control database.
    let server = room.serve();
    send(&server, 4, None).await;
    send(&server, 5, Some(false)).await;
    server.kill();
    let server = room.serve();
    send(&server, 6, None).await;
    let kept = json!({"Tap 1": 1, "Tap 5": 1, "Tap 6": 1});
    assert_eq!(counts(&room, &account).await, kept);
    assert!(server.stop().success());
}
