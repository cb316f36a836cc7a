//! Somebody of a role who opens pages, past the guard.

use axum::body::Body;
use control::{Action, Actor, AuditFilter, AuditOutcome, Client, NewUser};
use governance::access::{Grant, GrantedRole, Standing, SystemRole};
use http::Request;
use model::{AccountId, Secret};

use super::html;
use crate::console::pages::bare_router;
use crate::console::staff::{Place, Staff, StaffParts};
use crate::tests::harness::{Answer, NOW, Room, answer};

pub(super) const CSRF: &str = "csrf-of-the-session";
pub(super) const NONCE: &str = "nonce-of-the-answer";

/// Text that would be a script if it were not escaped.
pub(super) const HOSTILE: &str = "\"'><script>alert(1)</script>&lt;";

/// A room with things that happened in it.
pub(super) async fn room() -> Room {
    let room = Room::new().await;
    let hostile = serde_json::Value::from(HOSTILE);
    let upload = [
        format!(
            r#"{{"type":"profile","identity":{hostile},"profileData":{{"Name":{hostile},"Email":"ann@example.com",{hostile}:{hostile},"Plan":"gold"}}}}"#
        ),
        format!(
            r#"{{"type":"event","identity":{hostile},"evtName":{hostile},"evtData":{{{hostile}:{hostile},"Email":"ann@example.com","Price":10}}}}"#
        ),
        String::from(
            r#"{"type":"event","identity":"bob","evtName":"Bought","evtData":{"What":"shoe","Price":12.5}}"#,
        ),
        String::from(
            r#"{"type":"event","identity":"bob","evtName":"Bought","evtData":{"What":"hat","Price":7}}"#,
        ),
    ];
    let upload: Vec<&str> = upload.iter().map(String::as_str).collect();
    room.upload(&upload).await;
    busy(&room).await;
    let refused = format!(
        r#"{{"d":[{{"type":"event","identity":{hostile},"evtName":"Old","ts":1000,"evtData":{{"x":{hostile}}}}}]}}"#
    );
    room.post("/1/upload", refused).await;
    refuse(&room);
    room
}

/// A request is dropped.
pub(super) fn refuse(room: &Room) {
    room.collect.drops().refuse(collect::Refused {
        plane: model::record::Plane::Collect,
        peer: "203.0.113.9".parse().unwrap(),
        tls_version: "1.3",
        method: Box::from("GET"),
        path: Box::from(HOSTILE),
        status: 0,
        reason: "unknown_url",
        size_bytes: 0,
    });
}

/// A week of events of a shop, so that there is something to draw; and Ann is a user.
async fn busy(room: &Room) {
    const NAMES: [&str; 5] = [
        "Product Viewed",
        "Searched",
        "Cart Added",
        "Charged",
        "Rated",
    ];
    let now = NOW.seconds();
    let events: Vec<String> = (0..400_i64)
        .map(|n| {
            let name = NAMES[usize::try_from(n * n % 7).unwrap() % NAMES.len()];
            let ts = now - (n * n * 3_701) % 1_900_000;
            let (who, price) = (n % 37, (n * 13) % 90);
            format!(
                r#"{{"type":"event","identity":"client-{who}","evtName":"{name}","ts":{ts},"evtData":{{"Category":"c{}","Price":{price}}}}}"#,
                n % 6
            )
        })
        .collect();
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    room.upload(&events).await;
    let (operator, email) = (Actor::os_user("tester"), "ann@example.com");
    let invited = room
        .control
        .invite_user(&operator, room.account, email, "Ann Onymous", "admin", None)
        .await
        .unwrap();
    let new = NewUser {
        email: email.to_owned(),
        name: String::new(),
        password: Secret::new(String::from("a lamp beside nine walnuts")),
        accepts_terms: true,
    };
    let client = Client::default();
    let followed = room.control.follow_link(invited.expose(), new, &client);
    followed.await.unwrap();
}

/// Somebody who looks at an account.
pub(super) struct Visitor<'r> {
    room: &'r Room,
    staff: Staff,
}

impl<'r> Visitor<'r> {
    /// Of a role of the product's own, in the room's account, or in the installation for Operators.
    pub(super) fn new(room: &'r Room, role: SystemRole) -> Self {
        let account = match role.is_of_installation() {
            true => AccountId::installation(),
            false => room.account,
        };
        let grant = Grant {
            role: GrantedRole::System(role),
            expires_at: None,
        };
        Self::of(room, account, Standing::of(&[grant], NOW))
    }

