//! Calls that ask, look up and delete; cursors; refusals.

use expect_test::expect;
use jiff::civil::date;
use jiff::tz::TimeZone;
use model::{AccountId, Day, IdentityKind, PersonKey, RecordId, Timestamp};
use proptest::prelude::*;
use std::time::Duration;

use crate::rest::cursor::{Cursor, CursorKind, Position};
use crate::rest::export::{self, Export, FilterValue, Operator, PropertyKind};
use crate::rest::lookup::{self, Lookup};
use crate::rest::{Refusal, delete};

const KEY: [u8; 32] = [7; 32];
const BODY: &str = "{\"event_name\":\"Product Viewed\",\"from\":20260701,\"to\":\"20260702\"}";

fn account() -> AccountId {
    "TEST-ACC-123Z".parse().unwrap()
}

fn ask(query: &str, body: &str) -> Result<Export, Refusal> {
    export::decode(query, body.as_bytes())
}

fn now() -> Timestamp {
    Timestamp::from_seconds(1_764_000_000)
}

fn after(seconds: u64) -> Timestamp {
    now().plus(Duration::from_secs(seconds))
}

#[test]
fn a_question_by_post_and_by_get_is_the_same() {
    let by_post = ask("batch_size=500", BODY).unwrap();
    let encoded: String = BODY.bytes().map(|b| format!("%{b:02X}")).collect();
    let by_get = ask(&format!("?batch_size=500&query={encoded}"), "").unwrap();
    assert_eq!(by_post, by_get);
    assert_eq!(
        ask("batch_size=500", &format!("\u{feff}{BODY}")).unwrap(),
        by_post
    );
    let form = BODY.replace('"', "%22").replace(' ', "+");
    assert_eq!(
        ask(&format!("query={form}&batch_size=500"), " "),
        Ok(by_get)
    );
    assert_eq!(by_post.event_name, "Product Viewed");
    assert_eq!(
        (by_post.from, by_post.to),
        (date(2026, 7, 1), date(2026, 7, 2))
    );
    assert!(by_post.with.app && by_post.with.events && by_post.with.profile);
    for query in [
        "app=false&events=false&profile=false",
        "app=False&events=FALSE&profile=False",
    ] {
        let without = ask(query, BODY).unwrap().with;
        assert!(!without.app && !without.events && !without.profile);
    }
}

#[test]
fn page_sizes_are_clamped() {
    let size = |query: &str| ask(query, BODY).map(|it| it.batch_size);
    for (query, expect) in [
        ("", 50),
        ("batch_size=", 50),
        ("batch_size=1", 1),
        ("batch_size=0", 1),
        ("batch_size=-5", 1),
        ("batch_size=5000", 5_000),
        ("batch_size=50000", 5_000),
        ("batch_size=99999999999999999999", 5_000),
        ("batch_size=-99999999999999999999", 1),
        ("batch_size=50.0", 50),
    ] {
        assert_eq!(size(query), Ok(expect), "{query}");
    }
    for query in ["batch_size=many", "batch_size=50.5", "batch_size=--5"] {
        assert_eq!(size(query), Err(Refusal::Malformed), "{query}");
    }
}

#[test]
fn days_are_days_of_the_accounts_zone() {
    let bounds = |zone: &str| {
        ask("", BODY)
            .unwrap()
            .bounds(&TimeZone::get(zone).unwrap())
            .unwrap()
    };
    let text = |(from, until): (Timestamp, Timestamp)| format!("{from} {until}");
    assert_eq!(
        text(bounds("UTC")),
        "2026-07-01T00:00:00.000Z 2026-07-03T00:00:00.000Z"
    );
    assert_eq!(
        text(bounds("Asia/Kolkata")),
        "2026-06-30T18:30:00.000Z 2026-07-02T18:30:00.000Z"
    );
}

