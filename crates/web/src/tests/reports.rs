//! Reports, names in use, and URLs about campaigns.

use expect_test::{Expect, expect};

use super::harness::{CONTROL_WRITES, NOTHING, Room};

const RANGE: &str = r#""from":20260921,"to":20261001"#;

/// Days begin in Kolkata: 1790015399 is the last second of 21 September.
async fn room() -> Room {
    let room = Room::new().await;
    room.upload(&[
        r#"{"type":"profile","identity":"u1","profileData":{"Plan":"gold","Email":"a@example.com"}}"#,
        r#"{"type":"event","identity":"u1","ts":1790015399,"evtName":"Bought","evtData":{"what":"shoe","price":10,"new":true}}"#,
        r#"{"type":"event","identity":"u1","ts":1790015400,"evtName":"Bought","evtData":{"what":"shoe","price":2.5}}"#,
        r#"{"type":"event","identity":"u2","ts":1790015400,"evtName":"Bought","evtData":{"what":"a \"hat\"","price":"4"}}"#,
    ])
    .await;
    room
}

/// Asks for a report, and for the same again by its id, which comes with the first answer alone.
async fn check(room: &Room, path: &str, body: String, expected: Expect) {
    let answer = room.post(path, body).await;
    let answer_json = answer.json();
    let id = answer_json["req_id"].as_u64().unwrap();
    let report = answer.text().replace(&format!(",\"req_id\":{id}"), "");
    expected.assert_eq(&report);
    let by_id = format!("{path}?req_id={id}");
    assert_eq!(room.get(&by_id).await.text(), report);
    // Some clients ask again by POST, with a form of what they asked first.
    let form = "event_name=Bought&groups=what&to=20261001";
    assert_eq!(room.post(&by_id, form).await.text(), report);
}

#[tokio::test]
async fn frequent_values_stand_by_type_and_in_order() {
    let room = room().await;
    let body = format!(
        r#"{{"event_name":"Bought",{RANGE},"groups":{{
            "what":{{"property_type":"event_properties","name":"what"}},
            "least":{{"property_type":"event_properties","name":"what","top_n":1,"order":"asc"}},
            "price":{{"property_type":"event_properties","name":"price"}},
            "new":{{"property_type":"event_properties","name":"new"}},
            "plan":{{"property_type":"profile_fields","name":"Plan"}}}}}}"#
    );
    let expected = expect![[
        r#"200 {"what":{"STR":{"shoe":2,"a \"hat\"":1}},"least":{"STR":{"a \"hat\"":1}},"price":{"STR":{"4":1},"INT":{"10":1},"FLOAT":{"2.5":1}},"new":{"BOOL":{"true":1}},"plan":{"STR":{"gold":2}},"status":"success"}"#
    ]];
    check(&room, "/1/counts/top.json", body, expected).await;
}

