//! Lists: in which order, and filtered by what.

use control::QuarantineMark;
use model::Clock as _;
use serde_json::json;
use std::time::Duration;

use super::acts::Stage;
use super::caller::{Caller, is_problem, operator};
use crate::tests::harness::Room;

#[tokio::test]
async fn the_request_log_is_sorted_and_a_page_goes_on_in_its_order() {
    let room = Room::new().await;
    for size in [3, 1, 4, 2] {
        let body = format!(r#"{{"d":[],"x":"{}"}}"#, "y".repeat(size * 100));
        room.post("/1/upload", body).await;
    }
    let caller = Caller::new(&room, "request_log=read").await;
    let all = async |sort: &str| {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = "/v2/requests?path=/1/upload&limit=3";
            let page = caller.get(&format!("{path}{sort}{cursor}")).await.json();
            let items = page["items"].as_array().unwrap().clone();
            found.extend(items.iter().map(|it| it["size_bytes"].as_u64().unwrap()));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    };
    let sizes = [3, 1, 4, 2].map(|size: u64| size * 100 + 15);
    let rising = all("&sort=size_bytes").await;
    assert!(rising.is_sorted() && rising.len() == 4, "{rising:?}");
    assert_eq!(rising.first(), Some(&sizes[1]));
    let mut falling = all("&sort=-size_bytes").await;
    falling.reverse();
    assert_eq!(falling, rising);
    for sort in [
        "",
        "&sort=-at",
        "&sort=at",
        "&sort=duration_us",
        "&sort=-duration_us",
    ] {
        let mut found = all(sort).await;
        found.sort_unstable();
        assert_eq!(found, rising, "{sort}");
    }
    let wrong = caller.get("/v2/requests?sort=peer").await;
    is_problem(&wrong, 400, "malformed");
}

#[tokio::test]
async fn requests_are_found_by_each_parameter_and_no_others_are() {
    let room = Room::new().await;
    let third = room.clock.now().plus(Duration::from_secs(2 * 86_400));
    room.four_days_of_requests().await;
    let caller = Caller::new(&room, "request_log=read,personal_information=write").await;
    let check = async |query: &str, expected: &[&str]| {
        let page = caller.get(&format!("/v2/requests?sort=at&{query}")).await;
        let page = page.json();
        let lines = page["items"].as_array().unwrap().iter();
        // The searches themselves are in the log, too.
        let found: Vec<String> = lines
            .filter(|it| it["path"] != "/v2/requests")
            .map(|it| ["path", "outcome"].map(|member| it[member].as_str().unwrap()))
            .map(|it| it.join(" "))
            .collect();
        assert_eq!(found, expected, "{query}");
    };
    let served = ["/1/upload answered", "/1/profile.json answered"];
    let (refused, dropped) = ("/1/upload refused", "/a dropped");
    check("limit=100", &[served[0], served[1], refused, dropped]).await;
    check(&format!("from={third}"), &[refused, dropped]).await;
    check(&format!("to={third}"), &served).await;
    check("plane=api", &[served[0], served[1], refused]).await;
    check("plane=collect", &[dropped]).await;
    check("outcome=answered", &served).await;
    check("outcome=refused", &[refused]).await;
    check("outcome=dropped", &[dropped]).await;
    check("reason=malformed", &[refused]).await;
    check("path=/1/upload", &[served[0], refused]).await;
    check("peer=198.51.100.7", &[dropped]).await;
    let by_network = "peer=203.0.113.0%2F24";
    check(by_network, &[served[0], served[1], refused]).await;
    check("plane=api&outcome=refused", &[refused]).await;
    check("plane=collect&outcome=refused", &[]).await;
}

#[tokio::test]
async fn quarantined_records_are_listed_by_state_and_time() {
    let room = Room::new().await;
    let stage = Stage::new(&room).await;
    let caller = Caller::new(&room, "quarantine=read").await;
    for (query, expect) in [
        ("", 1),
        ("?state=waiting", 1),
        ("?state=replayed", 0),
        ("?from=2000-01-01T00:00:00Z&to=2100-01-01T00:00:00Z", 1),
        ("?to=2000-01-01T00:00:00Z", 0),
        ("?from=2100-01-01T00:00:00Z&state=waiting", 0),
    ] {
        let answer = caller.get(&format!("/v2/quarantine{query}")).await;
        let items = answer.json()["items"].clone();
        assert_eq!(items.as_array().unwrap().len(), expect, "{query}");
    }
    let (operator, mark) = (operator(), QuarantineMark::Replayed);
    let records = vec![stage.record.parse().unwrap()];
    let marked = room
        .control
        .mark_quarantined(&operator, room.account, records, mark);
    marked.await.unwrap();
    let replayed = caller.get("/v2/quarantine?state=replayed").await.json();
    assert_eq!(replayed["items"][0]["id"], stage.record.as_str());
    let waiting = caller.get("/v2/quarantine?state=waiting").await.json();
    assert_eq!(waiting["items"], json!([]));
    for wrong in ["state=deleted", "from=yesterday"] {
        let answer = caller.get(&format!("/v2/quarantine?{wrong}")).await;
        is_problem(&answer, 400, "malformed");
    }
}
