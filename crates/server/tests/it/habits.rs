//! Requests as other published clients make them, in other languages and with other habits: each works
//! the first time. The forms are written down from the clients' sources and from recorded calls.

use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::{Account, Installation, gzip, text};
use crate::raw::{DATA, Door, Frame, HEADERS, Http2, block};

/// One client's way to ask.
struct Habit {
    client: &'static str,
    /// The name that TLS and `Host` ask for.
    host: &'static str,
    line: &'static str,
    /// The headers, as they stand; `{account}` and `{passcode}` are put in.
    headers: &'static str,
    body: &'static str,
    /// What the answer's body holds.
    expect: &'static str,
}

const SUCCESS: &str = r#"{"status":"success","processed":1,"unprocessed":[]}"#;

const HABITS: [Habit; 24] = [
    Habit {
        client: "Ruby, net/http",
        host: "api.clevertap.com",
        line: "POST /1/upload?dryRun=0 HTTP/1.1",
        headers: "Content-Type: application/json\r\nX-Clevertap-Account-Id: {account}\r\n\
                  X-Clevertap-Passcode: {passcode}\r\nAccept-Encoding: gzip;q=1.0,deflate;q=0.6,identity;q=0.3\r\n\
                  Accept: */*\r\nUser-Agent: Ruby\r\nConnection: close\r\n",
        body: r#"{"d":[{"type":"event","identity":"ruby","ts":1790000000,"evtName":"Ruby","evtData":{"a":1}}]}"#,
        expect: SUCCESS,
    },
    Habit {
        client: "Go, net/http",
        host: "in1.api.clevertap.com",
        line: "POST /1/upload HTTP/1.1",
        headers: "User-Agent: Go-http-client/1.1\r\nTransfer-Encoding: chunked\r\n\
                  Content-Type: application/json; charset=utf-8\r\nX-Clevertap-Account-Id: {account}\r\n\
                  X-Clevertap-Passcode: {passcode}\r\nAccept-Encoding: gzip\r\nConnection: close\r\n",
        body: r#"{"d":[{"identity":"go","type":"event","evtName":"Go","evtData":{"n":1.5,"s":"<&>"}}]}"#,
        expect: SUCCESS,
    },
    Habit {
        client: "PHP, curl with a body over its threshold",
        host: "sg1.api.clevertap.com",
        line: "POST /1/upload HTTP/1.1",
        headers: "Accept: */*\r\nX-CleverTap-Account-Id: {account}\r\nX-CleverTap-Passcode: {passcode}\r\n\
                  Content-Type: application/json\r\nExpect: 100-continue\r\nConnection: close\r\n",
        body: r#"{"d":{"type":"event","identity":"php","evtName":"Empty","evtData":[]}}"#,
        expect: SUCCESS,
    },
    Habit {
        client: "PHP, one record instead of a list, and an empty array for no properties left out",
        host: "localhost",
        line: "POST /1/upload HTTP/1.1",
        headers: "Accept: */*\r\nX-CleverTap-Account-Id: {account}\r\nX-CleverTap-Passcode: {passcode}\r\n\
                  Content-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\nConnection: close\r\n",
        body: r#"{"d":{"type":"event","identity":"php","evtName":"Php"}}"#,
        expect: SUCCESS,
    },
    Habit {
        client: ".NET: a byte order mark before the body, and another case of what it expects",
        host: "eu1.api.clevertap.com",
        line: "POST /1/upload HTTP/1.1",
        headers: "X-CleverTap-Account-Id: {account}\r\nX-CleverTap-Passcode: {passcode}\r\n\
                  Content-Type: application/json; charset=utf-8\r\nExpect: 100-Continue\r\nConnection: close\r\n",
        body: "\u{feff}{\"d\":[{\"type\":\"event\",\"identity\":\"net\",\"evtName\":\"Net\",\"evtData\":{}}]}",
        expect: SUCCESS,
    },
    Habit {
        client: "Python: the time as time.time() gives it",
        host: "localhost",
        line: "POST /1/upload HTTP/1.1",
        headers: "User-Agent: python-requests/2.31.0\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*\r\n\
                  Connection: close\r\nX-CleverTap-Account-Id: {account}\r\nX-CleverTap-Passcode: {passcode}\r\n\
                  Content-Type: application/json\r\n",
        body: r#"{"d": [{"type": "event", "identity": "py", "ts": 1790000000.2534142, "evtName": "Python"}]}"#,
        expect: SUCCESS,
    },
    Habit {
        client: "a proxy that adds the credentials that are there already",
        host: "localhost",
        line: "POST /1/upload HTTP/1.1",
        headers: "X-CleverTap-Account-Id: {account}\r\nX-CleverTap-Passcode: {passcode}\r\n\
                  Content-Type: application/json\r\nx-clevertap-account-id: {account}\r\n\
                  x-clevertap-passcode: {passcode}\r\nConnection: close\r\n",
        body: r#"{"d":[{"type":"event","identity":"twice","evtName":"Twice"}]}"#,
        expect: SUCCESS,
    },
    Habit {
        client: "Segment's destination: times by ISO 8601, a label of its own",
        host: "us1.api.clevertap.com",
        line: "POST /1/upload HTTP/1.1",
        headers: "accept: */*\r\naccept-encoding: gzip,deflate\r\nconnection: close\r\ncontent-type: application/json\r\n\
                  user-agent: Segment (Actions)\r\nx-clevertap-account-id: {account}\r\nx-clevertap-passcode: {passcode}\r\n",
        body: r#"{"d":[{"identity":"seg","ts":"2026-09-21T14:13:20.000Z","type":"profile","source":"Segment","profileData":{"Name":"S","Email":"s@example.com","Phone":"+14155551234","DOB":"$D_631152000"}}]}"#,
        expect: SUCCESS,
    },
    Habit {
        client: "RudderStack: an alias",
        host: "eu1.api.clevertap.com",
        line: "POST /1/upload HTTP/1.1",
        headers: "Content-Type: application/json\r\nX-CleverTap-Account-Id: {account}\r\nX-CleverTap-Passcode: {passcode}\r\n\
                  User-Agent: RudderLabs\r\nAccept-Encoding: gzip\r\nConnection: close\r\n",
        body: r#"{"d":[{"type":"profile","identity":"seg","profileData":{"identity":"rudder","DOB":"631152000","tags":{"$add":"one"}}}]}"#,
        expect: SUCCESS,
    },
    Habit {
        client: "RudderStack: a name that only begins as one of the system's",
        host: "eu1.api.clevertap.com",
        line: "POST /1/upload HTTP/1.1",
        headers: "Content-Type: application/json\r\nX-CleverTap-Account-Id: {account}\r\nX-CleverTap-Passcode: {passcode}\r\n\
                  User-Agent: RudderLabs\r\nConnection: close\r\n",
        body: r#"{"d":[{"type":"event","identity":"rudder","evtName":"Web Page Viewed: Home","evtData":{}}]}"#,
        expect: SUCCESS,
    },
    Habit {
        client: "Java, HttpURLConnection: every header in its own case, a space before the value or none",
        host: "localhost",
        line: "POST /1/upload HTTP/1.1",
        headers: "CONTENT-TYPE:application/json\r\nx-CLEVERTAP-account-ID:   {account}\r\nX-cleverTAP-passcode:{passcode}\r\n\
                  Accept: text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2\r\ncONNECTION: close\r\n",
        body: r#"{"d":[{"type":"event","identity":17,"ts":"1790000000","evtName":"Java","evtData":{"i":9007199254740993}}]}"#,
        expect: SUCCESS,
    },
    Habit {
        client: "an old client: HTTP/1.0, which TLS is told too, as curl does",
        host: "localhost",
        line: "POST /1/upload HTTP/1.0",
        headers: "Content-Type: application/json\r\nX-CleverTap-Account-Id: {account}\r\nX-CleverTap-Passcode: {passcode}\r\n",
        body: r#"{"d":[{"type":"event","identity":"old","evtName":"Old","ts":"2026-09-21T19:43:20+05:30"}]}"#,
        expect: SUCCESS,
    },
    Habit {
        client: "a GET without a body that says what type it has",
        host: "api.clevertap.com",
        line: "GET /1/profile.json?identity=rudder HTTP/1.1",
        headers: "Content-Type: application/json; charset=utf-8\r\nX-CleverTap-Account-Id: {account}\r\n\
                  X-CleverTap-Passcode: {passcode}\r\nConnection: close\r\n",
        body: "",
        expect: r#""tags":["one"]"#,
    },
    Habit {
        client: "a question as the query of a GET, percent-encoded to the last letter",
        host: "localhost",
        line: "GET /1/counts/events.json?query=%7B%22event_name%22%3A%22%52uby%22%2C%22from%22%3A20200101%2C%22to%22%3A20991231%7D HTTP/1.1",
        headers: "X-CleverTap-Account-Id: {account}\r\nX-CleverTap-Passcode: {passcode}\r\nConnection: close\r\n",
        body: "",
        expect: r#"{"count":1,"status":"success"}"#,
    },
    Habit {
        client: "an exporter that asks for more than a page may hold",
        host: "localhost",
        line: "POST /1/events.json?batch_size=50000&app=true&events=false&profile=true HTTP/1.1",
        headers: "Content-Type: application/json\r\nX-CleverTap-Account-Id: {account}\r\nX-CleverTap-Passcode: {passcode}\r\n\
                  Connection: close\r\n",
        body: r#"{"event_name":"Go","from":"20200101","to":"20991231"}"#,
        expect: r#""cursor":""#,
    },
    Habit {
        client: "a browser's page, by fetch",
        host: "localhost",
        line: "POST /1/upload HTTP/1.1",
        headers: "Origin: https://shop.example\r\nReferer: https://shop.example/a\r\nSec-Fetch-Mode: cors\r\n\
                  Content-Type: text/plain;charset=UTF-8\r\nX-CleverTap-Account-Id: {account}\r\n\
                  X-CleverTap-Passcode: {passcode}\r\nConnection: close\r\n",
        body: "{\"d\" : [ {\"type\":\"event\",\"GPID\":\"g\",\"evtName\":\"Fetch\",\"evtData\":{\"\\u00e9\":\"\\u00e9\"}} ] }\n",
        expect: SUCCESS,
    },
    Habit {
        client: "Go, a JSON encoder: no properties as null, a new line at the end",
        host: "in.api.clevertap.com",
        line: "POST /1/upload HTTP/1.1",
        headers: "User-Agent: Go-http-client/1.1\r\nContent-Type: application/json; charset=utf-8\r\n\
                  X-Clevertap-Account-Id: {account}\r\nX-Clevertap-Passcode: {passcode}\r\n\
                  Accept-Encoding: gzip\r\nConnection: close\r\n",
        body: "{\"d\":[{\"identity\":\"go\",\"type\":\"event\",\"evtName\":\"Null\",\"evtData\":null}]}\n",
        expect: SUCCESS,
    },
    Habit {
        client: "PHP, a form plugin: a device that is named by an address, the type of the body said twice",
        host: "us1.api.clevertap.com",
        line: "POST /1/upload HTTP/1.1",
        headers: "User-Agent: WordPress/6.4; https://shop.example\r\nReferer: https://api.clevertap.com/1/upload\r\n\
                  Accept: */*\r\nAccept-Encoding: deflate, gzip, br\r\nContent-Type: application/json\r\n\
                  content-type: application/json; charset=utf-8\r\nX-CleverTap-Account-Id: {account}\r\n\
                  X-CleverTap-Passcode: {passcode}\r\nConnection: close\r\n",
        body: r#"{"d":[{"objectId":"form@example.com","type":"event","evtName":"Mail","evtData":{"form":"1"}}]}"#,
        expect: SUCCESS,
    },
    Habit {
        client: "Java: parameters that begin with a question mark of their own",
        host: "localhost",
        line: "POST /1/events.json?batch_size=50&?app=true&?events=true HTTP/1.1",
        headers: "Content-Type: application/json\r\nX-CleverTap-Account-Id: {account}\r\n\
                  X-CleverTap-Passcode: {passcode}\r\nConnection: Keep-Alive, close\r\n\
                  User-Agent: Apache-HttpClient/4.5 (Java/1.8)\r\nAccept-Encoding: gzip,deflate\r\n",
        body: r#"{"event_name":"Go","event_properties":null,"from":20200101,"to":20991231}"#,
        expect: r#""cursor":""#,
    },
    Habit {
        client: "Node: conditions by their older name",
        host: "eu1.api.clevertap.com",
        line: "POST /1/counts/events.json HTTP/1.1",
        headers: "accept: */*\r\naccept-encoding: gzip, deflate\r\nconnection: close\r\ncontent-type: application/json\r\n\
                  x-clevertap-account-id: {account}\r\nx-clevertap-passcode: {passcode}\r\n",
        body: r#"{"event_name":"Go","props":[{"name":"s","operator":"contains","value":"piz"}],"from":20200101,"to":20991231}"#,
        expect: r#"{"count":0,"status":"success"}"#,
    },
    Habit {
        client: "Java: a slash at the end",
        host: "localhost",
        line: "POST /1/subscribe/ HTTP/1.1",
        headers: "Content-Type: application/json\r\nX-CleverTap-Account-Id: {account}\r\n\
                  X-CleverTap-Passcode: {passcode}\r\nConnection: close\r\n",
        body: r#"{"d":[{"type":"email","value":"nobody@example.com","status":"Unsubscribe"}]}"#,
        expect: SUCCESS,
    },
    Habit {
        client: "Kotlin, RestTemplate: a deletion in chunks",
        host: "in1.api.clevertap.com",
        line: "POST /1/delete/profiles.json HTTP/1.1",
        headers: "Accept: application/json, application/*+json\r\nContent-Type: application/json\r\n\
                  X-CleverTap-Account-Id: {account}\r\nX-CleverTap-Passcode: {passcode}\r\n\
                  User-Agent: Java/17.0.9\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n",
        body: r#"{"identity":["nobody","nobody else"]}"#,
        expect: r#"{"status":"success"}"#,
    },
    Habit {
        client: "Swift: a deletion by device, printed over several lines, with another name of the charset",
        host: "api.clevertap.com",
        line: "POST /1/delete/profiles.json HTTP/1.1",
        headers: "Accept: */*\r\nContent-Type: application/json; charset=utf8\r\nAccept-Language: en-GB;q=1.0\r\n\
                  X-CleverTap-Account-Id: {account}\r\nX-CleverTap-Passcode: {passcode}\r\nConnection: close\r\n",
        body: "{\n  \"guid\" : \"-0123456789ABCDEF0123456789ABCDEF\"\n}",
        expect: r#"{"status":"success"}"#,
    },
    Habit {
        client: "Python, a report's question as text without a type, read by its id",
        host: "localhost",
        line: "POST /1/counts/top.json HTTP/1.1",
        headers: "User-Agent: python-requests/2.31.0\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*\r\n\
                  Connection: close\r\nX-CleverTap-Account-Id: {account}\r\nX-CleverTap-Passcode: {passcode}\r\n",
        body: r#"{"event_name": "Go", "from": 20200101, "to": 20991231, "groups": {"foo": {"property_type": "event_properties", "name": "s", "top_n": 2, "order": "desc"}}}"#,
        expect: r#","req_id":"#,
    },
];

