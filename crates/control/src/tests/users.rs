//! Users, their roles, and the links that let them in.

use governance::access::Rights;
use model::{AccountId, Clock as _, ErrorKind, Secret, Timestamp};
use std::time::Duration;

use super::support::{Faulty, World, dump, operator};
use crate::authz::{Act, allows};
use crate::{
    Actor, AuditFilter, AuditOutcome, Client, Control, Error, Factors, NewUser, SignedIn, Stage,
    UserAct, UserId,
};

const HOUR: Duration = Duration::from_secs(3_600);

async fn world(seed: u64) -> (World, tempfile::TempDir, Control, AccountId) {
    let world = World::new(seed);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let made = control
        .create_account(&operator(), "Shop", "UTC")
        .await
        .unwrap();
    (world, dir, control, made.account_id)
}

async fn invite(control: &Control, id: AccountId, email: &str, role: &str) -> String {
    let invited = control
        .invite_user(&operator(), id, email, "", role, None)
        .await;
    invited.unwrap().expose().clone()
}

/// Gives a role that counts at once: whoever is new follows the link, others have it by a grant.
async fn employ(control: &Control, id: AccountId, email: &str, role: &str) {
    let link = invite(control, id, email, role).await;
    match join(control, &link, email).await {
        Ok(_) => {}
        // A user already: it is accepted by whoever has signed in.
        Err(Error::Conflict(_)) => {
            let users = control.users(&operator(), id).await.unwrap();
            let user = users.iter().find(|it| it.email == email).unwrap();
            let bytes = hex::decode(&user.id).unwrap();
            let by = SignedIn {
                session: String::new(),
                user: UserId(bytes.try_into().unwrap()),
                email: email.to_owned(),
                name: String::new(),
                stage: Stage::Full,
                factor_at: None,
                factors: Factors::default(),
                actor: control.user_actor(email).await.unwrap(),
                now: Timestamp::from_ms(0),
            };
            control.accept_link(&link, &by).await.unwrap();
        }
        Err(error) => panic!("{error}"),
    }
}

async fn join(control: &Control, link: &str, email: &str) -> crate::Result<crate::NewSession> {
    let new = NewUser {
        email: email.to_owned(),
        name: String::from("Somebody"),
        password: Secret::new(String::from("a lamp beside nine walnuts")),
        accepts_terms: true,
    };
    control.follow_link(link, new, &Client::default()).await
}