#[tokio::test]
async fn trends_stand_by_day_week_and_month_of_the_accounts_zone() {
    let room = room().await;
    let groups = r#""groups":{"d":{"trend_type":"daily"},"w":{"trend_type":"weekly"},"m":{"trend_type":"monthly"}}"#;
    for (more, expected) in [
        (
            "",
            expect![[
                r#"200 {"d":{"20260921":1,"20260922":2,"20260923":0},"w":{"20260921":3},"m":{"20260921":3},"status":"success"}"#
            ]],
        ),
        (
            r#""unique":true,"#,
            expect![[
                r#"200 {"d":{"20260921":1,"20260922":2,"20260923":0},"w":{"20260921":2},"m":{"20260921":2},"status":"success"}"#
            ]],
        ),
        (
            r#""sum_event_prop":"price","#,
            expect![[
                r#"200 {"d":{"20260921":10,"20260922":6.5,"20260923":0},"w":{"20260921":16.5},"m":{"20260921":16.5},"status":"success"}"#
            ]],
        ),
    ] {
        let body =
            format!(r#"{{"event_name":"Bought","from":20260921,"to":20260923,{more}{groups}}}"#);
        check(&room, "/1/counts/trends.json", body, expected).await;
    }
}

#[tokio::test]
async fn a_number_that_no_double_holds_spoils_no_sum() {
    let room = room().await;
    room.upload(&[
        r#"{"type":"event","identity":"u1","ts":1790015399,"evtName":"Bought","evtData":{"price":1e400}}"#,
    ])
    .await;
    let body = r#"{"event_name":"Bought","from":20260921,"to":20260921,"sum_event_prop":"price","groups":{"d":{"trend_type":"Daily"}}}"#;
    let expected = expect![[r#"200 {"d":{"20260921":10},"status":"success"}"#]];
    check(&room, "/1/counts/trends.json", body.to_owned(), expected).await;
}

#[tokio::test]
async fn reports_that_cannot_be_made_are_refused() {
    let room = room().await;
    let invalid_group = r#"400 {"status":"fail","error":"Invalid group","code":400}"#;
    let malformed = r#"400 {"status":"fail","error":"Malformed request","code":400}"#;
    let dates = r#"400 {"status":"fail","error":"Invalid date range","code":4002}"#;
    let unknown = r#"200 {"status":"fail","error":"[\"Invalid event : Nope\"]","code":400}"#;
    let top = |groups: &str| format!(r#"{{"event_name":"Bought",{RANGE},"groups":{groups}}}"#);
    for (path, body, expected) in [
        ("top", top("{}"), invalid_group),
        ("top", top(r#"{"a":{}}"#), invalid_group),
        (
            "top",
            top(r#"{"a":{"property_type":"geo_fields","name":"x"}}"#),
            invalid_group,
        ),
        (
            "top",
            top(r#"{"a":{"property_type":"event_properties","name":"x","top_n":101}}"#),
            invalid_group,
        ),
        ("top", top("[]"), malformed),
        (
            "top",
            format!(r#"{{"event_name":"Bought",{RANGE}}}"#),
            malformed,
        ),
        (
            "trends",
            top(r#"{"a":{"trend_type":"hourly"}}"#),
            invalid_group,
        ),
        (
            "trends",
            top(r#"{"req_id":{"trend_type":"daily"}}"#),
            invalid_group,
        ),
        (
            "trends",
            top(r#"{"a":{"trend_type":"daily"}}"#)
                .replace("2026", "2024")
                .replacen("2024", "2020", 1),
            dates,
        ),
        (
            "trends",
            top(r#"{"a":{"trend_type":"daily"}}"#).replace("Bought", "Nope"),
            unknown,
        ),
        (
            "top",
            top(r#"{"a":{"property_type":"event_properties","name":"x"}}"#)
                .replace("Bought", "Nope"),
            unknown,
        ),
    ] {
        let answer = room
            .post(&format!("/1/counts/{path}.json"), body.clone())
            .await;
        assert_eq!(answer.text(), expected, "{path} {body}");
    }
    let body = top(r#"{"a":{"trend_type":"daily"}}"#);
    let asked = room.post("/1/counts/trends.json", body).await.json();
    let id = asked["req_id"].to_string();
    for unknown in ["7", "", "x", &*id] {
        let again = format!("/1/counts/top.json?req_id={unknown}");
        let expected = r#"400 {"status":"fail","error":"Invalid request id","code":400}"#;
        assert_eq!(room.get(&again).await.text(), expected, "{unknown}");
    }
}

#[tokio::test]
async fn values_are_given_out_only_when_that_is_written_down() {
    let room = room().await;
    let body = format!(
        r#"{{"event_name":"Bought",{RANGE},"groups":{{"a":{{"property_type":"profile_fields","name":"Email"}}}}}}"#
    );
    room.store.refuse(CONTROL_WRITES);
    let answer = room.post("/1/counts/top.json", body.clone()).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    room.store.refuse(NOTHING);
    let answer = room.post("/1/counts/top.json", body).await;
    assert!(answer.body.contains("a@example.com"), "{answer:?}");
}

#[tokio::test]
async fn names_in_use_are_listed_by_either_verb() {
    let room = room().await;
    let events = expect![[
        r#"200 {"events":[{"eventCount":3,"name":"Bought","properties":[],"status":"Active"}],"status":"success"}"#
    ]];
    events.assert_eq(&room.get("/getSchema?type=events").await.text());
    let properties = expect![[
        r#"200 {"status":"success","userProperties":[{"name":"Email"},{"name":"Plan"}]}"#
    ]];
    let posted = room.post("/getSchema?type=userProperties", "").await.text();
    properties.assert_eq(&posted);
    for query in ["", "?type=", "?type=others", "?type=events&type=events"] {
        assert_eq!(
            room.get(&format!("/getSchema{query}")).await.status,
            400,
            "{query}"
        );
    }
}

#[tokio::test]
async fn there_are_no_campaigns_and_nothing_pretends_so() {
    let room = room().await;
    assert_eq!(
        room.get("/v1/connect?partner=x").await.text(),
        r#"200 {"status":"success"}"#
    );
    let report = room
        .post(
            "/1/message/report.json",
            r#"{"from":20260921,"to":20260921}"#,
        )
        .await;
    assert_eq!(
        report.text(),
        r#"200 {"status":"success","total_results":0,"messages":[]}"#
    );
    let broken = room.post("/1/message/report.json", r#"{"from":"#).await;
    assert_eq!(
        broken.text(),
        r#"400 {"status":"fail","error":"Malformed request","code":400}"#
    );
    let categories = room.get("/category-groups").await.text();
    assert_eq!(categories, r#"200 {"status":"success","list":[]}"#);
    let blocks = room
        .get("/v1/contentBlock/list?pageNumber=1&pageSize=100")
        .await
        .text();
    assert_eq!(
        blocks,
        r#"200 {"status":"success","contentBlocks":[],"total":0}"#
    );
    for target in ["create", "estimate", "list", "result", "stop"] {
        let answer = room.post(&format!("/1/targets/{target}.json"), "{}").await;
        let expected = r#"501 {"status":"fail","error":"Campaigns are not available on this server","code":501}"#;
        assert_eq!(answer.text(), expected);
    }
}