#[test]
fn questions_that_cannot_be_answered_are_refused() {
    let check = |body: &str, expect: Refusal| assert_eq!(ask("", body), Err(expect), "{body}");
    for body in [
        "",
        "[]",
        "{",
        "{}",
        "{\"event_name\":\"x\"}",
        "{\"event_name\":\"\",\"from\":20260701,\"to\":20260701}",
        "{\"event_name\":7,\"from\":20260701,\"to\":20260701}",
        "{\"event_name\":\"x\",\"from\":20260701,\"to\":20260701,\"to\":20260701}",
    ] {
        check(body, Refusal::Malformed);
    }
    let dated =
        |from: &str, to: &str| format!("{{\"event_name\":\"x\",\"from\":{from},\"to\":{to}}}");
    for (from, to) in [
        ("\"2026-07-01\"", "20260702"),
        ("20260702", "20260701"),
        ("20261301", "20261302"),
        ("20260230", "20260301"),
        ("0", "0"),
        ("20260701.0", "20260701"),
        ("null", "20260701"),
        ("-9999999", "20260701"),
    ] {
        check(&dated(from, to), Refusal::InvalidDates);
    }
    // Conditions that are not kept here; those that ask for nothing do no harm.
    for condition in [
        "\"profile_fields\":[{\"name\":\"x\"}],",
        "\"common_profile_properties\":{\"demographics\":null,\"profile_fields\":[1]},",
        "\"common_profile_properties\":{\"geo_fields\":[{\"name\":\"city\",\"value\":\"x\"}]},",
        "\"common_profile_properties\":{\"demographics\":{\"age\":5}},",
        "\"common_profile_properties\":[{\"name\":\"x\",\"value\":1}],",
        "\"geo_fields\":[{\"name\":\"city\",\"value\":\"x\"}],",
        "\"common_profile_properties\":{\"event_properties\":[{\"name\":\"x\",\"value\":1}]},",
        "\"session_properties\":\"x\",",
        "\"advanced_query\":{\"did_all\":[{\"event_name\":\"x\"}]},",
    ] {
        check(
            &BODY.replace('{', &format!("{{{condition}")),
            Refusal::Malformed,
        );
    }
    for condition in [
        "\"session_properties\":[ ],",
        "\"common_profile_properties\":{\"demographics\":null,\"profile_fields\":[],\"geo_fields\":{}},",
        "\"common_profile_properties\":null,\"advanced_query\":{},",
    ] {
        let body = BODY.replace('{', &format!("{{{condition}"));
        assert_eq!(ask("", &body), ask("", BODY), "{body}");
    }
}

#[test]
fn conditions_may_be_on_the_session_and_on_the_person() {
    let list = |name: &str| format!("[{{\"name\":\"{name}\",\"value\":1}}]");
    let ask = |more: &str| ask("", &BODY.replace('{', &format!("{{{more},"))).map(|it| it.filters);
    let more = format!(
        "\"event_properties\":{},\"session_properties\":{},\"common_profile_properties\":{{\
         \"profile_fields\":{},\"demographics\":{},\"app_fields\":{},\"technographics\":{}}},\
         \"profile_fields\":{},\"technographics\":{}",
        list("a"),
        list("b"),
        list("c"),
        list("d"),
        list("e"),
        list("f"),
        list("g"),
        list("h")
    );
    let asked = ask(&more).unwrap();
    let seen: Vec<_> = asked.iter().map(|it| (it.name.as_str(), it.kind)).collect();
    let expect = [
        ("a", PropertyKind::Event),
        ("b", PropertyKind::Context),
        ("c", PropertyKind::Person),
        ("d", PropertyKind::Person),
        ("e", PropertyKind::Context),
        ("f", PropertyKind::Context),
        ("g", PropertyKind::Person),
        ("h", PropertyKind::Context),
    ];
    assert_eq!(seen, expect);
    // All of them together are as many as one list may have.
    let many = |count: usize| {
        format!(
            "[{}]",
            vec!["{\"name\":\"a\",\"value\":1}"; count].join(",")
        )
    };
    let both = |count: usize| {
        ask(&format!(
            "\"event_properties\":{},\"session_properties\":{}",
            many(count),
            many(25)
        ))
    };
    assert_eq!(both(25).unwrap().len(), 50);
    assert_eq!(both(26), Err(Refusal::Malformed));
    let values = |count: usize| {
        let values = vec!["1"; count].join(",");
        ask(&format!(
            "\"profile_fields\":[{{\"name\":\"a\",\"value\":[{values}]}}]"
        ))
    };
    assert_eq!(values(1_000).unwrap().len(), 1);
    assert_eq!(values(1_001), Err(Refusal::Malformed));
}