/// The request's bytes; a body goes with its length, or in two chunks.
fn request(habit: &Habit, account: &Account) -> Vec<u8> {
    let headers = habit
        .headers
        .replace("{account}", &account.id)
        .replace("{passcode}", &account.passcode);
    let head = format!("{}\r\nHost: {}\r\n{headers}", habit.line, habit.host);
    let (half, rest) = habit.body.split_at(habit.body.len() / 2);
    let whole = match (habit.headers.contains("chunked"), habit.body.is_empty()) {
        (true, _) => format!(
            "{head}\r\n{:x}\r\n{half}\r\n{:X};x=y\r\n{rest}\r\n0\r\n\r\n",
            half.len(),
            rest.len()
        ),
        (false, true) => format!("{head}\r\n"),
        (false, false) => format!(
            "{head}Content-Length: {}\r\n\r\n{}",
            habit.body.len(),
            habit.body
        ),
    };
    whole.into_bytes()
}

#[tokio::test]
async fn every_habit_works_the_first_time() {
    use tokio::io::AsyncWriteExt as _;
    let room = Installation::new();
    let account = room.account("habits");
    let server = room.serve();
    let door = Door::of(&room, &server, "api");
    for habit in &HABITS {
        let alpn = match habit.line.ends_with("HTTP/1.0") {
            true => b"http/1.0",
            false => b"http/1.1",
        };
        let mut tls = door.tls(habit.host, alpn).await;
        tls.write_all(&request(habit, &account)).await.unwrap();
        let answer = text(&crate::raw::rest(&mut tls).await);
        let told = answer.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n");
        let answer = told.unwrap_or(&answer);
        let is_success = answer.starts_with("HTTP/1.1 200 ") || answer.starts_with("HTTP/1.0 200 ");
        assert!(is_success, "{}: {answer}", habit.client);
        assert!(answer.contains(habit.expect), "{}: {answer}", habit.client);
    }
    let kept = room.query(
        &account,
        "SELECT name, ts, \"p:i\" AS i, \"p:é\" AS e FROM events ORDER BY name",
    );
    let names: Vec<_> = kept.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "Empty",
            "Fetch",
            "Go",
            "Java",
            "Mail",
            "Net",
            "Null",
            "Old",
            "Php",
            "Python",
            "Ruby",
            "Twice",
            "Web Page Viewed: Home"
        ]
    );
    let of = |name: &str| kept.iter().find(|it| it["name"] == name).unwrap();
    assert!(of("Java").to_string().contains("9007199254740993"));
    assert!(of("Fetch").to_string().contains('é'), "{kept:?}");
    // The ISO time is the moment that the epoch names, with a fraction or without.
    for name in ["Old", "Python", "Ruby"] {
        let time = of(name)["ts"].to_string();
        assert!(time.contains("2026-09-21T14:13:20"), "{time}");
    }
    let client = server.client(&account);
    let person = client.get("/1/profile.json?identity=rudder").await.body;
    let record = &person["record"];
    assert_eq!(record["name"], "S", "{person}");
    assert_eq!(record["profileData"]["tags"], json!(["one"]));
    assert_eq!(record["profileData"]["DOB"], "631152000");
    let cursor = client
        .post(
            "/1/events.json?batch_size=10",
            json!({"event_name": "Go", "from": 20_200_101, "to": 20_991_231}),
        )
        .await;
    // Its second step in three ways: by POST with the cursor in the query, and nothing or no more than
    // an empty object in the body, and in the body.
    let cursor = cursor.body["cursor"].as_str().unwrap().to_owned();
    let by_query = client
        .post_text(&format!("/1/events.json?cursor={cursor}"), "")
        .await;
    let by_query_too = client
        .post(&format!("/1/events.json?cursor={cursor}"), json!({}))
        .await;
    let by_body = client
        .post("/1/events.json", json!({"cursor": cursor}))
        .await;
    for page in [by_query.body, by_query_too.body, by_body.body] {
        let record: &Value = &page["records"][0];
        assert_eq!(
            record["event_props"],
            json!({"n": 1.5, "s": "<&>"}),
            "{page}"
        );
    }
    // A report's second step, by POST with a form that says nothing.
    let question = json!({
        "event_name": "Go", "from": 20_200_101, "to": 20_991_231,
        "groups": {"foo": {"property_type": "event_properties", "name": "n"}},
    });
    let mut report = client.post("/1/counts/top.json", question).await.body;
    let id = report.as_object_mut().unwrap().remove("req_id").unwrap();
    let again = client
        .request("POST", &format!("/1/counts/top.json?req_id={id}"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("req_id=&limit=10");
    let again = Client::send(again).await.unwrap();
    assert_eq!(again.body, report);
}

/// What is answered to a body that goes out over HTTP/2, in two frames.
async fn say_by_http2(door: &Door, account: &Account, encoding: &str, body: &[u8]) -> String {
    let length = body.len().to_string();
    let fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/1/upload?dryRun=0"),
        ("content-type", "application/json"),
        ("content-encoding", encoding),
        ("content-length", &length),
        ("x-clevertap-account-id", &account.id),
        ("x-clevertap-passcode", &account.passcode),
    ];
    let (half, rest) = body.split_at(body.len() / 2);
    let frames = [
        Frame::new(HEADERS, 4, 1, block(&fields)),
        Frame::new(DATA, 0, 1, half),
        Frame::new(DATA, 1, 1, rest),
    ];
    let mut http2 = Http2::open(door).await;
    assert!(http2.send(&frames).await);
    let mut answer = Vec::new();
    loop {
        let frame = http2.next().await.expect("the stream is answered");
        if frame.kind == DATA {
            answer.extend(&frame.payload);
            if frame.flags & 1 != 0 {
                return text(&answer);
            }
        }
    }
}

