//! The mobile SDKs' dialect: the forms of both, and what is wrong.

use expect_test::{Expect, expect};
use model::Timestamp;
use model::record::Source;
use model::submission::{Batch, Content};
use proptest::prelude::*;

use super::{Body, Hello, ITEMS_MAX, Upload, answer, authority, decode, keep, source};

fn upload(text: &str) -> Upload<'_> {
    match decode(text.as_bytes()).unwrap() {
        Body::Plain(upload) => *upload,
        Body::Sealed(_) => panic!("not encrypted"),
    }
}

fn show(batch: &Batch<'_>) -> String {
    let mut shown = Vec::new();
    for record in &batch.records {
        let names: Vec<_> = record
            .names
            .iter()
            .map(|(kind, name)| format!("{kind:?}={name}"))
            .collect();
        let at = record.ts.map_or(0, Timestamp::seconds);
        let what = match &record.content {
            Content::Event {
                name,
                properties,
                session,
                context,
            } => format!(
                "{name} {} session={session:?} {}",
                properties.as_str(),
                context.as_ref().map_or("", |it| it.as_str())
            ),
            Content::Profile { changes, .. } => changes
                .iter()
                .map(|it| format!("{}:{}={}", it.op.as_str(), it.property, it.value.as_str()))
                .collect::<Vec<_>>()
                .join(" "),
        };
        shown.push(format!(
            "{} {at} {} {what}",
            record.position,
            names.join(" ")
        ));
    }
    for it in &batch.rejections {
        shown.push(format!(
            "{} rejected {} {:?}",
            it.position,
            it.reason.as_str(),
            it.subject
        ));
    }
    shown.join("\n")
}

fn check(source: Source, text: &str, expect: &Expect) {
    expect.assert_eq(&show(&upload(text).batch(source)));
}