    pub(super) fn of(room: &'r Room, account: AccountId, standing: Standing) -> Self {
        let peer = "203.0.113.77".parse().unwrap();
        let actor = Actor::user("ann@example.com", [(account, standing)]).with_peer(peer);
        let rules = room.control.rules().borrow().account(account).cloned();
        let place = |account: AccountId, name: &str| Place {
            account,
            name: Box::from(name),
        };
        let staff = Staff::new(StaffParts {
            actor,
            email: Box::from("ann@example.com"),
            name: Box::from("Ann Onymous"),
            account,
            rules,
            places: vec![
                place(room.account, HOSTILE),
                place(AccountId::installation(), "Installation"),
            ],
            nonce: Box::from(NONCE),
            csrf: Box::from(CSRF),
        });
        Self { room, staff }
    }

    /// The same path below the account: `/a/{account}`.
    pub(super) fn at(&self, path: &str) -> String {
        format!("/a/{}{path}", self.staff.account())
    }

    /// A page, which must be sound.
    pub(super) async fn get(&self, path: &str) -> Answer {
        let request = Request::builder().uri(self.at(path));
        let found = self.send(request.body(Body::empty()).unwrap()).await;
        let is_page = found.headers.get("content-type");
        let is_page = is_page.is_some_and(|it| it.to_str().unwrap().starts_with("text/html"));
        if is_page && found.body.contains("id=\"content\"") {
            html::check(path, &found.body);
            assert!(!found.body.contains("<script>alert"), "{path}");
            keep(
                self.staff.actor().role_in(self.staff.account()),
                path,
                &found,
            );
        }
        found
    }

    /// A form, with the field that makes it ours.
    pub(super) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let found = self.post_as(path, form, CSRF).await;
        if found.body.contains("id=\"content\"") {
            html::check(path, &found.body);
            assert!(!found.body.contains("<script>alert"), "{path}");
        }
        found
    }

    pub(super) async fn post_as(&self, path: &str, form: &[(&str, &str)], csrf: &str) -> Answer {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form).append_pair("csrf", csrf);
        let request = Request::builder()
            .method("POST")
            .uri(self.at(path))
            .header("Content-Type", "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(body.finish())).unwrap())
            .await
    }

    async fn send(&self, mut request: Request<Body>) -> Answer {
        request.extensions_mut().insert(self.staff.clone());
        let router = bare_router().with_state(self.room.state.clone());
        answer(router, request).await
    }

    /// What the account's audit log has of an action, by this visitor: outcomes and words.
    pub(super) async fn audited(&self, action: Action) -> Vec<(AuditOutcome, String)> {
        let filter = AuditFilter {
            actions: vec![action],
            actors: vec![String::from("ann@example.com")],
            ..AuditFilter::default()
        };
        let operator = Actor::os_user("tester");
        let control = &self.room.control;
        let found = control.audit_log(&operator, self.staff.account(), &filter);
        let found = found.await.unwrap().into_iter();
        found.map(|it| (it.outcome, it.description)).collect()
    }
}

/// Where a form led.
pub(super) fn location(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303, "{answer:?}");
    answer.headers["location"].to_str().unwrap()
}

/// The first value of an attribute in a page that begins like this, as it was before escaping.
pub(super) fn link_to(page: &str, beginning: &str) -> String {
    let at = page
        .find(&format!("href=\"{beginning}"))
        .unwrap_or_else(|| {
            panic!("no link to {beginning} in {page}");
        });
    let rest = &page[at + 6..];
    let end = rest.find('"').unwrap();
    rest[..end].replace("&#38;", "&")
}

/// Puts a page where somebody can look at it, when the environment names a folder.
fn keep(role: &str, path: &str, found: &Answer) {
    let Some(folder) = std::env::var_os("STRONGROOM_PAGES").filter(|_| found.status == 200) else {
        return;
    };
    let path = path.trim_matches('/');
    let name = format!("{role}_{path}").replace(['/', '?', '&', '=', '%'], "_");
    let page = found.body.replace("\"/console.", "\"console.");
    let file = std::path::Path::new(&folder).join(format!("{name}.html"));
    std::fs::write(file, page).unwrap();
}