#[tokio::test]
async fn packed_bodies_and_http2_work_the_first_time() {
    let room = Installation::new();
    let account = room.account("habits");
    let server = room.serve();
    let door = Door::of(&room, &server, "api");
    let body = |name: &str| {
        let event = json!({"type": "event", "identity": "u1", "evtName": name});
        json!({"d": [event]}).to_string().into_bytes()
    };
    let packed = gzip(&body("Packed"));
    let mut request = format!(
        "POST /1/upload HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\n\
         Content-Type: application/json\r\nX-CleverTap-Account-Id: {}\r\n\
         X-CleverTap-Passcode: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        account.id,
        account.passcode,
        packed.len()
    )
    .into_bytes();
    request.extend(&packed);
    let answer = text(&door.say(request).await);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains(SUCCESS), "{answer}");

    let plain = say_by_http2(&door, &account, "identity", &body("By HTTP/2")).await;
    assert_eq!(plain, SUCCESS);
    let packed = gzip(&body("Packed by HTTP/2"));
    let packed = say_by_http2(&door, &account, "gzip", &packed).await;
    assert_eq!(packed, SUCCESS);
    let kept = room.query(&account, "SELECT name FROM events ORDER BY name");
    let names: Vec<_> = kept.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["By HTTP/2", "Packed", "Packed by HTTP/2"]);
}

/// Over HTTP/2 a browser sends each cookie of the site as a field of its own.
#[tokio::test]
async fn a_browser_with_many_cookies_is_served_over_http2_and_many_other_headers_are_not() {
    let room = Installation::new();
    let account = room.account("cookies");
    let server = room.serve();
    let browser = Client::new(server.address("collect"), &room.ca(), account.clone());
    let path = format!("/hello?os=Android&t=70500&z={}", account.id);
    let with = |name: &str, count: usize| {
        let request = browser.anonymous("GET", &path);
        (0..count).fold(request, |it, number| {
            it.header(name, format!("c{number}=v"))
        })
    };
    let served = with("cookie", 200).send().await.unwrap();
    assert_eq!(served.version(), reqwest::Version::HTTP_2);
    assert_eq!(served.status().as_u16(), 200);
    assert!(with("x", 101).send().await.is_err());
    let dropped = room.json(&["drops", "list"]);
    let reason = (&dropped[0]["reason"], &dropped[0]["count"]);
    assert_eq!(reason, (&json!("too_many_headers"), &json!(1)), "{dropped}");
}