#[test]
fn notifications_are_counted_and_not_given_out() {
    let body = BODY.replace("Product Viewed", "Notification Sent");
    assert_eq!(ask("", &body).unwrap().event_name, "Notification Sent");
    let records = |body: &str| export::decode_for_records("", body.as_bytes()).map(drop);
    assert_eq!(records(&body), Err(Refusal::ExportNotAllowed));
    assert_eq!(records(BODY), Ok(()));
    assert_eq!(records("{}"), Err(Refusal::Malformed));
}

#[test]
fn conditions_are_read_or_the_question_is_refused() {
    let ask = |filters: &str| {
        ask(
            "",
            &BODY.replace('{', &format!("{{\"event_properties\":{filters},")),
        )
        .map(|it| it.filters)
    };
    let filters = ask(
        "[{\"name\":\"value\",\"operator\":\"contains\",\"value\":\"piz\"},\
         {\"name\":\"n\",\"operator\":\"greaterThan\",\"value\":1e3},{\"name\":\"b\",\"value\":true}]",
    )
    .unwrap();
    let seen: Vec<_> = filters
        .iter()
        .map(|it| (it.name.as_str(), it.operator, it.value.clone()))
        .collect();
    assert_eq!(
        seen,
        [
            (
                "value",
                Operator::Contains,
                Some(FilterValue::Text("piz".into()))
            ),
            (
                "n",
                Operator::GreaterThan,
                Some(FilterValue::Number("1e3".into()))
            ),
            ("b", Operator::Equals, Some(FilterValue::Bool(true))),
        ]
    );
    assert_eq!(ask("[]"), Ok(Vec::new()));
    assert_eq!(ask("null"), Ok(Vec::new()));
    let many = format!(
        "[{}]",
        vec!["{\"name\":\"a\",\"value\":1}"; 10_000].join(",")
    );
    for wrong in [
        "{}",
        "[1]",
        "[{}]",
        "[{\"name\":\"a\"}]",
        "[{\"name\":\"a\",\"operator\":\"regex\",\"value\":\"(a+)+$\"}]",
        "[{\"name\":\"a\",\"operator\":7,\"value\":1}]",
        "[{\"name\":\"a\",\"value\":[]}]",
        "[{\"name\":\"a\",\"value\":[1,null]}]",
        "[{\"name\":\"a\",\"value\":[[1]]}]",
        "[{\"name\":\"a\",\"value\":{\"b\":1}}]",
        &many,
    ] {
        assert_eq!(
            ask(wrong),
            Err(Refusal::Malformed),
            "{}",
            &wrong[..wrong.len().min(60)]
        );
    }
}

#[test]
fn operators_have_the_names_of_the_query_language_and_of_its_clients() {
    let check = |names: &[&str], expect: Operator| {
        for name in names {
            let condition = format!(
                "{{\"event_properties\":[{{\"name\":\"a\",\"operator\":\"{name}\",\"value\":1}}],"
            );
            let asked = ask("", &BODY.replace('{', &condition)).unwrap();
            assert_eq!(asked.filters[0].operator, expect, "{name}");
        }
    };
    check(&["equals"], Operator::Equals);
    check(&["not_equals", "notEquals"], Operator::NotEquals);
    check(&["contains"], Operator::Contains);
    check(
        &[
            "does_not_contain",
            "doesNotContain",
            "not_contains",
            "notContains",
        ],
        Operator::NotContains,
    );
    check(
        &["greater_than", "greaterThan", "gt"],
        Operator::GreaterThan,
    );
    check(
        &[
            "greater_than_equals",
            "greaterThanEquals",
            "greaterThanOrEquals",
            "gte",
        ],
        Operator::GreaterThanEquals,
    );
    check(&["less_than", "lessThan", "lt"], Operator::LessThan);
    check(
        &[
            "less_than_equals",
            "lessThanEquals",
            "lessThanOrEquals",
            "lte",
        ],
        Operator::LessThanEquals,
    );
    check(&["exists"], Operator::Exists);
    check(
        &["does_not_exist", "doesNotExist", "not_exists", "notExists"],
        Operator::NotExists,
    );
}

