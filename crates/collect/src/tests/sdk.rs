//! The collect plane as browsers and phones see it.

mod mobile;
mod opt_outs;
mod sessions;
mod subscription;
mod unread;
mod web;

use axum::body::Body;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use model::record::{Plane, Record};
use tower::ServiceExt as _;

use super::harness::Room;
use crate::{Connection, Silence, router};

/// What came back; none in silence.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

/// Sends to the collect plane, from 203.0.113.9 by TLS 1.3.
async fn send(room: &Room, mut request: Request<Body>) -> Option<Answer> {
    let peer = "203.0.113.9:4711".parse().unwrap();
    let connection = Connection {
        peer,
        tls_version: "1.3",
        plane: Plane::Collect,
    };
    request.extensions_mut().insert(connection);
    let response = router(&room.state).oneshot(request).await.unwrap();
    if response.extensions().get::<Silence>().is_some() {
        return None;
    }
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    Some(Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body,
    })
}

/// Everything durable but request lines, each in short.
async fn kept(room: &Room) -> Vec<String> {
    let mut kept = Vec::new();
    for entry in room.entries().await {
        let person = |key| {
            let rules = room.state.rules();
            let rules = rules.account(entry.account).unwrap();
            let known = |kind, name: &str| rules.person_key(kind, name) == key;
            let names = ["u1", "u2", "__0123456789abcdef0123456789abcdef", "abc"];
            let kinds = [model::IdentityKind::Identity, model::IdentityKind::ObjectId];
            let mut all = kinds
                .iter()
                .flat_map(|kind| names.map(|name| (*kind, name)));
            all.find(|(kind, name)| known(*kind, name))
                .map_or("other", |(_, name)| name)
        };
        match &entry.record {
            Record::Event(it) => kept.push(format!(
                "{} {} {} {}",
                it.source.as_str(),
                person(it.person),
                it.name,
                it.properties.as_str()
            )),
            Record::ProfileChange(it) => {
                for change in &it.changes {
                    let (op, value) = (change.op.as_str(), change.value.as_str());
                    kept.push(format!(
                        "{} {op} {} {value}",
                        person(it.person),
                        change.property
                    ));
                }
            }
            Record::Link(it) => kept.push(format!("{} is {}", person(it.from), person(it.to))),
            Record::Quarantined(it) => kept.push(format!("quarantined {} {}", it.code, it.error)),
            Record::Request(_) => {}
        }
    }
    kept
}
