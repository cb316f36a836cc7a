//! The web SDK's dialect, as a browser speaks and hears it.

use expect_test::{Expect, expect};
use model::record::ChangeOp;
use model::submission::{Batch, Content};
use model::{IdentityKind, Timestamp};
use proptest::prelude::*;

use super::{Answer, Call, Message, Query, Subscription, keep, reread, session};

const DEVICE: &str = "0123456789abcdef0123456789abcdef";

fn packed(text: &str) -> String {
    lz_str::compress_to_base64(text)
}

fn query(parameters: &str) -> Query<'_> {
    Query::decode(parameters).unwrap()
}

/// What a message of a browser comes to, in short.
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
            "{at} {} {what}",
            names.join(" ").replace(DEVICE, "GUID")
        ));
    }
    for rejection in &batch.rejections {
        shown.push(format!(
            "rejected {} {:?}",
            rejection.reason.as_str(),
            rejection.subject
        ));
    }
    shown.join("\n").replace(DEVICE, "GUID")
}

fn check(call: &str, text: &str, expect: &Expect) {
    let parameters = format!("t=96&type={call}&d=x&rn=3&i=1790000000&sn=0&useIP=false");
    let message = Message::decode(text).unwrap();
    expect.assert_eq(&show(&message.batch(&query(&parameters), DEVICE)));
}

#[test]
fn an_event_is_kept_as_sent() {
    check(
        "push",
        r#"{"type":"event","evtName":"Product Viewed","evtData":{"Price":59.99,"when":"$D_1700000000","tags":["a"],"nested":{"a":{"b":1}}},"id":"A","g":"x","s":1789999999,"pg":1,"af":{"lib":"web-sdk-v2.5.2","protocol":"https"},"dsync":true}"#,
        &expect![[
            r#"1790000000 ObjectId=GUID Product Viewed {"Price":59.99,"when":"$D_1700000000","tags":["a"],"nested":{"a":{"b":1}}} session=Some(1789999999) {"lib":"web-sdk-v2.5.2","protocol":"https"}"#
        ]],
    );
    check(
        "push",
        r#"{"type":"event","evtName":"wzrk_fetch","evtData":{"t":4}}"#,
        &expect![""],
    );
    check(
        "push",
        r#"{"type":"event","evtName":"Notification Clicked"}"#,
        &expect!["1790000000 ObjectId=GUID Notification Clicked {} session=None "],
    );
}