#[test]
fn conditions_have_an_older_name() {
    let condition = "[{\"name\":\"value\",\"operator\":\"contains\",\"value\":\"piz\"}]";
    let ask = |more: &str| ask("", &BODY.replace('{', &format!("{{{more},"))).map(|it| it.filters);
    let (old, new) = (
        format!("\"props\":{condition}"),
        format!("\"event_properties\":{condition}"),
    );
    assert_eq!(ask(&old).unwrap().len(), 1);
    assert_eq!(ask(&old), ask(&new));
    assert_eq!(ask(&format!("\"props\":null,{new}")), ask(&new));
    assert_eq!(ask("\"props\":[{}]"), Err(Refusal::Malformed));
    // Which of the two counts, nobody knows.
    assert_eq!(ask(&format!("{old},{new}")), Err(Refusal::Malformed));
}

#[test]
fn a_condition_may_name_several_values() {
    let condition = "{\"event_properties\":[{\"name\":\"a\",\"operator\":\"equals\",\"value\":[\"x\",1,true]}],";
    let asked = ask("", &BODY.replace('{', condition)).unwrap();
    let values = vec![
        FilterValue::Text("x".into()),
        FilterValue::Number("1".into()),
        FilterValue::Bool(true),
    ];
    assert_eq!(asked.filters[0].value, Some(FilterValue::AnyOf(values)));
}

#[test]
fn a_cursor_comes_in_the_query_string_or_in_the_body() {
    let of = |query: &str, body: &str| export::cursor_of(query, body.as_bytes());
    assert_eq!(of("cursor=Ab-_9", ""), Some("Ab-_9".into()));
    assert_eq!(of("batch_size=2&cursor=", ""), Some(String::new()));
    assert_eq!(of("cursor=%41%2D", "{}"), Some("A-".into()));
    assert_eq!(of("", "{\"cursor\":\"Ab\"}"), Some("Ab".into()));
    assert_eq!(of("", "\u{feff}{\"cursor\":\"Ab\"}"), Some("Ab".into()));
    assert_eq!(of("batch_size=2", BODY), None);
}

fn position(seed: u8) -> Position {
    Position {
        day: Day(20_000),
        person: PersonKey([seed; 16]),
        ts: now(),
        record: RecordId([seed; 16]),
    }
}

#[test]
fn a_cursor_opens_only_where_it_belongs() {
    let cursor = Cursor::new(CursorKind::Events, account(), ask("", BODY).unwrap(), now());
    let text = cursor.seal(&KEY);
    let open = |kind, account: &str, key: [u8; 32], text: &str| {
        Cursor::open(&key, kind, account.parse().unwrap(), now(), text)
    };
    assert_eq!(
        open(CursorKind::Events, "TEST-ACC-123Z", KEY, &text),
        Ok(cursor)
    );
    let wrong = [
        open(CursorKind::Profiles, "TEST-ACC-123Z", KEY, &text),
        open(CursorKind::Events, "OTHER", KEY, &text),
        open(CursorKind::Events, "TEST-ACC-123Z", [8; 32], &text),
        open(CursorKind::Events, "TEST-ACC-123Z", KEY, ""),
        open(CursorKind::Events, "TEST-ACC-123Z", KEY, "AQ"),
        open(CursorKind::Events, "TEST-ACC-123Z", KEY, "Afljfg%3D"),
        open(
            CursorKind::Events,
            "TEST-ACC-123Z",
            KEY,
            &"A".repeat(100_000),
        ),
    ];
    for it in wrong {
        assert_eq!(it, Err(Refusal::IncorrectUsage));
    }
}

