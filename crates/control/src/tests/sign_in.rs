//! Passwords, second factors, sessions: who gets in, how often one may try, and what ends it.

use model::{AccountId, Clock as _, ErrorKind, Secret, Timestamp};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;
use totp_rs::{Algorithm, Builder};

use super::support::{Faulty, World, dump, operator};
use crate::{
    Act, AuditFilter, Client, Code, Control, Error, NewSession, NewUser, Result, SignedIn, Stage,
};

pub(super) const PASSWORD: &str = "a lamp beside nine walnuts";
pub(super) const EMAIL: &str = "ann@example.com";
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const STEP: Duration = Duration::from_secs(30);

pub(super) struct House {
    pub(super) world: World,
    pub(super) dir: tempfile::TempDir,
    pub(super) control: Control,
    pub(super) id: AccountId,
}

/// A user who has set up an authenticator app.
pub(super) struct Somebody {
    pub(super) token: String,
    pub(super) secret: String,
    pub(super) recovery: Vec<String>,
}

pub(super) fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

pub(super) fn client(peer: &str) -> Client {
    Client {
        peer: Some(peer.parse().unwrap()),
        agent: String::from("a browser"),
    }
}

pub(super) fn new_user(email: &str, password: &str) -> NewUser {
    NewUser {
        email: email.to_owned(),
        name: String::from("Ann"),
        password: Secret::new(password.to_owned()),
        accepts_terms: true,
    }
}

impl House {
    pub(super) async fn new(seed: u64) -> Self {
        let world = World::new(seed);
        let dir = tempfile::tempdir().unwrap();
        let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
        let made = control.create_account(&operator(), "Shop", "UTC").await;
        Self {
            id: made.unwrap().account_id,
            world,
            dir,
            control,
        }
    }

    /// The first Admin, through the account's link.
    pub(super) async fn first(&self) -> Somebody {
        let link = self.control.create_setup_link(&operator(), self.id).await;
        self.follow(link.unwrap().expose(), EMAIL).await
    }