#[test]
fn profiles_carry_operators_and_identities() {
    check(
        "push",
        r#"{"type":"profile","profile":{"Name":"Jack","Phone":14155551234,"DOB":"$D_0","score":{"$incr":5},"tags":{"$add":"c"},"old":{"$delete":true},"l":{"$set":["a"]},"r":{"$remove":["a"]},"tz":"GMT+0000"}}"#,
        &expect![[
            r#"1790000000 ObjectId=GUID put:Name="Jack" put:Phone="+14155551234" put:DOB="$D_0" incr:score=5 add:tags="c" delete:old=true set:l=["a"] remove:r=["a"] put:tz="GMT+0000""#
        ]],
    );
    check(
        "push",
        r#"{"type":"profile","profile":{"Identity":"u-42","Name":"Jill"}}"#,
        &expect![[r#"1790000000 Identity=u-42 ObjectId=GUID put:Name="Jill""#]],
    );
    check(
        "push",
        r#"{"type":"profile","isOUL":true,"rc":true,"profile":{"Identity":7},"af":{"lib":"w"}}"#,
        &expect![[r#"
            1790000000 ObjectId=GUID device:Web={"lib":"w"}
            1790000000 Identity=7 ObjectId=GUID "#]],
    );
    check(
        "push",
        r#"{"type":"profile","profile":{"FBID":17,"GPID":"g-1","Name":"Jo"}}"#,
        &expect![[
            r#"1790000000 Fbid=17 Gpid=g-1 ObjectId=GUID put:FBID=17 put:GPID="g-1" put:Name="Jo""#
        ]],
    );
    check(
        "push",
        r#"{"type":"profile","profile":{"ct_optout":true}}"#,
        &expect!["1790000000 ObjectId=GUID put:ct_optout=true"],
    );
}

#[test]
fn the_request_says_who_opts_out_where_the_profile_does_not() {
    let cases = [
        ("{}", "&optOut=true", "put:ct_optout=true"),
        ("{}", "&optOut=false", "put:ct_optout=false"),
        (
            r#"{"ct_optout":true}"#,
            "&optOut=true",
            "put:ct_optout=true",
        ),
        ("{}", "", ""),
    ];
    for (profile, parameters, expect) in cases {
        let text = format!(r#"{{"type":"profile","profile":{profile}}}"#);
        let message = Message::decode(&text).unwrap();
        let parameters = format!("d=x{parameters}");
        let shown = show(&message.batch(&query(&parameters), DEVICE));
        assert_eq!(shown, format!("0 ObjectId=GUID {expect}"), "{text}");
    }
}

#[test]
fn a_browser_opts_out_beside_a_profile_that_cannot_be_taken() {
    let profile = r#"{"type":"profile","profile":{"Identity":"u1","identity":"u2"}}"#;
    let twice = r#"{"type":"profile","profile":{},"profile":{"Name":"Jo"}}"#;
    let (out, back) = ("put:ct_optout=true", "put:ct_optout=false");
    let cases = [
        (profile, "&optOut=true", Some(out)),
        (profile, "&optOut=false", Some(back)),
        (profile, "", None),
        (twice, "&optOut=true", Some(out)),
        // What is ambiguous opts nobody in.
        (twice, "&optOut=false", None),
    ];
    for (text, parameters, expect) in cases {
        let message = Message::decode(text).unwrap();
        let parameters = format!("d=x{parameters}");
        let shown = show(&message.batch(&query(&parameters), DEVICE));
        let mut lines: Vec<_> = shown.lines().collect();
        let rejected = lines.pop();
        assert_eq!(rejected, Some("rejected key_twice Ambiguous"), "{text}");
        let expect = expect.map(|it| format!("0 ObjectId=GUID {it}"));
        assert_eq!(lines, expect.as_deref().into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn where_a_browser_is_is_known_of_its_person() {
    check(
        "push",
        r#"{"type":"profile","profile":{"tz":"GMT+0530"},"af":{"lib":"w","Latitude":19.07,"Longitude":72.87}}"#,
        &expect![[
            r#"1790000000 ObjectId=GUID put:tz="GMT+0530" put:Latitude=19.07 put:Longitude=72.87"#
        ]],
    );
}

#[test]
fn who_somebody_is_does_not_hang_on_another_property() {
    check(
        "push",
        r#"{"type":"profile","isOUL":true,"profile":{"Identity":"u1","Name":"Jo","Email":"","Phone":"n/a","n":{"$incr":"x"}},"af":{"lib":"w"}}"#,
        &expect![[r#"
            1790000000 Identity=u1 ObjectId=GUID put:Name="Jo"
            rejected email_invalid Person(Identity, "u1")"#]],
    );
    check(
        "push",
        r#"{"type":"profile","isOUL":true,"profile":{"Identity":"u1","Name":"Jo","p":{"a":{"b":{"c":{"d":1}}}}}}"#,
        &expect![[r#"
            1790000000 Identity=u1 ObjectId=GUID put:Name="Jo"
            rejected nested_too_deep Person(Identity, "u1")"#]],
    );
    check(
        "push",
        r#"{"type":"profile","profile":{"FBID":"f","Name":"Jo","p":{"a":{"b":{"c":{"d":1}}}}}}"#,
        &expect![[r#"
            1790000000 Fbid=f ObjectId=GUID put:FBID="f" put:Name="Jo"
            rejected nested_too_deep Person(Fbid, "f")"#]],
    );
    // What counts up is kept as well, and who opts out.
    check(
        "push",
        r#"{"type":"profile","profile":{"p":{"a":{"b":{"c":{"d":1}}}},"n":{"$incr":1},"ct_optout":true}}"#,
        &expect![[r#"
            1790000000 ObjectId=GUID incr:n=1 put:ct_optout=true
            rejected nested_too_deep Person(ObjectId, "GUID")"#]],
    );
    check(
        "push",
        r#"{"type":"profile","profile":{"Identity":"u1","identity":"u2","Name":"Jo"}}"#,
        &expect!["rejected key_twice Ambiguous"],
    );
    check(
        "push",
        r#"{"type":"profile","profile":{"Gender":"","Age":"old"}}"#,
        &expect![[r#"rejected gender_invalid Person(ObjectId, "GUID")"#]],
    );
}

#[test]
fn pages_pings_and_push_tokens() {
    check(
        "page",
        r#"{"us":"news","um":"email","uc":"c1","referrer":"x.test","cpg":"https://x.test/a?b","af":{"lib":"w"}}"#,
        &expect![[
            r#"1790000000 ObjectId=GUID device:Web={"lib":"w","utm_source":"news","utm_medium":"email","utm_campaign":"c1","referrer":"x.test","page":"https://x.test/a?b"}"#
        ]],
    );
    check("ping", r#"{"id":"A"}"#, &expect![""]);
    check(
        "data",
        r#"{"endpoint":"tok-1","keys":{"p256dh":"p","auth":"a"},"browser":"Chrome"}"#,
        &expect![[
            r#"1790000000 ObjectId=GUID token:chrome={"id":"tok-1","type":"chrome","keys":{"p256dh":"p","auth":"a"}}"#
        ]],
    );
    check(
        "data",
        r#"{"type":"data","action":"unregister","g":"x","id":"A","s":1}"#,
        &expect![[
            r#"1790000000 ObjectId=GUID token:chrome={"type":"chrome","action":"unregister"}"#
        ]],
    );
}

#[test]
fn what_is_wrong_is_rejected_alone() {
    check(
        "data",
        "{}",
        &expect![[r#"rejected token_id_missing Person(ObjectId, "GUID")"#]],
    );
    check(
        "push",
        "{}",
        &expect![[r#"rejected type_unknown Person(ObjectId, "GUID")"#]],
    );
    check(
        "push",
        r#"{"type":"event","evtName":"a","evtName":"b"}"#,
        &expect!["rejected key_twice Ambiguous"],
    );
    check(
        "push",
        r#"{"type":"profile","profile":{"Email":"none"}}"#,
        &expect![[r#"rejected email_invalid Person(ObjectId, "GUID")"#]],
    );
    check(
        "push",
        r#"{"type":"event","evtName":"a","evtData":[1]}"#,
        &expect![[r#"rejected event_data_invalid Person(ObjectId, "GUID")"#]],
    );
    for text in ["", "[]", "7", "{", "{} x", r#"{"id":"A","id":"B"}"#] {
        assert!(Message::decode(text).is_err(), "{text}");
    }
}

#[test]
fn a_browser_keeps_its_id_until_another_person_signs_in() {
    let check = |text: &str, gc: &str, expect: Option<&str>| {
        let parameters = format!("d=x&gc={gc}");
        let device = Message::decode(text).unwrap().device(&query(&parameters));
        assert_eq!(device.as_deref(), expect, "{text} {gc}");
    };
    check("{}", "", None);
    check(r#"{"g":"abc"}"#, "", Some("abc"));
    check("{}", "abc", Some("abc"));
    check("{}", "abc:OO", Some("abc"));
    check("{}", "abc%3AOO", Some("abc"));
    check(r#"{"g":"abc:OO"}"#, "", Some("abc"));
    check("{}", "abc:OO:OO", Some("abc"));
    check(r#"{"g":"abc:OO:OO:OO"}"#, "", Some("abc"));
    check("{}", ":OO:OO", None);
    check(r#"{"isOUL":true,"rc":true}"#, "abc", None);
    check(r#"{"isOUL":true}"#, "", None);
    // The first sign-in has waited for the browser's id.
    check(r#"{"isOUL":true}"#, "abc", Some("abc"));
    check(r#"{"isOUL":true,"g":"kept"}"#, "abc", Some("kept"));
    check(r#"{"g":"');alert(1)//"}"#, "", None);
    check(r#"{"g":7}"#, "%27", None);
}

#[test]
fn a_browser_that_has_opted_out_says_so_until_it_opts_in() {
    let check = |text: &str, parameters: &str, expect: bool| {
        let parameters = format!("d=x&{parameters}");
        let is_out = Message::decode(text)
            .unwrap()
            .is_opted_out(&query(&parameters));
        assert_eq!(is_out, expect, "{text} {parameters}");
    };
    check("{}", "gc=abc", false);
    check("{}", "gc=abc:OO", true);
    check("{}", "gc=abc%3AOO&optOut=true", true);
    check("{}", "gc=abc:OO&optOut=false", false);
    check("{}", "gc=abc:OO:OO", true);
    check("{}", "gc=abc:OO:OO&optOut=false", false);
    check(r#"{"g":"abc:OO"}"#, "", true);
    check(r#"{"g":"abc:OO"}"#, "gc=abc&optOut=false", false);
    check(r#"{"g":"abc"}"#, "optOut=true", false);
}

#[test]
fn parameters_are_read_leniently() {
    let whole = query(
        "t=96&type=push&d=N4%2B%3D&rn=7&i=1790000000&sn=2&gc=abc&useIP=true&optOut=false&s=5",
    );
    assert_eq!((&*whole.data, whole.number, whole.sequence), ("N4+=", 7, 2));
    assert_eq!(
        (whole.opt_out, whole.uses_ip, whole.session),
        (Some(false), true, Some(5))
    );
    assert_eq!(
        (whole.call, whole.at()),
        (Call::Push, Some(Timestamp::from_seconds(1_790_000_000)))
    );
    let bare = query("d=x&rn=-1&i=0&optOut=maybe&useIP=TRUE&rn=9&s=99999999999");
    assert_eq!(
        (bare.number, bare.at(), bare.opt_out, bare.uses_ip),
        (0, None, None, false)
    );
    assert_eq!((bare.session, bare.call), (None, Call::Other));
    assert_eq!(Query::decode("t=96&rn=1"), None);
    assert_eq!(Query::decode("d="), None);
}

#[test]
fn what_a_browser_remembers_is_unpacked_where_it_is_asked_for() {
    for (remembered, expect) in [
        (r#"{"d_e":["GDY2"]}"#, true),
        (r#"{"j_n":"x","d_e":["GDY2","R3hQ"]}"#, true),
        (r#"{"d_e":[]}"#, false),
        ("{}", false),
    ] {
        let packed = packed(remembered);
        let parameters = format!("d=x&arp={}", packed.replace('+', "%2B"));
        let query = query(&parameters);
        assert_eq!(query.remembered.as_deref(), Some(&*packed));
        assert_eq!(query.remembers_discarded(), expect, "{remembered}");
    }
    assert!(!query("d=x&arp=no").remembers_discarded());
    assert!(!query("d=x").remembers_discarded());
}

const ANSWER: Answer<'_> = Answer {
    device: DEVICE,
    session: 1_790_000_000,
    is_login: false,
    number: 3,
    opt_out: None,
    is_out: false,
    discarded: None,
    wants_variables: false,
};

#[test]
fn answers_are_to_the_letter() {
    let answer = ANSWER;
    let check = |answer: Answer<'_>, script: &Expect, json: &Expect| {
        script.assert_eq(&answer.script());
        json.assert_eq(&answer.json());
        serde_json::from_str::<serde_json::Value>(&answer.json()).unwrap();
    };
    check(
        answer,
        &expect![
            "$WZRK_WR.tr({\"arp\":{}});$WZRK_WR.s('0123456789abcdef0123456789abcdef',1790000000,false,3);"
        ],
        &expect![[
            r#"{"tr":{"arp":{}},"meta":{"g":"0123456789abcdef0123456789abcdef","sid":1790000000,"rf":false,"rn":"3"}}"#
        ]],
    );
    check(
        Answer {
            opt_out: Some(true),
            ..answer
        },
        &expect![
            "$WZRK_WR.tr({\"arp\":{}});$WZRK_WR.s('0123456789abcdef0123456789abcdef:OO',1790000000,false,3,true);"
        ],
        &expect![[
            r#"{"tr":{"arp":{}},"meta":{"g":"0123456789abcdef0123456789abcdef:OO","sid":1790000000,"rf":false,"rn":"3","optOut":true}}"#
        ]],
    );
    check(
        Answer {
            opt_out: Some(false),
            ..answer
        },
        &expect![
            "$WZRK_WR.tr({\"arp\":{}});$WZRK_WR.s('0123456789abcdef0123456789abcdef',1790000000,false,3,false);"
        ],
        &expect![[
            r#"{"tr":{"arp":{}},"meta":{"g":"0123456789abcdef0123456789abcdef","sid":1790000000,"rf":false,"rn":"3","optOut":false}}"#
        ]],
    );
    check(
        Answer {
            is_login: true,
            discarded: Some(&["Old", "Caf\u{e9} '</script>"]),
            ..answer
        },
        &expect![
            "$WZRK_WR.tr({\"arp\":{\"d_e\":[\"GDY2\",\"FDs0iJsQFgh4KTE5PiomdQ==\"],\"isOUL\":true}});$WZRK_WR.s('0123456789abcdef0123456789abcdef',1790000000,true,3);"
        ],
        &expect![[
            r#"{"tr":{"arp":{"d_e":["GDY2","FDs0iJsQFgh4KTE5PiomdQ=="],"isOUL":true}},"meta":{"g":"0123456789abcdef0123456789abcdef","sid":1790000000,"rf":true,"rn":"3"}}"#
        ]],
    );
    check(
        Answer {
            is_out: true,
            ..answer
        },
        &expect![
            "$WZRK_WR.tr({\"arp\":{}});$WZRK_WR.s('0123456789abcdef0123456789abcdef:OO',1790000000,false,3);"
        ],
        &expect![[
            r#"{"tr":{"arp":{}},"meta":{"g":"0123456789abcdef0123456789abcdef:OO","sid":1790000000,"rf":false,"rn":"3"}}"#
        ]],
    );
}

#[test]
fn an_id_never_ends_the_text_that_it_stands_in() {
    for byte in 0..=u8::MAX {
        let device = format!("_w_a{}b", char::from(byte));
        let answer = Answer {
            device: &device,
            ..ANSWER
        };
        let json: serde_json::Value = serde_json::from_str(&answer.json()).unwrap();
        let said = json["meta"]["g"].as_str().unwrap();
        assert!(said.is_empty() || said == device, "{device:?}");
        assert!(!said.contains(['\'', '\\']), "{device:?}");
        let script =
            format!("$WZRK_WR.tr({{\"arp\":{{}}}});$WZRK_WR.s('{said}',1790000000,false,3);");
        assert_eq!(answer.script(), script, "{device:?}");
    }
}

#[test]
fn what_is_not_there_is_told_where_something_waits_for_it() {
    let check = |answer: Answer<'_>, told: &str| {
        let (script, json) = (answer.script(), answer.json());
        assert!(
            script.starts_with(&format!("$WZRK_WR.tr({told});")),
            "{script}"
        );
        assert!(json.starts_with(&format!("{{\"tr\":{told},")), "{json}");
    };
    let no_longer = Answer {
        discarded: Some(&[]),
        ..ANSWER
    };
    check(no_longer, r#"{"arp":{"d_e":[]}}"#);
    let variables = Answer {
        wants_variables: true,
        ..ANSWER
    };
    check(variables, r#"{"arp":{},"vars":{}}"#);
}

#[test]
fn a_session_goes_on_until_nothing_is_heard_for_20_minutes() {
    const NOW: u32 = 1_790_000_000;
    let session = |sent, last| session(sent, last, Timestamp::from_seconds(NOW.into()));
    let long_ago = NOW - 86_400;
    assert_eq!(session(None, None), NOW);
    assert_eq!(session(None, Some(NOW - 1)), NOW);
    assert_eq!(session(Some(long_ago), Some(NOW - 1_199)), long_ago);
    assert_eq!(session(Some(long_ago), Some(NOW - 1_200)), NOW);
    // Of a browser that is new here its word counts, as far as it is young.
    assert_eq!(session(Some(NOW - 1_199), None), NOW - 1_199);
    assert_eq!(session(Some(NOW - 1_200), None), NOW);
    // An id that is smaller than its own would be ignored.
    assert_eq!(session(Some(NOW + 7), None), NOW + 7);
    assert_eq!(session(Some(NOW + 7), Some(NOW - 1_200)), NOW + 7);
    // The clock was put back.
    assert_eq!(session(Some(NOW - 9), Some(NOW + 9)), NOW - 9);
    assert_eq!(super::session(None, None, Timestamp::from_seconds(-5)), 1);
}

proptest! {
    #[test]
    fn hostile_messages_never_panic(text: String, parameters: String) {
        drop(Subscription::decode(&parameters));
        if let (Ok(message), Some(query)) = (Message::decode(&text), Query::decode(&parameters)) {
            let device = message.device(&query).unwrap_or_default();
            drop(message.batch(&query, &device));
            drop(message.sealed());
        }
    }

    #[test]
    fn hostile_objects_never_panic(
        members in prop::collection::vec((
            prop::sample::select(vec!["type", "evtName", "evtData", "profile", "g", "s", "af",
                "endpoint", "keys", "action", "isOUL", "encrypted", "itp", "itk", "itv", "cpg"]),
            prop::sample::select(vec!["\"event\"", "\"profile\"", "\"data\"", "true", "{}", "[]",
                "7", "null", "\"\\ud800\"", "{\"Identity\":\"x\"}", "{\"a\":{\"$incr\":1}}", "\"\""]),
        ), 0..8),
        call in prop::sample::select(vec!["push", "page", "data", "ping", "?"]),
    ) {
        let members: Vec<_> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        let text = format!("{{{}}}", members.join(","));
        let parameters = format!("d=x&type={call}");
        let (message, query) = (Message::decode(&text).unwrap(), query(&parameters));
        let batch = message.batch(&query, DEVICE);
        prop_assert!(batch.records.len() + batch.rejections.len() <= 2);
        for record in &batch.records {
            let named = record.names.iter().any(|(kind, name)| kind == IdentityKind::ObjectId && name == DEVICE);
            prop_assert!(named);
            if let Content::Profile { changes, .. } = &record.content {
                prop_assert!(changes.iter().all(|it| it.op != ChangeOp::Identify));
                for change in changes {
                    prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(change.value.as_str()).is_ok());
                }
            }
        }
        drop(message.sealed());
    }
}

#[test]
fn a_message_that_was_kept_is_read_again_as_it_was() {
    for (message, parameters) in [
        (
            r#"{"type":"event","evtName":"E","evtData":{"a":"\u00fc"},"id":"A","s":9}"#,
            "type=push&i=17",
        ),
        (
            r#"{"type":"event","evtName":"E","id":"A"}"#,
            "type=push&s=4",
        ),
        (
            r#"{"id":"A","af":{"lib":"x"},"cpg":"https://a.test/"}"#,
            "type=page&i=17",
        ),
        (
            r#"{"type":"profile","profile":{"Identity":"u1","a":1},"id":"A"}"#,
            "type=push",
        ),
        (
            r#"{"id":"A","endpoint":"e","browser":"Chrome"}"#,
            "type=data&i=5",
        ),
        (r#"{"type":"event","id":"A"}"#, "type=push"),
    ] {
        let parameters = format!("d=x&{parameters}");
        let query = query(&parameters);
        let before = show(&Message::decode(message).unwrap().batch(&query, DEVICE));
        let kept = keep(message, &query, DEVICE);
        assert_eq!(show(&reread(&kept).unwrap()), before, "{kept}");
    }
    for other in [
        "",
        "[]",
        "{}",
        r#"{"g":"x y","message":{}}"#,
        r#"{"g":"x","message":"y"}"#,
    ] {
        assert!(reread(other).is_err(), "{other}");
    }
}