#[test]
fn cursors_die_of_age_and_of_idleness() {
    let first = |kind| Cursor::new(kind, account(), ask("", BODY).unwrap(), now());
    let alive = |cursor: &Cursor, at| {
        Cursor::open(&KEY, cursor.kind, account(), at, &cursor.seal(&KEY)).map(drop)
    };
    let dead = Err(Refusal::CursorInvalidated);
    let events = first(CursorKind::Events);
    assert_eq!(alive(&events, after(3_600)), Ok(()));
    assert_eq!(alive(&events, after(3_601)), dead);
    let later = events.next(position(1), after(4 * 3_600 - 10));
    assert_eq!(alive(&later, after(4 * 3_600)), Ok(()));
    assert_eq!(alive(&later, after(4 * 3_600 + 1)), dead);
    let profiles = first(CursorKind::Profiles);
    assert_eq!(alive(&profiles, after(4 * 86_400)), Ok(()));
    assert_eq!(alive(&profiles, after(4 * 86_400 + 1)), dead);
    // A clock that was set back kills nothing.
    assert_eq!(alive(&events, Timestamp::from_ms(0)), Ok(()));
}

#[test]
fn a_lookup_takes_one_name_and_plus_is_plus_or_a_space() {
    let check = |query: &str, expect: &[Lookup]| {
        assert_eq!(lookup::decode(query).as_deref(), Ok(expect), "{query}");
    };
    let (plus, space) = ("u+1".into(), "u 1".into());
    check(
        "identity=u+1",
        &[Lookup::Identity(plus), Lookup::Identity(space)],
    );
    check(
        "?email=peter@foo.com",
        &[Lookup::Email("peter@foo.com".into())],
    );
    check(
        "email=peter%2Bx%40foo.com",
        &[Lookup::Email("peter+x@foo.com".into())],
    );
    check("objectId=-2ce3&x=1", &[Lookup::ObjectId("-2ce3".into())]);
    check("identity=100%", &[Lookup::Identity("100%".into())]);
    check("identity=%C3%A9%2", &[Lookup::Identity("é%2".into())]);
    for query in [
        "",
        "identity=",
        "identity",
        "identity=a&email=b",
        "identity=a&identity=b",
        "identity=%FF",
        "Identity=a",
    ] {
        assert_eq!(lookup::decode(query), Err(Refusal::Malformed), "{query}");
    }
}

#[test]
fn a_deletion_names_identities_or_devices() {
    use IdentityKind::{Identity, ObjectId};
    let check = |body: &str, expect: Vec<(IdentityKind, &str)>| {
        let expect: Vec<_> = expect
            .into_iter()
            .map(|(kind, it)| (kind, it.to_owned()))
            .collect();
        assert_eq!(delete::decode(body.as_bytes()), Ok(expect), "{body}");
    };
    check("{\"identity\":\"u1\"}", vec![(Identity, "u1")]);
    check(
        "{\"identity\":[\"u1\",2]}",
        vec![(Identity, "u1"), (Identity, "2")],
    );
    check("{\"guid\":[\"__g1\"]}", vec![(ObjectId, "__g1")]);
    // Java and .NET write fields that were not set.
    check(
        "{\"identity\":[\"u1\"],\"guid\":null}",
        vec![(Identity, "u1")],
    );
    check(
        "{\"identity\":null,\"guid\":\"__g1\"}",
        vec![(ObjectId, "__g1")],
    );
    let demerged = delete::decode_demerge(b"{\"identities\":[\"u1\"],\"identity\":null}");
    assert_eq!(demerged, Ok(vec!["u1".to_owned()]));
    let many = format!("{{\"identity\":[{}]}}", vec!["\"u\""; 101].join(","));
    for body in [
        "",
        "{}",
        "[]",
        "{\"identity\":[]}",
        "{\"identity\":\"\"}",
        "{\"identity\":null}",
        "{\"identity\":\"a\",\"guid\":\"b\"}",
        "{\"identity\":\"a\",\"identity\":\"b\"}",
        "{\"identity\":[[\"a\"]]}",
        "{\"identity\":\"\\ud800\"}",
        many.as_str(),
    ] {
        assert_eq!(
            delete::decode(body.as_bytes()),
            Err(Refusal::Malformed),
            "{body}"
        );
    }
}

