//! A program with a passcode that is good for something.

use axum::body::Body;
use control::{Action, Actor, AuditFilter, AuditOutcome};
use governance::{PasscodeTerms, Scopes};
use http::Request;
use model::AccountId;
use serde_json::Value;

use crate::tests::harness::{Answer, Room};
use crate::v2::table::Operation;

/// Every right, and every scope.
pub(super) const EVERYTHING: &str = "api,analysis=write,people=write,personal_information=write,\
    exports=write,dictionary=write,quarantine=write,privacy_requests=write,audit_log=write,\
    request_log=write,users=write,roles=write,security=write,credentials=write,storage=write,\
    controls=write,support=write";

pub(super) fn operator() -> Actor {
    Actor::os_user("tester")
}

/// See the file's head.
pub(super) struct Caller<'r> {
    room: &'r Room,
    pub(super) account: AccountId,
    pub(super) name: String,
    pub(super) passcode: String,
}

impl<'r> Caller<'r> {
    /// With a passcode of the room's account, good for `scopes`.
    pub(super) async fn new(room: &'r Room, scopes: &str) -> Self {
        Self::of(room, room.account, scopes).await
    }

    pub(super) async fn of(room: &'r Room, account: AccountId, scopes: &str) -> Self {
        let terms = PasscodeTerms {
            scopes: Scopes::parse(scopes).unwrap(),
            ..PasscodeTerms::default()
        };
        Self::on(
            room,
            account,
            &format!("for {scopes}")[..40.min(scopes.len() + 4)],
            terms,
        )
        .await
    }

    pub(super) async fn on(
        room: &'r Room,
        account: AccountId,
        name: &str,
        terms: PasscodeTerms,
    ) -> Self {
        let control = &room.control;
        let operator = operator();
        let made = control.create_passcode_on(&operator, account, name, terms);
        let passcode = made.await.unwrap().expose().clone();
        Self {
            room,
            account,
            name: name.to_owned(),
            passcode,
        }
    }

    pub(super) fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header("X-CleverTap-Account-Id", self.account.as_str())
            .header("X-CleverTap-Passcode", &self.passcode)
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.bare("GET", path).await
    }

    /// Without a body.
    pub(super) async fn bare(&self, method: &str, path: &str) -> Answer {
        let request = self.request(method, path);
        self.room.send(request.body(Body::empty()).unwrap()).await
    }

    pub(super) async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let request = self.request(method, path);
        let request = request.header("Content-Type", "application/json");
        let request = request.body(Body::from(body.to_string())).unwrap();
        self.room.send(request).await
    }

    /// An operation, with what it is sent; nothing where there is no body.
    pub(super) async fn call(&self, operation: &Operation, path: &str, body: &Value) -> Answer {
        match body {
            Value::Null => self.bare(operation.method, path).await,
            body => self.send(operation.method, path, body).await,
        }
    }

    /// What the account's audit log has of an action, by this program: outcomes and objects.
    pub(super) async fn audited(&self, action: Action) -> Vec<(AuditOutcome, String)> {
        let filter = AuditFilter {
            actions: vec![action],
            actors: vec![self.name.clone()],
            ..AuditFilter::default()
        };
        let (control, operator) = (&self.room.control, operator());
        let found = control.audit_log(&operator, self.account, &filter);
        let found = found.await.unwrap().into_iter();
        found.map(|it| (it.outcome, it.action_id)).collect()
    }
}

/// The answer is a problem of this status and reason, in the documented shape.
pub(super) fn is_problem(answer: &Answer, status: u16, reason: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(
        answer.headers["content-type"], "application/problem+json",
        "{answer:?}"
    );
    assert_eq!(answer.headers["cache-control"], "no-store");
    let problem = answer.json();
    assert_eq!(problem["status"], status, "{answer:?}");
    assert_eq!(problem["reason"], reason, "{answer:?}");
    assert_eq!(problem["type"], "about:blank");
    assert!(problem["title"].is_string());
}
