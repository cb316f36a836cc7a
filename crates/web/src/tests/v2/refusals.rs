//! What is not carried out, in one shape.

use axum::body::Body;
use collect::Facts;
use governance::PasscodeTerms;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::time::Duration;

use super::caller::{Caller, EVERYTHING, is_problem};
use crate::error::problem::problem;
use crate::tests::harness::{JOURNAL_WRITES, NOTHING, Room};
use crate::{Error, operate};

#[tokio::test]
async fn every_refusal_is_a_problem_and_strangers_hear_what_strangers_hear() {
    let room = Room::new().await;
    let caller = Caller::new(&room, EVERYTHING).await;
    for query in [
        "limit=0",
        "limit=",
        "limit=1001",
        "limit=x",
        "from=yesterday",
        "action=nothing",
        "page=2",
        "limit=1&limit=2",
        "cursor=x",
    ] {
        let answer = caller.get(&format!("/v2/audit-log?{query}")).await;
        is_problem(&answer, 400, "malformed");
    }
    is_problem(&caller.get("/v2/nothing").await, 404, "not_found");
    is_problem(&caller.get("/v2/").await, 404, "not_found");
    let wrong = caller.bare("DELETE", "/v2/audit-log").await;
    is_problem(&wrong, 405, "wrong_method");
    assert_eq!(wrong.headers["allow"], "GET");
    assert_eq!(
        caller.bare("HEAD", "/v2/users").await.headers["allow"],
        "GET, POST"
    );
    let body = json!({"name": "x", "scopes": ["read"]}).to_string();
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
    ] {
        let request = caller
            .request("POST", "/v2/credentials")
            .header("Content-Type", kind);
        let answer = room
            .send(request.body(Body::from(body.clone())).unwrap())
            .await;
        is_problem(&answer, 415, "wrong_media_type");
    }
    for body in [
        "",
        "{",
        "[]",
        "null",
        r#"{"name":"x"}x"#,
        r#"{"name":"x","name":"y"}"#,
        r#"{"name":1,"scopes":["read"]}"#,
        r#"{"name":"x","scopes":["all"]}"#,
        r#"{"name":"x","rights":{"everything":"write"}}"#,
    ] {
        let request = caller.request("POST", "/v2/credentials");
        let request = request.header("Content-Type", "application/json");
        let answer = room.send(request.body(Body::from(body)).unwrap()).await;
        is_problem(&answer, 400, "malformed");
    }
    for body in [
        json!({"name": "x"}),
        json!({"name": " ", "scopes": ["read"]}),
        json!({"name": "x", "scopes": ["read"], "networks": ["10.0.0.1/8"]}),
        json!({"name": "x", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}),
    ] {
        is_problem(
            &caller.send("POST", "/v2/credentials", &body).await,
            422,
            "invalid",
        );
    }
    for route in crate::management_routes() {
        let request = Request::builder()
            .method(route.method)
            .uri(route.pattern.replace(['{', '}'], ""));
        let answer = room.send(request.body(Body::from("{}")).unwrap()).await;
        is_problem(&answer, 401, "unknown_account");
    }
    // Strangers: an answer where it could have been a call, silence otherwise.
    for (method, path, body, expect) in [
        ("GET", "/v2/audit-log", "", 401),
        ("POST", "/v2/users", "{}", 401),
        ("POST", "/v2/users", "\u{feff}{}", 401),
        ("POST", "/v2/users", "{", 0),
        ("PUT", "/v2/users", "{}", 0),
        ("GET", "/v2/nothing", "", 0),
        ("OPTIONS", "/v2/users", "", 0),
    ] {
        let request = Request::builder().method(method).uri(path);
        let answer = room.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(answer.status, expect, "{method} {path}");
        match expect {
            0 => assert_eq!(answer.body, "", "{method} {path}"),
            _ => is_problem(&answer, 401, "unknown_account"),
        }
    }
}

#[tokio::test]
async fn a_question_that_finds_no_memory_or_time_is_told_what_to_ask_instead() {
    let beyond = || {
        let limit = Duration::from_secs(300);
        [
            query::Error::Memory { limit_bytes: 1_000 },
            query::Error::Time { limit },
        ]
    };
    let read = beyond().map(Error::Query);
    let operated = beyond().map(|it| Error::Operate(operate::Error::Query(it)));
    for error in read.into_iter().chain(operated) {
        let response = problem(&error);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "60");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["reason"], "unavailable");
        let detail = body["detail"].as_str().unwrap();
        assert!(detail.contains("fewer days"), "{detail}");
        // The protocol's calls and the pages say the same.
        assert_eq!(error.unavailable(), detail);
        let response = error.respond(Facts::default());
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "60");
    }
}

#[tokio::test]
async fn a_byte_order_mark_before_the_body_is_no_fault() {
    let room = Room::new().await;
    let caller = Caller::new(&room, EVERYTHING).await;
    let request = caller.request("POST", "/v2/credentials");
    let request = request.header("Content-Type", "application/json");
    let body = "\u{feff}{\"name\":\"x\"}";
    let answer = room.send(request.body(Body::from(body)).unwrap()).await;
    // It is read: what it asks for is wrong.
    is_problem(&answer, 422, "invalid");
}

#[tokio::test]
async fn a_request_that_cannot_be_logged_is_not_answered() {
    let room = Room::new().await;
    let caller = Caller::new(&room, "users=read").await;
    room.store.refuse(JOURNAL_WRITES);
    is_problem(&caller.get("/v2/users").await, 503, "unavailable");
    room.store.refuse(NOTHING);
}

#[tokio::test]
async fn a_passcode_from_elsewhere_or_past_its_time_is_a_wrong_one() {
    let room = Room::new().await;
    let scopes = governance::Scopes::parse("users=read").unwrap();
    let terms = PasscodeTerms {
        scopes,
        networks: vec!["198.51.100.0/24".parse().unwrap()],
        ..PasscodeTerms::default()
    };
    let bound = Caller::on(&room, room.account, "bound", terms.clone()).await;
    is_problem(&bound.get("/v2/users").await, 401, "invalid_credentials");
    let here = PasscodeTerms {
        networks: vec!["203.0.113.0/24".parse().unwrap()],
        ..terms
    };
    let here = Caller::on(&room, room.account, "here", here).await;
    assert_eq!(here.get("/v2/users").await.status, 200);
    // The api plane's allowlist of the account.
    let change = control::AllowlistChange {
        add: vec![("198.51.100.0/24".to_owned(), String::new())],
        api: Some(true),
        ..control::AllowlistChange::default()
    };
    let operator = super::caller::operator();
    let changed = room
        .control
        .change_allowlist(&operator, room.account, change);
    changed.await.unwrap();
    is_problem(&here.get("/v2/users").await, 401, "invalid_credentials");
}

#[tokio::test]
async fn a_passcode_is_good_whatever_it_is_for() {
    let room = Room::new().await;
    for scopes in ["upload", "read", "delete", "users=read"] {
        let caller = Caller::new(&room, scopes).await;
        let answer = caller.get("/v1/connect?partner=x").await;
        assert_eq!(answer.text(), r#"200 {"status":"success"}"#, "{scopes}");
    }
}
