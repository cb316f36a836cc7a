//! The operators' paths answer, and it is known what a connection waits for.

mod flood;
mod framing;
mod hello;
mod reasons;

use super::body::Left;
use super::busy::{Busy, Idle};
use super::ops::{Health, router};
use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt as _;

struct State(Result<(), String>);

impl Health for State {
    fn readiness(&self) -> Result<(), String> {
        self.0.clone()
    }

    fn metrics(&self) -> String {
        "# TYPE a gauge\na 1\n".to_owned()
    }
}

#[tokio::test]
async fn the_operators_paths_tell_health_readiness_and_figures() {
    let check = async |state: Result<(), String>, path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router(&(Arc::new(State(state)) as Arc<dyn Health>))
            .oneshot(request)
            .await
            .unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    let reason = "3 of 6 volumes serve, 4 are needed";
    let bad = Err(reason.to_owned());
    assert_eq!(check(Ok(()), "/healthz").await.0, 200);
    assert_eq!(check(bad.clone(), "/healthz").await.0, 200);
    assert_eq!(check(Ok(()), "/readyz").await, (200, "ready\n".to_owned()));
    assert_eq!(
        check(bad.clone(), "/readyz").await,
        (503, format!("{}\n", reason))
    );
    assert!(check(Ok(()), "/metrics").await.1.starts_with("# TYPE"));
    assert_eq!(check(Ok(()), "/").await.0, 404);
}

#[tokio::test]
async fn a_request_is_in_progress_until_its_answer_has_been_sent() {
    let busy = Busy::default();
    let (one, two) = (busy.begin(None), busy.begin(None));
    let body = one.hold(Body::from("answer"), Left::default());
    assert_eq!(busy.in_progress(), 2);
    drop(two);
    assert_eq!(busy.in_progress(), 1, "the answer is not sent yet");
    drop(body.collect().await.unwrap());
    assert_eq!(busy.in_progress(), 0);
}

/// Where an answer is that the peer takes.
#[derive(Debug, Clone, Copy)]
enum Held {
    /// With us: the library has no room for it.
    Here,
    /// With us, while another one is being worked on.
    BesideWork,
    /// With the library, all of it.
    There,
}

/// What ends a connection, in an hour at most, whose peer takes so many bytes a second of an answer.
async fn ends(held: Held, bytes_a_second: u64) -> Option<Idle> {
    const TIMEOUT: Duration = Duration::from_secs(15);
    let busy = Busy::default();
    let answer = busy.begin(None).hold(Body::from("answer"), Left::default());
    let answer = Some(answer).filter(|_| !matches!(held, Held::There));
    let work = matches!(held, Held::BesideWork).then(|| busy.begin(None));
    let start = tokio::time::Instant::now();
    let taken = || bytes_a_second * start.elapsed().as_secs();
    let idle = busy.idle(TIMEOUT, TIMEOUT, taken);
    let ended = tokio::time::timeout(Duration::from_secs(3_600), idle).await;
    drop((answer, work));
    ended.ok()
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_taken_too_slowly_ends_the_connection_wherever_it_is() {
    let cases = [
        (Held::Here, Idle::NotTaken),
        (Held::BesideWork, Idle::NotTaken),
        (Held::There, Idle::Nothing),
    ];
    for (held, end) in cases {
        for bytes_a_second in [0, 1, 8 * 1024] {
            let ended = ends(held, bytes_a_second).await;
            assert_eq!(ended, Some(end), "{held:?} {bytes_a_second}");
        }
        for bytes_a_second in [16 * 1024, 1 << 20] {
            let ended = ends(held, bytes_a_second).await;
            assert_eq!(ended, None, "{held:?} {bytes_a_second}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_worked_on_is_not_waited_for() {
    let busy = Busy::default();
    let worked_on = busy.begin(None);
    let second = Duration::from_secs(1);
    let idle = busy.idle(second, second, || 0);
    let ended = tokio::time::timeout(second * 3_600, idle).await;
    assert!(ended.is_err(), "{ended:?}");
    drop(worked_on);
    assert_eq!(busy.idle(second, second, || 0).await, Idle::Nothing);
}