#[test]
fn the_android_form() {
    let text = r#"[
        {"type":"meta","g":"__0123456789abcdef0123456789abcdef","id":"A-1","tk":"tok","af":{"Build":"7","Version":"1.2","OS Version":"14","SDK Version":70500,"Make":"x","Model":"y","OS":"Android","useIP":false,"GoogleAdID":"ad"},"l_ts":1,"f_ts":2,"ct_pi":"Identity,Email","ddnd":false,"rtl":[],"frs":true,"fl":true},
        {"type":"event","evtName":"App Launched","evtData":{"pai":"p"},"s":1790000000,"pg":1,"ep":1790000001,"f":true,"lsl":3,"dsync":false,"n":"_bg","pai":"p"},
        {"type":"event","evtName":"wzrk_fetch","evtData":{"t":4},"ep":1790000001},
        {"type":"profile","profile":{"Identity":"u1","Email":"a@b.cc","Carrier":"x","cc":"in","tz":"Asia/Kolkata","n":{"$incr":1.5}},"ep":1790000002,"s":1790000000},
        {"type":"data","data":{"action":"register","id":"fcm-1","type":"fcm"},"ep":1790000003},
        {"type":"ping","mc":1,"nt":2,"ep":1790000004},
        {"type":"page","ep":1790000004},
        {"type":"event","evtName":"Tap","evtData":{"n":1},"s":1790000000,"ep":1790000005,"wzrk_error":{"c":512,"d":"x"}}
    ]"#;
    check(
        Source::Android,
        text,
        &expect![[r#"
        2 1790000001 ObjectId=__0123456789abcdef0123456789abcdef device:Android={"Build":"7","app_version":"1.2","os_version":"14","SDK Version":70500,"make":"x","model":"y","OS":"Android","useIP":false}
        2 1790000001 ObjectId=__0123456789abcdef0123456789abcdef App Launched {"pai":"p"} session=Some(1790000000) {"Build":"7","app_version":"1.2","os_version":"14","SDK Version":70500,"make":"x","model":"y","OS":"Android","useIP":false}
        4 1790000002 Identity=u1 ObjectId=__0123456789abcdef0123456789abcdef put:Email="a@b.cc" put:Carrier="x" put:cc="in" put:tz="Asia/Kolkata" incr:n=1.5
        5 1790000003 ObjectId=__0123456789abcdef0123456789abcdef device:Android={"Build":"7","app_version":"1.2","os_version":"14","SDK Version":70500,"make":"x","model":"y","OS":"Android","useIP":false}
        5 1790000003 ObjectId=__0123456789abcdef0123456789abcdef token:fcm={"id":"fcm-1","type":"fcm"}
        8 1790000005 ObjectId=__0123456789abcdef0123456789abcdef Tap {"n":1} session=Some(1790000000) {"Build":"7","app_version":"1.2","os_version":"14","SDK Version":70500,"make":"x","model":"y","OS":"Android","useIP":false}"#]],
    );
    let upload = upload(text);
    assert_eq!(
        (upload.account().as_deref(), upload.token().as_deref()),
        (Some("A-1"), Some("tok"))
    );
    assert_eq!(
        (upload.os().as_deref(), upload.uses_ip()),
        (Some("Android"), false)
    );
}

#[test]
fn the_start_of_an_app_does_not_keep_an_advertising_id_either() {
    check(
        Source::Android,
        r#"[{"type":"meta","g":"__1"},
            {"type":"event","evtName":"App Launched","evtData":{"Version":"1.2","GoogleAdID":"ad","GoogleAdIDLimit":false,"n":[1]}},
            {"type":"event","evtName":"App Launched","evtData":{"IDFA":"ad","ifa":"ad","mt_ifa":"ad","mt_GoogleAdID":"ad","gaid":"ad"}},
            {"type":"event","evtName":"App Launched"}]"#,
        &expect![[r#"
            2 0 ObjectId=__1 App Launched {"Version":"1.2","n":[1]} session=None 
            3 0 ObjectId=__1 App Launched {} session=None 
            4 0 ObjectId=__1 App Launched {} session=None "#]],
    );
}

#[test]
fn what_was_refused_is_kept_with_all_that_it_is_read_by() {
    let launched =
        r#"{"type":"event","evtName":"App Launched","evtData":{"GoogleAdID":"ad","n":1},"ep":9}"#;
    let token = r#"{"type":"data","data":{"id":"x","type":"fcm"},"ep":9}"#;
    let meta = r#"{"type":"meta","g":"__1","id":"A-1","tk":"secret","ct_pi":"Email","af":{"Make":"x","OS Version":"14","OS":"Windows","useIP":true,"GoogleAdID":"ad","mt_ifa":"ad","deep":{}},"ref":{"us":"s","um":"m","x":1}}"#;
    let kept_meta = r#"{"type":"meta","g":"__1","af":{"make":"x","os_version":"14","OS":"Windows","useIP":true},"ref":{"us":"s","um":"m"}}"#;
    for item in [launched, token] {
        let sent = format!("[{meta},{item}]");
        let sent = upload(&sent);
        let kept = keep(item, &sent.kept_meta("__1"));
        let item = item.replace(r#""GoogleAdID":"ad","#, "");
        assert_eq!(kept, format!("[{kept_meta},{item}]"));
        let (sent, kept) = (sent.batch(Source::Android), upload(&kept));
        let kept = kept.batch(Source::Android);
        assert_eq!(show(&kept), show(&sent));
        assert!(show(&kept).contains("device:Windows={\"make\":\"x\""));
    }
    let bare = upload(r#"[{"type":"meta","g":"a\"b","af":{"ifa":"ad"}}]"#);
    assert_eq!(
        keep("null", &bare.kept_meta(&bare.device())),
        r#"[{"type":"meta","g":"a\"b"},null]"#
    );
}

#[test]
fn where_nothing_is_said_of_a_device_what_was_known_of_it_stays() {
    check(
        Source::Android,
        r#"[{"type":"meta","g":"__1","af":{"ifa":"ad"},"ref":{"us":"s"}},
            {"type":"event","evtName":"App Launched"},
            {"type":"data","data":{"id":"x","type":"fcm"}},
            {"type":"data","data":{"id":"","type":"fcm"}}]"#,
        &expect![[r#"
            2 0 ObjectId=__1 App Launched {} session=None {"utm_source":"s"}
            3 0 ObjectId=__1 token:fcm={"id":"x","type":"fcm"}
            4 0 ObjectId=__1 "#]],
    );
}

#[test]
fn a_name_without_end_is_none() {
    let long = "x".repeat(2_000);
    let text = format!(r#"[{{"type":"meta","g":"{long}"}},{{"type":"event","evtName":"E"}}]"#);
    check(
        Source::Android,
        &text,
        &expect!["2 rejected identity_missing Nobody"],
    );
    assert_eq!(&*upload(&text).device(), "");
}

#[test]
fn a_ping_tells_where_the_device_is() {
    check(
        Source::Ios,
        r#"[{"type":"meta","g":"-1","af":{"Latitude":19.07,"Longitude":72.87}},{"type":"ping","ep":9}]"#,
        &expect!["2 9 ObjectId=-1 put:Latitude=19.07 put:Longitude=72.87"],
    );
    check(
        Source::Ios,
        r#"[{"type":"meta","g":"-1","af":{"Latitude":"x"}},{"type":"ping","ep":9}]"#,
        &expect![""],
    );
    // Each ping is a record: what they share is small, however often and long it stands there.
    let long = "1".repeat(33);
    let text = format!(
        r#"[{{"type":"meta","g":"-1","af":{{"Latitude":1,"Latitude":2,"Longitude":{long}}}}},{{"type":"ping","ep":9}}]"#
    );
    check(
        Source::Ios,
        &text,
        &expect!["2 9 ObjectId=-1 put:Latitude=1"],
    );
}

#[test]
fn what_is_too_much_in_an_event_is_left_out() {
    let long = "k".repeat(121);
    let many: Vec<String> = (0..300).map(|n| format!("\"p{n}\":{n}")).collect();
    let batch = |data: &str| {
        let text = format!(
            r#"[{{"type":"meta","g":"-1"}},{{"type":"event","evtName":"E","evtData":{data},"ep":9}}]"#
        );
        show(&upload(&text).batch(Source::Ios))
    };
    let shown = batch(&format!(
        r#"{{"a":1,"{long}":2,"deep":{{"a":{{"b":{{"c":{{"d":1}}}}}}}},"b":[{{"c":[{{"d":1}}]}}]}}"#
    ));
    expect![[r#"
        2 9 ObjectId=-1 E {"a":1,"b":[{"c":[{"d":1}]}]} session=None 
        2 rejected key_invalid Person(ObjectId, "-1")"#]]
    .assert_eq(&shown);
    let shown = batch(&format!("{{{}}}", many.join(",")));
    assert!(shown.contains("\"p255\":255}"), "{shown}");
    assert!(
        shown.ends_with("2 rejected event_properties_too_many Person(ObjectId, \"-1\")"),
        "{shown}"
    );
    // Which of two is meant cannot be told.
    let shown = batch(&format!(r#"{{"a":1,"a":2,"{long}":3}}"#));
    expect!["2 rejected key_twice Ambiguous"].assert_eq(&shown);
}

#[test]
fn what_led_to_a_session_is_known_of_its_events() {
    check(
        Source::Android,
        r#"[{"type":"meta","g":"__1","af":{"Version":"5.17.0"},"ref":{"us":"google-play","um":"organic","uc":"c1","x":1}},
            {"us":"google-play","um":"organic","referrer":"wzrk:\/\/track?install=true","install":"true","type":"page","ep":1643354969},
            {"type":"event","evtName":"Tap","ep":1643354970}]"#,
        &expect![[
            r#"3 1643354970 ObjectId=__1 Tap {} session=None {"app_version":"5.17.0","utm_source":"google-play","utm_medium":"organic","utm_campaign":"c1"}"#
        ]],
    );
}

#[test]
fn the_old_ios_form() {
    let text = r#"[{"type":"meta","tk":"t","g":"-0123456789ABCDEF0123456789ABCDEF","id":"A","af":{"useIP":true}},{"type":"data","pg":1,"data":{"id":"x","action":"unregister","type":"gcm"}}]"#;
    check(
        Source::Ios,
        text,
        &expect![[r#"
        2 0 ObjectId=-0123456789ABCDEF0123456789ABCDEF device:iOS={"useIP":true}
        2 0 ObjectId=-0123456789ABCDEF0123456789ABCDEF token:gcm={"type":"gcm","action":"unregister"}"#]],
    );
    assert!(upload(text).uses_ip());
}

#[test]
fn the_form_of_a_game_on_a_desktop() {
    for (mark, os) in [("^", "MacOS"), ("~", "Windows"), ("#", "Linux")] {
        let device = format!("{mark}0123456789abcdef0123456789abcdef");
        let text = format!(
            r#"[{{"type":"meta","g":"{device}","id":"A-1","tk":"tok","af":{{"OS":"{os}"}}}},{{"type":"event","evtName":"App Launched","evtData":{{}},"ep":1790000001}}]"#
        );
        let shown = format!(
            "2 1790000001 ObjectId={device} device:{os}={{\"OS\":\"{os}\"}}\n\
             2 1790000001 ObjectId={device} App Launched {{}} session=None {{\"OS\":\"{os}\"}}"
        );
        assert_eq!(show(&upload(&text).batch(Source::Android)), shown);
    }
}

#[test]
fn a_system_without_a_name_is_the_source_s() {
    for os in ["\"\"", "7", "\"<b>\"", "\"ios\"", "null"] {
        let text = format!(
            r#"[{{"type":"meta","g":"-1","af":{{"Build":"7","OS":{os}}}}},{{"type":"event","evtName":"App Launched"}}]"#
        );
        let shown = show(&upload(&text).batch(Source::Ios));
        assert!(shown.contains("device:iOS="), "{os}: {shown}");
    }
}

#[test]
fn an_import_makes_a_device_known_by_an_empty_token() {
    check(
        Source::Ios,
        r#"[{"type":"meta","tk":"t","g":"-1","id":"A","af":{"Version Name":"1.0","App Version":"1.0","Make":"Apple"}},{"type":"data","pg":1,"data":{"id":"","action":"register","type":"apns"}}]"#,
        &expect![[r#"2 0 ObjectId=-1 device:iOS={"app_version":"1.0","make":"Apple"}"#]],
    );
}

#[test]
fn a_property_that_breaks_its_rule_is_left_out() {
    check(
        Source::Ios,
        r#"[{"type":"meta","g":"-1"},{"type":"profile","profile":{"Identity":"u1","Email":"none","Gender":"F"},"ep":9}]"#,
        &expect![[r#"
            2 9 Identity=u1 ObjectId=-1 put:Gender="F"
            2 rejected email_invalid Person(Identity, "u1")"#]],
    );
    check(
        Source::Android,
        r#"[{"type":"meta","g":"__1"},{"type":"profile","profile":{"Identity":"u1","p":{"a":{"b":{"c":{"d":1}}}},"n":{"$incr":1},"":2,"Name":"Jo"},"ep":9}]"#,
        &expect![[r#"
            2 9 Identity=u1 ObjectId=__1 incr:n=1 put:Name="Jo"
            2 rejected key_invalid Person(Identity, "u1")"#]],
    );
}

#[test]
fn what_is_wrong_is_rejected_alone() {
    check(
        Source::Android,
        r#"[{"type":"meta","g":"__1"},{"type":"event"},{"type":"event","evtName":"a","evtData":7},{"type":"data","data":{"type":"fcm"}},{"type":"data","data":{"id":"x"}},{"type":"other"},{},{"type":"event","type":"ping"},{"type":"event","evtName":"Good"}]"#,
        &expect![[r#"
            9 0 ObjectId=__1 Good {} session=None 
            2 rejected event_name_missing Person(ObjectId, "__1")
            3 rejected event_data_invalid Person(ObjectId, "__1")
            4 rejected token_id_missing Person(ObjectId, "__1")
            5 rejected token_type_missing Person(ObjectId, "__1")
            6 rejected type_unknown Person(ObjectId, "__1")
            7 rejected type_unknown Person(ObjectId, "__1")
            8 rejected key_twice Ambiguous"#]],
    );
    check(
        Source::Android,
        r#"[null,{"type":"meta","g":"__1"},7,[{"type":"event"}],"x",{"type":"event","evtName":"Good"}]"#,
        &expect![[r#"
            6 0 ObjectId=__1 Good {} session=None 
            1 rejected type_unknown Person(ObjectId, "__1")
            3 rejected type_unknown Person(ObjectId, "__1")
            4 rejected type_unknown Person(ObjectId, "__1")
            5 rejected type_unknown Person(ObjectId, "__1")"#]],
    );
    check(
        Source::Android,
        r#"[{"type":"event","evtName":"Nobody's"}]"#,
        &expect!["1 rejected identity_missing Nobody"],
    );
    check(
        Source::Android,
        r#"[{"type":"meta","g":"a b"},{"type":"event","evtName":"E"}]"#,
        &expect![[r#"2 rejected object_id_invalid Person(ObjectId, "a b")"#]],
    );
}

#[test]
fn what_is_said_twice_of_a_device_counts_for_nothing() {
    for twice in [
        r#""af":{"Make":"x","useIP":true},"af":{"Make":"y","useIP":true}"#,
        r#""ref":{"us":"x"},"af":{"Make":"x","useIP":true},"ref":{"us":"y"}"#,
    ] {
        let text = format!(
            r#"[{{"type":"meta","g":"__1","id":"A-1","tk":"t",{twice}}},{{"type":"event","evtName":"App Launched"}}]"#
        );
        check(
            Source::Android,
            &text,
            &expect![[r#"
                2 0 ObjectId=__1 App Launched {} session=None 
                1 rejected key_twice Ambiguous"#]],
        );
        let upload = upload(&text);
        assert_eq!(upload.account().as_deref(), Some("A-1"));
        assert!(!upload.uses_ip());
    }
}

#[test]
fn bodies_that_are_none_are_refused_whole() {
    let many = format!("[{}{{}}]", "{},".repeat(ITEMS_MAX));
    let deep = "[".repeat(100_000);
    let bodies: [&[u8]; 15] = [
        b"",
        b"7",
        b"[7]",
        b"[null,[{}]]",
        b"[{}] x",
        b"[{\"type\":\"meta\"},{\"type\":\"meta\"}]",
        b"[{\"type\":\"meta\",\"g\":\"a\",\"g\":\"b\"}]",
        b"[{\"type\":\"meta\",\"id\":\"a\",\"id\":\"b\"},{\"type\":\"event\"}]",
        b"[{\"type\":\"meta\",\"tk\":\"a\",\"tk\":\"b\"},{\"type\":\"event\"}]",
        b"[{\"type\":\"event\",\"type\":\"meta\",\"g\":\"a\"}]",
        b"{\"itp\":\"\"}",
        b"{\"itp\":\"\",\"itk\":\"AAAA\",\"itv\":\"AAAA\"}",
        b"[{\"type\":\"\xff\"}]",
        many.as_bytes(),
        deep.as_bytes(),
    ];
    for body in bodies {
        let start = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        assert!(decode(body).is_err(), "{start}");
    }
}

#[test]
fn a_byte_order_mark_counts_for_nothing() {
    let text = r#"[{"type":"meta","g":"abc"}]"#;
    assert_eq!(
        upload(&format!("\u{feff}{text}")).device(),
        upload(text).device()
    );
    let twice = format!("\u{feff}\u{feff}{text}");
    assert!(decode(twice.as_bytes()).is_err());
}

#[test]
fn an_envelope_is_told_from_an_array() {
    let key = "A".repeat(43);
    let text = format!(r#"{{"itp":"AAAA","itk":"{key}=","itv":"AAAAAAAAAAAAAAAA"}}"#);
    assert!(matches!(decode(text.as_bytes()), Ok(Body::Sealed(it)) if it.payload == [0, 0, 0]));
}

#[test]
fn query_strings_hosts_and_answers() {
    let hello = Hello::decode("os=Android&t=70500&z=A-1");
    assert_eq!(
        (hello.account.as_deref(), hello.os.as_deref()),
        (Some("A-1"), Some("Android"))
    );
    assert_eq!(
        Hello::decode(""),
        Hello {
            account: None,
            os: None
        }
    );
    assert_eq!(source("iOS"), Some(Source::Ios));
    assert_eq!(
        (source("ANDROID"), source("Windows")),
        (Some(Source::Android), None)
    );
    for (host, expect) in [
        ("a.example.com:8443", Some("a.example.com:8443")),
        ("[::1]:1", Some("[::1]:1")),
        ("", None),
        ("a b", None),
        ("evil/x", None),
        ("a@b", None),
    ] {
        assert_eq!(authority(host), expect);
    }
    assert_eq!(answer(&[], false), r#"{"arp":{"d_e":[]}}"#);
    assert_eq!(answer(&[], true), r#"{"arp":{"d_e":[]},"vars":{}}"#);
    assert_eq!(
        answer(&["Old", "a\"b"], false),
        r#"{"arp":{"d_e":["Old","a\"b"]}}"#
    );
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(body: Vec<u8>) {
        drop(decode(&body));
    }

    #[test]
    fn hostile_arrays_never_panic(
        items in prop::collection::vec(prop::collection::vec((
            prop::sample::select(vec!["type", "evtName", "evtData", "profile", "data", "g", "id",
                "tk", "af", "s", "ep"]),
            prop::sample::select(vec!["\"event\"", "\"meta\"", "\"profile\"", "\"data\"", "\"ping\"",
                "{}", "[]", "7", "null", "true", "\"\\ud800\"", "{\"Identity\":\"x\"}",
                "{\"id\":\"x\",\"type\":\"fcm\"}", "\"App Launched\"", "1e400", "-1"]),
        ), 0..6), 0..5),
    ) {
        let items: Vec<_> = items.iter().map(|item| {
            let members: Vec<_> = item.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            format!("{{{}}}", members.join(","))
        }).collect();
        let text = format!("[{}]", items.join(","));
        if let Ok(Body::Plain(upload)) = decode(text.as_bytes()) {
            drop((upload.account(), upload.token(), upload.os(), upload.uses_ip()));
            let batch = upload.batch(Source::Ios);
            prop_assert!(batch.records.len() + batch.rejections.len() <= 2 * items.len());
            prop_assert!(batch.records.iter().all(|it| it.names.primary().is_some()));
        }
    }
}
