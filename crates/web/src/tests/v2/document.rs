//! The document says what the router does, and nothing else.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

use super::caller::Caller;
use crate::tests::harness::Room;
use crate::v2::document::document;
use crate::v2::table::OPERATIONS;

/// Every documented operation: verb and URL.
fn documented() -> BTreeMap<(String, String), Value> {
    let document = serde_json::to_value(document()).unwrap();
    let mut found = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let key = (method.to_uppercase(), path.clone());
            found.insert(key, operation.clone());
        }
    }
    found
}

#[test]
fn the_routes_are_the_document_and_the_document_is_the_routes() {
    let routed: BTreeSet<(String, String)> = OPERATIONS
        .iter()
        .map(|it| (it.method.to_owned(), it.path.to_owned()))
        .collect();
    let documented: BTreeSet<_> = documented().into_keys().collect();
    assert_eq!(routed, documented);
    assert_eq!(routed.len(), OPERATIONS.len(), "a row is there twice");
}

#[test]
fn every_operation_says_what_it_needs_what_it_leaves_and_how_it_fails() {
    let documented = documented();
    let mut names = BTreeSet::new();
    for row in OPERATIONS {
        let operation = &documented[&(row.method.to_owned(), row.path.to_owned())];
        let what = format!("{} {}", row.method, row.path);
        for member in ["summary", "operationId", "x-act", "x-component", "x-level"] {
            let text = operation[member].as_str();
            assert!(text.is_some_and(|it| !it.is_empty()), "{what}: {member}");
        }
        assert!(names.insert(operation["operationId"].to_string()), "{what}");
        assert_eq!(operation["x-act"], format!("{:?}", row.act), "{what}");
        assert!(operation["x-audit"].is_array(), "{what}");
        assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{what}");
        let security = &operation["security"][0];
        assert!(security["account"].is_array() && security["passcode"].is_array());
        let responses = operation["responses"].as_object().unwrap();
        for status in ["400", "401", "403", "429", "500", "503"] {
            let content = &responses[status]["content"]["application/problem+json"];
            let problem = "#/components/schemas/Problem";
            assert_eq!(content["schema"]["$ref"], problem, "{what}: {status}");
        }
        let named = row.path.matches('{').count();
        let of_path = operation["parameters"]
            .as_array()
            .map_or(0, |all| all.iter().filter(|it| it["in"] == "path").count());
        assert_eq!(named, of_path, "{what}");
        assert!(named == 0 || responses.contains_key("404"), "{what}");
        assert!(responses.keys().any(|it| it.starts_with('2')), "{what}");
    }
}

#[test]
fn bodies_that_are_sent_are_closed() {
    let document = serde_json::to_value(document()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut looked_at = 0;
    for operation in documented().values() {
        let content = &operation["requestBody"]["content"]["application/json"];
        let Some(reference) = content["schema"]["$ref"].as_str() else {
            assert!(content.is_null(), "{content}");
            continue;
        };
        let name = reference.rsplit('/').next().unwrap();
        assert_eq!(schemas[name]["additionalProperties"], false, "{name}");
        looked_at += 1;
    }
    assert!(looked_at >= 3);
}

#[test]
fn whatever_is_referred_to_is_there() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    found.insert(reference.clone());
                }
                members.values().for_each(|it| references(it, found));
            }
            Value::Array(items) => items.iter().for_each(|it| references(it, found)),
            _ => {}
        }
    }
    let document = serde_json::to_value(document()).unwrap();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn the_document_is_served_and_known_again() {
    let room = Room::new().await;
    let caller = Caller::new(&room, "upload").await;
    let answer = caller.get("/v2/openapi.json").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.json(), serde_json::to_value(document()).unwrap());
    let tag = answer.headers["etag"].to_str().unwrap();
    let again = caller.request("GET", "/v2/openapi.json");
    let again = again.header("If-None-Match", tag);
    let again = room.send(again.body(axum::body::Body::empty()).unwrap());
    let again = again.await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
}