fn kind<T>(result: Result<T, Error>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[tokio::test]
async fn a_user_is_what_the_roles_give_until_they_are_taken() {
    let (world, _dir, control, id) = world(500).await;
    employ(&control, id, "Ann@Example.com ", "admin").await;
    employ(&control, id, "bob@example.com", "member").await;
    let bob = control.user_actor("bob@example.com").await.unwrap();
    assert!(allows(&bob, Act::ReadPeople, id) && !allows(&bob, Act::ReadAudit, id));
    let end = world.clock.now().plus(HOUR);
    control
        .grant_role(&operator(), id, "bob@example.com", "auditor", Some(end))
        .await
        .unwrap();
    let bob = control.user_actor("bob@example.com").await.unwrap();
    assert!(allows(&bob, Act::ReadAudit, id));
    assert_eq!(bob.role_in(id), "auditor+member");
    // The time of the grant passes.
    world.clock.advance(HOUR);
    let bob = control.user_actor("bob@example.com").await.unwrap();
    assert!(!allows(&bob, Act::ReadAudit, id));
    let error = control.audit_log(&bob, id, &AuditFilter::default()).await;
    assert_eq!(kind(error), Some(ErrorKind::Denied));
    control
        .revoke_user(&operator(), id, "bob@example.com")
        .await
        .unwrap();
    let bob = control.user_actor("bob@example.com").await.unwrap();
    assert!(Act::ALL.iter().all(|act| !allows(&bob, *act, id)));
    let users = control.users(&operator(), id).await.unwrap();
    let shown: Vec<_> = users
        .iter()
        .map(|it| (it.email.as_str(), it.state.as_str()))
        .collect();
    assert_eq!(shown, [("ann@example.com", "invited")]);
    let log = control
        .audit_log(&operator(), id, &AuditFilter::default())
        .await
        .unwrap();
    let acts: Vec<&str> = log.iter().map(|it| it.action.as_str()).collect();
    let expect = [
        "account.created",
        "user.invited",
        "link.used",
        "terms.accepted",
        "user.invited",
        "link.used",
        "terms.accepted",
        "role.granted",
        "access.refused",
        "user.revoked",
        "session.ended",
    ];
    assert_eq!(acts, expect);
}

#[tokio::test]
async fn d05_the_last_admin_stays() {
    let (world, _dir, control, id) = world(501).await;
    employ(&control, id, "ann@example.com", "admin").await;
    let ann = control.user_actor("ann@example.com").await.unwrap();
    let end = Some(world.clock.now().plus(HOUR));
    for actor in [&ann, &operator()] {
        let withdrawn = control
            .withdraw_role(actor, id, "ann@example.com", "admin")
            .await;
        assert_eq!(kind(withdrawn), Some(ErrorKind::Conflict));
        let revoked = control.revoke_user(actor, id, "ann@example.com").await;
        assert_eq!(kind(revoked), Some(ErrorKind::Conflict));
        // An end is a demotion, too.
        let ended = control
            .grant_role(actor, id, "ann@example.com", "admin", end)
            .await;
        assert_eq!(kind(ended), Some(ErrorKind::Conflict));
    }
    // One whose role ends is none to rely on.
    let temporary = control
        .invite_user(&ann, id, "tim@example.com", "", "admin", end)
        .await;
    temporary.unwrap();
    let withdrawn = control
        .withdraw_role(&ann, id, "ann@example.com", "admin")
        .await;
    assert_eq!(kind(withdrawn), Some(ErrorKind::Conflict));
    employ(&control, id, "bea@example.com", "admin").await;
    control
        .withdraw_role(&ann, id, "ann@example.com", "admin")
        .await
        .unwrap();
}

#[tokio::test]
async fn roles_are_per_account_and_nobody_gives_what_they_do_not_have() {
    let (_world, _dir, control, id) = world(502).await;
    let other = control
        .create_account(&operator(), "Other", "UTC")
        .await
        .unwrap()
        .account_id;
    employ(&control, id, "ann@example.com", "admin").await;
    employ(&control, other, "ann@example.com", "member").await;
    let rights = Rights::parse("users=write,roles=write,analysis=read").unwrap();
    control
        .set_role(&operator(), id, "clerk", rights, None)
        .await
        .unwrap();
    employ(&control, id, "carl@example.com", "clerk").await;
    let ann = control.user_actor("ann@example.com").await.unwrap();
    let carl = control.user_actor("carl@example.com").await.unwrap();
    let denied = Some(ErrorKind::Denied);

    // An Admin here is a Member there.
    let elsewhere = control
        .invite_user(&ann, other, "x@example.com", "", "member", None)
        .await;
    assert_eq!(kind(elsewhere), denied);
    assert_eq!(kind(control.users(&ann, other).await), denied);
    // A clerk makes nobody an Admin, not even himself, takes no Admin's role, and widens no role.
    for role in ["admin", "privacy_officer", "member"] {
        let given = control
            .grant_role(&carl, id, "carl@example.com", role, None)
            .await;
        assert_eq!(kind(given), denied, "{role}");
    }
    assert_eq!(
        kind(control.revoke_user(&carl, id, "ann@example.com").await),
        denied
    );
    let wider = Rights::parse("users=write,security=write").unwrap();
    assert_eq!(
        kind(control.set_role(&carl, id, "clerk", wider, None).await),
        denied
    );
    let log = control
        .audit_log(&operator(), id, &AuditFilter::default())
        .await
        .unwrap();
    let his = log.iter().filter(|it| it.actor == "carl@example.com");
    let refused: Vec<_> = his
        .filter(|it| it.outcome == AuditOutcome::Refused)
        .map(|it| (it.action.as_str(), it.outcome, &*it.description))
        .collect();
    let entry = (
        "access.refused",
        AuditOutcome::Refused,
        "refused to give or take a role: it gives more than the actor has",
    );
    assert_eq!(refused, [entry; 5]);
    let narrower = Rights::parse("analysis=read").unwrap();
    control
        .set_role(&carl, id, "reader", narrower, None)
        .await
        .unwrap();
    control
        .invite_user(&carl, id, "rita@example.com", "", "reader", None)
        .await
        .unwrap();
    // Programs and jobs give nothing.
    for actor in [Actor::passcode(id, "default"), Actor::system("job")] {
        let given = control
            .grant_role(&actor, id, "rita@example.com", "reader", None)
            .await;
        assert_eq!(kind(given), denied);
    }
}

#[tokio::test]
async fn a_role_of_an_account_changes_for_all_who_have_it_and_goes_when_nobody_does() {
    let (_world, _dir, control, id) = world(503).await;
    let wide = Rights::parse("people=write,audit_log=read").unwrap();
    control
        .set_role(&operator(), id, "desk", wide, None)
        .await
        .unwrap();
    employ(&control, id, "dora@example.com", "desk").await;
    let dora = control.user_actor("dora@example.com").await.unwrap();
    assert!(allows(&dora, Act::ReadAudit, id));
    let narrow = Rights::parse("people=read").unwrap();
    control
        .set_role(&operator(), id, "desk", narrow, None)
        .await
        .unwrap();
    let dora = control.user_actor("dora@example.com").await.unwrap();
    assert!(!allows(&dora, Act::ReadAudit, id) && allows(&dora, Act::ReadPeople, id));
    let deleted = control.delete_role(&operator(), id, "desk").await;
    assert_eq!(kind(deleted), Some(ErrorKind::Conflict));
    control
        .withdraw_role(&operator(), id, "dora@example.com", "desk")
        .await
        .unwrap();
    control.delete_role(&operator(), id, "desk").await.unwrap();
    let roles = control.roles(&operator(), id).await.unwrap();
    assert!(roles.iter().all(|role| role.is_system) && roles.len() == 5);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let (world, _dir, control, id) = world(504).await;
    let installation = AccountId::installation();
    let now = Some(world.clock.now());
    let cases = [
        (id, "not an address", "member", None, ErrorKind::Invalid),
        (id, "a@b@c", "member", None, ErrorKind::Invalid),
        (id, "a@b.c", "nothing", None, ErrorKind::NotFound),
        (id, "a@b.c", "operator", None, ErrorKind::Invalid),
        (installation, "a@b.c", "admin", None, ErrorKind::Invalid),
        (id, "a@b.c", "member", now, ErrorKind::Invalid),
        (
            "NOBODY".parse().unwrap(),
            "a@b.c",
            "member",
            None,
            ErrorKind::NotFound,
        ),
    ];
    for (account, email, role, end, expect) in cases {
        let invited = control
            .invite_user(&operator(), account, email, "", role, end)
            .await;
        assert_eq!(kind(invited), Some(expect), "{account} {email} {role}");
    }
    for name in ["", " ", "admin", "operator"] {
        let made = control
            .set_role(&operator(), id, name, Rights::NONE, None)
            .await;
        assert_eq!(kind(made), Some(ErrorKind::Invalid), "{name}");
    }
}

#[tokio::test]
async fn d07_a_link_works_once_and_for_72_hours() {
    let (world, _dir, control, id) = world(505).await;
    let first = control.create_setup_link(&operator(), id).await.unwrap();
    let seen = control.link(first.expose()).await.unwrap();
    assert_eq!(
        (seen.invitation.account, seen.invitation.role.as_str()),
        (id, "admin")
    );
    assert_eq!((seen.invitation.user, seen.email), (None, None));
    join(&control, first.expose(), "first@example.com")
        .await
        .unwrap();
    let first_admin = control.user_actor("first@example.com").await.unwrap();
    assert_eq!(first_admin.role_in(id), "admin");
    let gone = Some(ErrorKind::NotFound);
    for link in [first.expose(), "guessed", ""] {
        assert_eq!(kind(control.link(link).await), gone);
        assert_eq!(kind(join(&control, link, "x@example.com").await), gone);
    }
    let installation = AccountId::installation();
    let late = control
        .create_setup_link(&operator(), installation)
        .await
        .unwrap();
    let soon = control
        .create_setup_link(&operator(), installation)
        .await
        .unwrap();
    world.clock.advance(HOUR * 72 - Duration::from_millis(1));
    join(&control, soon.expose(), "op@example.com")
        .await
        .unwrap();
    let operator_of_it = control.user_actor("op@example.com").await.unwrap();
    assert_eq!(operator_of_it.role_in(installation), "operator");
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(
        kind(join(&control, late.expose(), "x@example.com").await),
        gone
    );
    // The links of somebody who is revoked die with the roles.
    let link = invite(&control, id, "bob@example.com", "member").await;
    control
        .revoke_user(&operator(), id, "bob@example.com")
        .await
        .unwrap();
    assert_eq!(kind(join(&control, &link, "bob@example.com").await), gone);
    let denied = control
        .create_setup_link(&Actor::passcode(id, "default"), id)
        .await;
    assert_eq!(kind(denied), Some(ErrorKind::Denied));
}

#[tokio::test]
async fn twenty_bearers_of_one_link_are_let_in_once() {
    let (_world, _dir, control, id) = world(506).await;
    let link = control.create_setup_link(&operator(), id).await.unwrap();
    let addresses: Vec<String> = (0..20).map(|it| format!("u{it}@example.com")).collect();
    let uses = addresses
        .iter()
        .map(|email| join(&control, link.expose(), email));
    let let_in = futures::future::join_all(uses).await;
    assert_eq!(let_in.iter().filter(|it| it.is_ok()).count(), 1);
}

#[tokio::test]
async fn addresses_names_and_links_are_not_in_the_file_in_plain_text() {
    let (_world, dir, control, id) = world(507).await;
    let invited = control
        .invite_user(
            &operator(),
            id,
            "wilhelmina@example.net",
            "Mina Harker",
            "admin",
            None,
        )
        .await
        .unwrap();
    let rows = dump(&control).await.join("\n").to_lowercase();
    let mut bytes = std::fs::read(dir.path().join("control.db")).unwrap();
    bytes.extend(std::fs::read(dir.path().join("control.db-wal")).unwrap());
    for canary in ["wilhelmina", "Mina Harker", invited.expose().as_str()] {
        assert!(!rows.contains(&canary.to_lowercase()), "{canary}");
        let found = bytes
            .windows(canary.len())
            .any(|it| it == canary.as_bytes());
        assert!(!found, "{canary}");
    }
}

#[tokio::test]
async fn several_acts_happen_as_one_or_not_at_all() {
    let (_world, _dir, control, id) = world(590).await;
    let invite = |email: &str, role: &str| UserAct::Invite {
        email: email.to_owned(),
        name: String::new(),
        role: role.to_owned(),
        expires_at: None,
    };
    let both = vec![
        invite("a@example.com", "member"),
        invite("b@example.com", "nothing"),
    ];
    let refused = control.change_users(&operator(), id, both).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(control.users(&operator(), id).await.unwrap().is_empty());
    let both = vec![
        invite("a@example.com", "member"),
        invite("b@example.com", "admin"),
    ];
    let links = control.change_users(&operator(), id, both).await.unwrap();
    assert_eq!(links.len(), 2);
    assert_eq!(control.users(&operator(), id).await.unwrap().len(), 2);
    for wrong in [Vec::new(), vec![invite("c@example.com", "member"); 51]] {
        let refused = control.change_users(&operator(), id, wrong).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    }
}