    pub(super) async fn follow(&self, link: &str, email: &str) -> Somebody {
        let new = new_user(email, PASSWORD);
        let session = self
            .control
            .follow_link(link, new, &Client::default())
            .await
            .unwrap();
        assert_eq!(session.stage, Stage::Enrol);
        let token = session.token.expose();
        let offer = self.control.offer_totp(token).await.unwrap();
        let secret = offer.secret.expose().clone();
        let code = code(&secret, self.now());
        let done = self.control.enrol_totp(token, &code, None).await.unwrap();
        Somebody {
            token: done.session.token.expose().clone(),
            secret,
            recovery: done
                .recovery_codes
                .iter()
                .map(|it| it.expose().clone())
                .collect(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    pub(super) async fn password(&self, email: &str, password: &str) -> Result<NewSession> {
        let client = Client::default();
        self.control.sign_in(email, password, &client).await
    }

    /// Both steps, with the code of this moment.
    pub(super) async fn sign_in(&self, secret: &str) -> Result<NewSession> {
        let half = self.password(EMAIL, PASSWORD).await?;
        let code = Code::Totp(code(secret, self.now()));
        self.control
            .show_code(half.token.expose(), code, None)
            .await
    }

    pub(super) async fn who(&self, token: &str) -> Option<SignedIn> {
        self.control.session(token, None).await.unwrap()
    }

    async fn actions(&self) -> Vec<String> {
        let log = self
            .control
            .audit_log(&operator(), self.id, &AuditFilter::default())
            .await
            .unwrap();
        let acts = log.iter().filter(|it| it.action.as_str() != "audit.read");
        acts.map(|it| {
            let outcome = serde_json::to_value(it.outcome).unwrap();
            format!("{} {}", it.action.as_str(), outcome.as_str().unwrap())
        })
        .collect()
    }
}

/// What an authenticator app shows.
pub(super) fn code(secret: &str, at: Timestamp) -> String {
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_secret(totp_rs::Secret::try_from_base32(secret).unwrap())
        .build_noncompliant()
        .generate(u64::try_from(at.ms()).unwrap() / 1_000)
        .to_string()
}

#[tokio::test]
async fn both_factors_open_what_the_roles_give_and_less_opens_nothing() {
    let house = House::new(700).await;
    let first = house.first().await;
    let ann = house.who(&first.token).await.unwrap();
    assert_eq!((ann.stage, ann.email.as_str()), (Stage::Full, EMAIL));
    assert!(ann.is_fresh() && ann.factors.totp && ann.factors.recovery_codes == 10);
    assert!(crate::authz::allows(&ann.actor, Act::ManageUsers, house.id));

    // After the password alone, the user is nobody.
    house.world.clock.advance(STEP);
    let half = house.password(" Ann@Example.com", PASSWORD).await.unwrap();
    assert_eq!(half.stage, Stage::Half);
    let seen = house.who(half.token.expose()).await.unwrap();
    assert_eq!(seen.stage, Stage::Half);
    for act in Act::ALL {
        assert!(!crate::authz::allows(&seen.actor, act, house.id), "{act:?}");
    }
    // And sets up no other factor instead of the one that there is.
    let denied = Some(ErrorKind::Denied);
    assert_eq!(
        kind(house.control.offer_totp(half.token.expose()).await),
        denied
    );
    assert_eq!(
        kind(house.control.offer_passkey(half.token.expose()).await),
        denied
    );

    // The code gives another token; the old one is dead.
    let code = Code::Totp(code(&first.secret, house.now()));
    let full = house
        .control
        .show_code(half.token.expose(), code, None)
        .await
        .unwrap();
    assert_eq!(full.stage, Stage::Full);
    assert!(house.who(half.token.expose()).await.is_none());
    assert!(house.who(full.token.expose()).await.is_some());
    assert!(house.who("guessed").await.is_none() && house.who("").await.is_none());
    let expected = [
        "account.created done",
        "link.created done",
        "link.used done",
        "terms.accepted done",
        "factor.added done",
        "sign_in.done done",
        "sign_in.password done",
        "sign_in.done done",
    ];
    assert_eq!(house.actions().await, expected);
}

#[tokio::test]
async fn e04_a_code_works_once_whoever_shows_it_how_often() {
    let house = House::new(701).await;
    let first = house.first().await;
    house.world.clock.advance(STEP);
    let code_now = code(&first.secret, house.now());
    let mut tokens = Vec::new();
    for _ in 0..20 {
        tokens.push(house.password(EMAIL, PASSWORD).await.unwrap().token);
    }
    let shown = tokens.iter().map(|token| {
        let code = Code::Totp(code_now.clone());
        house.control.show_code(token.expose(), code, None)
    });
    let taken = futures::future::join_all(shown).await;
    assert_eq!(taken.iter().filter(|it| it.is_ok()).count(), 1);
    // Nor later, while it would still be good.
    house.world.clock.advance(STEP);
    house
        .control
        .unlock_user(&operator(), house.id, EMAIL)
        .await
        .unwrap();
    let half = house.password(EMAIL, PASSWORD).await.unwrap();
    let again = house
        .control
        .show_code(half.token.expose(), Code::Totp(code_now), None);
    assert_eq!(kind(again.await), Some(ErrorKind::Denied));
}

#[tokio::test]
async fn e07_a_recovery_code_works_once_and_new_ones_void_the_old() {
    let house = House::new(702).await;
    let first = house.first().await;
    let spare = first.recovery.first().unwrap().clone();
    let mut taken = 0;
    for typed in [spare.clone(), spare.replace('-', " ").to_uppercase()] {
        let half = house.password(EMAIL, PASSWORD).await.unwrap();
        let shown = house
            .control
            .show_code(half.token.expose(), Code::Recovery(typed), None)
            .await;
        taken += i32::from(shown.is_ok());
    }
    assert_eq!(taken, 1);
    let ann = house.who(&first.token).await.unwrap();
    assert_eq!(ann.factors.recovery_codes, 9);
    let fresh = house.control.renew_recovery_codes(&ann).await.unwrap();
    assert_eq!(fresh.len(), 10);
    let half = house.password(EMAIL, PASSWORD).await.unwrap();
    let old = Code::Recovery(first.recovery.get(1).unwrap().clone());
    let shown = house
        .control
        .show_code(half.token.expose(), old, None)
        .await;
    assert_eq!(kind(shown), Some(ErrorKind::Denied));
    // Twenty at once: one.
    let code = fresh.first().unwrap().expose();
    let mut tokens = Vec::new();
    for _ in 0..20 {
        tokens.push(house.password(EMAIL, PASSWORD).await.unwrap().token);
    }
    let shown = tokens.iter().map(|token| {
        let code = Code::Recovery(code.clone());
        house.control.show_code(token.expose(), code, None)
    });
    let shown = futures::future::join_all(shown).await;
    assert_eq!(shown.iter().filter(|it| it.is_ok()).count(), 1);
    // 24 characters of 32: 120 bits, all of them different.
    let plain = |code: &str| code.replace('-', "");
    let all: BTreeSet<String> = fresh.iter().map(|it| plain(it.expose())).collect();
    assert_eq!(all.len(), 10);
    for code in &all {
        assert_eq!(code.len(), 24);
        assert!(
            code.bytes()
                .all(|it| matches!(it, b'a'..=b'z' | b'2'..=b'7'))
        );
    }
    // Neither codes nor secrets nor passwords are in the database as they are: in no row, and in no
    // byte of its files.
    let rows = dump(&house.control).await.join("\n").to_lowercase();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(house.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        files.extend(path.is_file().then(|| std::fs::read(&path).unwrap()));
    }
    assert!(files.iter().any(|it| it.starts_with(b"SQLite format 3")));
    let mut canaries = vec![
        PASSWORD.to_owned(),
        first.secret.clone(),
        first.token.clone(),
    ];
    for code in first
        .recovery
        .iter()
        .chain(fresh.iter().map(|it| it.expose()))
    {
        canaries.extend([code.clone(), plain(code)]);
    }
    for canary in canaries {
        assert!(!rows.contains(&canary.to_lowercase()), "{canary}");
        for file in &files {
            let found = file
                .windows(canary.len())
                .any(|it| it.eq_ignore_ascii_case(canary.as_bytes()));
            assert!(!found, "{canary}");
        }
    }
}

#[tokio::test]
async fn e01_wrong_passwords_slow_down_then_lock_and_an_admin_unlocks() {
    let house = House::new(703).await;
    let first = house.first().await;
    let denied = Some(ErrorKind::Denied);
    let mut judged = 0;
    // As fast as one can: most attempts fall into pauses, and are not judged.
    for _ in 0..200 {
        assert_eq!(kind(house.password(EMAIL, "wrong").await), denied);
        judged += 1;
        house.world.clock.advance(Duration::from_millis(100));
    }
    assert_eq!(judged, 200);
    assert_eq!(
        kind(house.password(EMAIL, PASSWORD).await),
        denied,
        "paused"
    );
    // Somebody else is not in the way.
    let link = house
        .control
        .invite_user(&operator(), house.id, "bob@example.com", "", "member", None)
        .await
        .unwrap();
    house.follow(link.expose(), "bob@example.com").await;

    house.world.clock.advance(MINUTE);
    for _ in 0..7 {
        assert_eq!(kind(house.password(EMAIL, "wrong").await), denied);
        house.world.clock.advance(MINUTE);
    }
    let users = house.control.users(&operator(), house.id).await.unwrap();
    let state = |email: &str| {
        let user = users.iter().find(|it| it.email == email).unwrap();
        user.state.clone()
    };
    assert_eq!(state(EMAIL), "locked");
    assert_eq!(state("bob@example.com"), "active");
    assert_eq!(
        kind(house.password(EMAIL, PASSWORD).await),
        denied,
        "locked"
    );
    // Sessions that there are go on: nobody is locked out by somebody who guesses.
    assert!(house.who(&first.token).await.is_some());
    let unlocked = house
        .control
        .unlock_user(&operator(), house.id, EMAIL)
        .await;
    unlocked.unwrap();
    assert!(house.sign_in(&first.secret).await.is_ok());
    // Without an Admin, half an hour does it.
    for _ in 0..10 {
        assert_eq!(kind(house.password(EMAIL, "wrong").await), denied);
        house.world.clock.advance(MINUTE);
    }
    assert_eq!(kind(house.password(EMAIL, PASSWORD).await), denied);
    house.world.clock.advance(MINUTE * 30);
    assert!(house.password(EMAIL, PASSWORD).await.is_ok());
}

#[tokio::test]
async fn e01_after_a_hundred_failures_in_a_row_no_password_is_taken_until_it_is_set_anew() {
    let house = House::new(704).await;
    let first = house.first().await;
    let mut failures = 0;
    while failures < 100 {
        house.world.clock.advance(MINUTE * 31);
        assert!(house.password(EMAIL, "wrong").await.is_err());
        failures += 1;
    }
    house.world.clock.advance(MINUTE * 60 * 24 * 365);
    assert_eq!(
        kind(house.password(EMAIL, PASSWORD).await),
        Some(ErrorKind::Denied)
    );
    house.control.forget_password(EMAIL, None).await.unwrap();
    let link = reset_link(&house).await;
    let new = new_user("somebody-else@example.com", "another lamp, other walnuts");
    let session = house
        .control
        .follow_link(&link, new, &Client::default())
        .await
        .unwrap();
    // The second factor is still asked for.
    assert_eq!(session.stage, Stage::Half);
    let code = Code::Totp(code(&first.secret, house.now()));
    assert!(
        house
            .control
            .show_code(session.token.expose(), code, None)
            .await
            .is_ok()
    );
    assert_eq!(
        kind(house.password(EMAIL, PASSWORD).await),
        Some(ErrorKind::Denied)
    );
}

pub(super) async fn reset_link(house: &House) -> String {
    let mails = house
        .control
        .outbox(&operator(), AccountId::installation())
        .await
        .unwrap();
    let mail = mails.first().unwrap();
    assert_eq!(mail.mail.to, EMAIL);
    let (_, rest) = mail.mail.text.split_once("/link/").unwrap();
    rest.split_whitespace().next().unwrap().to_owned()
}

#[tokio::test]
async fn the_link_of_a_forgotten_password_works_once_for_half_an_hour_and_ends_sessions() {
    let house = House::new(705).await;
    let first = house.first().await;
    let ask = || house.control.forget_password(EMAIL, None);
    ask().await.unwrap();
    let old = reset_link(&house).await;
    house.world.clock.advance(MINUTE);
    ask().await.unwrap();
    let link = reset_link(&house).await;
    let gone = Some(ErrorKind::NotFound);
    let follow = async |link: &str| {
        let new = new_user("", "another lamp, other walnuts");
        house
            .control
            .follow_link(link, new, &Client::default())
            .await
    };
    assert_eq!(kind(follow(&old).await), gone, "a later one voids it");
    assert!(house.who(&first.token).await.is_some());
    follow(&link).await.unwrap();
    assert!(house.who(&first.token).await.is_none(), "sessions end");
    assert_eq!(kind(follow(&link).await), gone, "once");
    house.world.clock.advance(MINUTE);
    ask().await.unwrap();
    let late = reset_link(&house).await;
    house.world.clock.advance(MINUTE * 30);
    assert_eq!(kind(follow(&late).await), gone, "too late");
    // An address that nobody has: the same answer, and no mail.
    let before = house.control.unsent_mails().await.unwrap().len();
    house
        .control
        .forget_password("nobody@example.com", None)
        .await
        .unwrap();
    assert_eq!(house.control.unsent_mails().await.unwrap().len(), before);
}

#[tokio::test]
async fn e10_a_session_ends_when_idle_when_old_and_when_told_to() {
    let house = House::new(706).await;
    let first = house.first().await;
    // Idle.
    house.world.clock.advance(MINUTE * 60);
    assert!(house.who(&first.token).await.is_none());
    assert_eq!(
        house.actions().await.last().unwrap(),
        "session.expired done"
    );
    // Kept busy, it is over after a day.
    let busy = house.sign_in(&first.secret).await.unwrap();
    for _ in 0..47 {
        house.world.clock.advance(MINUTE * 30);
        assert!(house.who(busy.token.expose()).await.is_some());
    }
    house.world.clock.advance(MINUTE * 30);
    assert!(house.who(busy.token.expose()).await.is_none());
    // Half of a sign-in waits a quarter of an hour.
    let half = house.password(EMAIL, PASSWORD).await.unwrap();
    house.world.clock.advance(MINUTE * 15);
    assert!(house.who(half.token.expose()).await.is_none());
    let late = Code::Totp(code(&first.secret, house.now()));
    let late = house
        .control
        .show_code(half.token.expose(), late, None)
        .await;
    assert_eq!(kind(late), Some(ErrorKind::Denied));

    // A change of the password ends the others; signing out ends one's own.
    let one = house.sign_in(&first.secret).await.unwrap();
    house.world.clock.advance(STEP);
    let two = house.sign_in(&first.secret).await.unwrap();
    let by = house.who(two.token.expose()).await.unwrap();
    assert_eq!(house.control.sessions(by.user).await.unwrap().len(), 2);
    let wrong = house
        .control
        .change_password(&by, "wrong", "some other words, please")
        .await;
    assert_eq!(kind(wrong), Some(ErrorKind::Denied));
    assert!(house.who(one.token.expose()).await.is_some());
    house
        .control
        .change_password(&by, PASSWORD, "some other words, please")
        .await
        .unwrap();
    assert!(house.who(one.token.expose()).await.is_none());
    house
        .control
        .sign_out(two.token.expose(), None)
        .await
        .unwrap();
    assert!(house.who(two.token.expose()).await.is_none());
}

#[tokio::test]
async fn guessing_the_present_password_is_paused_and_wants_a_fresh_factor() {
    let house = House::new(712).await;
    let first = house.first().await;
    let by = house.who(&first.token).await.unwrap();
    let (new, denied) = ("some other words, please", Some(ErrorKind::Denied));
    for _ in 0..4 {
        let wrong = house.control.change_password(&by, "wrong", new).await;
        assert_eq!(kind(wrong), denied);
    }
    let paused = house.control.change_password(&by, PASSWORD, new).await;
    assert_eq!(kind(paused), denied);
    house.world.clock.advance(MINUTE * 11);
    let stale = house.who(&first.token).await.unwrap();
    assert!(!stale.is_fresh());
    let refused = house.control.change_password(&stale, PASSWORD, new).await;
    assert_eq!(kind(refused), denied);
    assert!(house.password(EMAIL, PASSWORD).await.is_ok(), "unchanged");
}

#[tokio::test]
async fn e03_ten_wrong_codes_end_the_half_session() {
    let house = House::new(707).await;
    let first = house.first().await;
    house.world.clock.advance(STEP);
    let half = house.password(EMAIL, PASSWORD).await.unwrap();
    for _ in 0..10 {
        let wrong = Code::Totp(String::from("000000"));
        let shown = house
            .control
            .show_code(half.token.expose(), wrong, None)
            .await;
        assert_eq!(kind(shown), Some(ErrorKind::Denied));
    }
    assert!(house.who(half.token.expose()).await.is_none());
    // Ten tries in a row pause the address, whatever the number of half sessions.
    let right = house.sign_in(&first.secret).await;
    assert_eq!(kind(right), Some(ErrorKind::Denied));
}

#[tokio::test]
async fn d05_an_invitation_gives_nobody_the_rest_of_what_its_user_has() {
    let house = House::new(708).await;
    let other = house
        .control
        .create_account(&operator(), "Other", "UTC")
        .await
        .unwrap()
        .account_id;
    let invite = async |account| {
        let made = house
            .control
            .invite_user(&operator(), account, "eve@example.com", "", "admin", None)
            .await;
        made.unwrap().expose().clone()
    };
    let (here, there) = (invite(house.id).await, invite(other).await);
    // Who holds the link of one account has the role there, and no other.
    let eve = house.follow(&there, "eve@example.com").await;
    let seen = house.who(&eve.token).await.unwrap();
    assert_eq!(seen.actor.role_in(other), "admin");
    assert_eq!(seen.actor.role_in(house.id), "");
    // A role that is given before the link here was followed waits for it, too.
    house
        .control
        .grant_role(&operator(), house.id, "eve@example.com", "member", None)
        .await
        .unwrap();
    let seen = house.who(&eve.token).await.unwrap();
    assert_eq!(seen.actor.role_in(house.id), "");
    // A link sets no second password, and no invitation opens what a password closes.
    let again = invite(other).await;
    let new = new_user("eve@example.com", "yet another lamp for walnuts");
    let followed = house
        .control
        .follow_link(&again, new, &Client::default())
        .await;
    assert_eq!(kind(followed), Some(ErrorKind::Conflict));
    // Signed in, the other role is there for the taking; a link of somebody else is not.
    house.control.accept_link(&here, &seen).await.unwrap();
    let seen = house.who(&eve.token).await.unwrap();
    assert_eq!(seen.actor.role_in(house.id), "admin+member");
    let for_bob = house
        .control
        .invite_user(&operator(), house.id, "bob@example.com", "", "member", None)
        .await
        .unwrap();
    let taken = house.control.accept_link(for_bob.expose(), &seen).await;
    assert_eq!(kind(taken), Some(ErrorKind::NotFound));
}

#[tokio::test]
async fn an_admin_takes_factors_away_only_from_whom_they_cover() {
    let house = House::new(709).await;
    let first = house.first().await;
    let ann = house.who(&first.token).await.unwrap();
    let reset = house
        .control
        .reset_factors(&ann.actor, house.id, EMAIL)
        .await;
    reset.unwrap();
    assert!(house.who(&first.token).await.is_none(), "sessions end");
    let again = house.password(EMAIL, PASSWORD).await.unwrap();
    assert_eq!(again.stage, Stage::Enrol);
    // Whoever has a role elsewhere is beyond the reach of this account's Admin.
    let other = house
        .control
        .create_account(&operator(), "Other", "UTC")
        .await
        .unwrap()
        .account_id;
    let link = house
        .control
        .create_setup_link(&operator(), other)
        .await
        .unwrap();
    house.follow(link.expose(), "olga@example.com").await;
    let granted = house
        .control
        .grant_role(&operator(), house.id, "olga@example.com", "member", None)
        .await;
    assert_eq!(
        kind(granted),
        Some(ErrorKind::NotFound),
        "she is no user here yet"
    );
    let link = house
        .control
        .invite_user(
            &operator(),
            house.id,
            "olga@example.com",
            "",
            "member",
            None,
        )
        .await;
    link.unwrap();
    let reset = house
        .control
        .reset_factors(&ann.actor, house.id, "olga@example.com")
        .await;
    assert_eq!(kind(reset), Some(ErrorKind::Denied));
}

#[tokio::test]
async fn bad_passwords_are_refused_with_a_reason() {
    let house = House::new(710).await;
    let link = house
        .control
        .create_setup_link(&operator(), house.id)
        .await
        .unwrap();
    for (password, why) in [
        ("short", "at least 8"),
        ("password1", "common"),
        ("qwertyuiop", "common"),
        ("ann@example.com", "your own name"),
        ("annexample1", "your own name"),
        ("12345678901234567890", "common"),
    ] {
        let new = new_user(EMAIL, password);
        let made = house
            .control
            .follow_link(link.expose(), new, &Client::default())
            .await;
        match made {
            Err(Error::Invalid(words)) => assert!(words.contains(why), "{password}: {words}"),
            other => panic!("{password}: {other:?}"),
        }
    }
    let unsaid = NewUser {
        accepts_terms: false,
        ..new_user(EMAIL, PASSWORD)
    };
    let made = house
        .control
        .follow_link(link.expose(), unsaid, &Client::default())
        .await;
    assert_eq!(kind(made), Some(ErrorKind::Invalid));
    // Any script is fine, and length is no fault.
    let long = "пароль из нескольких слов ".repeat(20);
    let new = new_user(EMAIL, &long);
    house
        .control
        .follow_link(link.expose(), new, &Client::default())
        .await
        .unwrap();
    assert!(house.password(EMAIL, &long).await.is_ok());
}

#[tokio::test]
async fn e01_a_network_that_sprays_addresses_waits_and_others_do_not() {
    let house = House::new(711).await;
    house.first().await;
    let bad = client("192.0.2.7");
    // 200 tries on 50 addresses, from one place.
    for number in 0..200 {
        let email = format!("u{}@example.com", number % 50);
        assert!(house.control.sign_in(&email, "wrong", &bad).await.is_err());
    }
    let right = house.control.sign_in(EMAIL, PASSWORD, &bad).await;
    assert_eq!(kind(right), Some(ErrorKind::Denied));
    let elsewhere: IpAddr = "192.0.2.8".parse().unwrap();
    let elsewhere = client(&elsewhere.to_string());
    assert!(
        house
            .control
            .sign_in(EMAIL, PASSWORD, &elsewhere)
            .await
            .is_ok()
    );
    house.world.clock.advance(MINUTE * 10);
    assert!(house.control.sign_in(EMAIL, PASSWORD, &bad).await.is_ok());
}