#[test]
fn refusals_read_as_documented() {
    let all = [
        Refusal::Malformed,
        Refusal::ExportNotAllowed,
        Refusal::InvalidDates,
        Refusal::IncorrectUsage,
        Refusal::CursorInvalidated,
        Refusal::InvalidRequestId,
        Refusal::InvalidEvent("a \"b\"".into()),
        Refusal::AccountUnknown,
        Refusal::CredentialsInvalid,
        Refusal::Forbidden,
        Refusal::NotFound,
        Refusal::MethodNotAllowed,
        Refusal::TooLarge,
        Refusal::TooManyRequests,
        Refusal::Internal,
        Refusal::Unavailable,
    ];
    let bodies: String = all.iter().map(|it| it.body() + "\n").collect();
    expect![[r#"
        {"status":"fail","error":"Malformed request","code":400}
        {"status":"fail","error":"Export not allowed for this event","code":400}
        {"status":"fail","error":"Invalid date range","code":4002}
        {"status":"fail","error":"Incorrect Usage","code":3}
        {"status":"fail","error":"Invalid cursor","code":"CURSOR_INVALIDATED"}
        {"status":"fail","error":"Invalid request id","code":400}
        {"status":"fail","error":"[\"Invalid event : a \\\"b\\\"\"]","code":400}
        {"status":"fail","error":"Account ID is not valid","code":401}
        {"status":"fail","error":"Invalid Credentials","code":401}
        {"status":"fail","error":"Not allowed","code":403}
        {"status":"fail","error":"Not found","code":404}
        {"status":"fail","error":"Method not allowed","code":405}
        {"status":"fail","error":"Request too large","code":413}
        {"status":"fail","error":"Too many concurrent requests","code":429}
        {"status":"fail","error":"Internal error","code":500}
        {"status":"fail","error":"Service unavailable","code":503}
    "#]]
    .assert_eq(&bodies);
}

proptest! {
    /// What is sealed opens again, in characters that need no encoding; any changed one is refused.
    #[test]
    fn cursors_round_trip_and_resist_changes(
        name in "\\PC{1,40}", seed in any::<u8>(), at in any::<prop::sample::Index>(), by in 1_u8..64,
    ) {
        let export = Export { event_name: name, ..ask("batch_size=23", BODY).unwrap() };
        let cursor = Cursor::new(CursorKind::Events, account(), export, now())
            .next(position(seed), after(60));
        let text = cursor.seal(&KEY);
        prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        let open = |text: &str| Cursor::open(&KEY, CursorKind::Events, account(), after(60), text);
        prop_assert_eq!(open(&text).unwrap(), cursor);
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut changed = text.into_bytes();
        let at = at.index(changed.len());
        let place = ALPHABET.iter().position(|it| *it == changed[at]).unwrap();
        changed[at] = ALPHABET[(place + usize::from(by)) % 64];
        prop_assert_eq!(open(std::str::from_utf8(&changed).unwrap()), Err(Refusal::IncorrectUsage));
    }

    /// Any bytes and any query string: an answer, never a panic.
    #[test]
    fn any_call_is_answered(query in "\\PC{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _export = export::decode(&query, &bytes);
        let _export = export::decode(&format!("query={query}"), b"");
        let _cursor = export::cursor_of(&query, &bytes);
        let _lookup = lookup::decode(&query);
        let _lookup = lookup::decode(&format!("identity={query}"));
        let _names = delete::decode(&bytes);
        let _cursor = Cursor::open(&KEY, CursorKind::Events, account(), now(), &query);
    }
}
