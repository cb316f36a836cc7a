//! Users who are invited again, disabled, enabled; sessions that end with the last role, and how long
//! they live.

use model::{AccountId, Clock as _, ErrorKind, Secret};
use std::time::Duration;
use totp_rs::{Algorithm, Builder};

use super::support::{Faulty, World, operator};
use crate::{
    Action, AuditFilter, Client, Control, Enabled, NewUser, Result, SessionLimits, SignedIn,
};

const PASSWORD: &str = "a lamp beside nine walnuts";
const MINUTE: Duration = Duration::from_secs(60);

struct House {
    world: World,
    _dir: tempfile::TempDir,
    control: Control,
    shop: AccountId,
    other: AccountId,
}

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

impl House {
    async fn new(seed: u64) -> Self {
        let world = World::new(seed);
        let dir = tempfile::tempdir().unwrap();
        let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
        let shop = control.create_account(&operator(), "Shop", "UTC").await;
        let other = control.create_account(&operator(), "Other", "UTC").await;
        Self {
            shop: shop.unwrap().account_id,
            other: other.unwrap().account_id,
            world,
            _dir: dir,
            control,
        }
    }

    async fn invite(&self, account: AccountId, email: &str, role: &str) -> String {
        let by = operator();
        let link = self
            .control
            .invite_user(&by, account, email, "", role, None);
        link.await.unwrap().expose().clone()
    }

    /// From an invitation to a session of both factors: its token.
    async fn join(&self, account: AccountId, email: &str, role: &str) -> String {
        let link = self.invite(account, email, role).await;
        let new = NewUser {
            email: email.to_owned(),
            name: String::from("Somebody"),
            password: Secret::new(PASSWORD.to_owned()),
            accepts_terms: true,
        };
        let half = self
            .control
            .follow_link(&link, new, &Client::default())
            .await;
        let half = half.unwrap();
        let token = half.token.expose();
        let offer = self.control.offer_totp(token).await.unwrap();
        let code = Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_secret(totp_rs::Secret::try_from_base32(offer.secret.expose()).unwrap())
            .build_noncompliant()
            .generate(u64::try_from(self.world.clock.now().ms()).unwrap() / 1_000)
            .to_string();
        let done = self.control.enrol_totp(token, &code, None).await.unwrap();
        done.session.token.expose().clone()
    }

    async fn who(&self, token: &str) -> Option<SignedIn> {
        self.control.session(token, None).await.unwrap()
    }

    async fn signs_in(&self, email: &str) -> bool {
        let signed = self
            .control
            .sign_in(email, PASSWORD, &Client::default())
            .await;
        signed.is_ok()
    }

    async fn set(&self, account: AccountId, email: &str, enabled: Enabled) -> Result<()> {
        let by = operator();
        self.control
            .set_user_enabled(&by, account, email, enabled)
            .await
    }

    async fn noted(&self, account: AccountId, action: Action) -> usize {
        let filter = AuditFilter {
            actions: vec![action],
            ..AuditFilter::default()
        };
        let found = self.control.audit_log(&operator(), account, &filter).await;
        found.unwrap().len()
    }
}

#[tokio::test]
async fn an_invitation_is_sent_again_and_the_link_before_is_dead() {
    let house = House::new(700).await;
    let (control, shop) = (&house.control, house.shop);
    let first = house.invite(shop, "bea@example.com", "member").await;
    let again = control
        .resend_invitation(&operator(), shop, "bea@example.com")
        .await;
    let again = again.unwrap();
    assert_eq!(kind(control.link(&first).await), Some(ErrorKind::NotFound));
    let seen = control.link(again.expose()).await.unwrap();
    assert_eq!(
        (seen.email.as_deref(), &*seen.invitation.role),
        (Some("bea@example.com"), "member")
    );
    let mails = control.outbox(&operator(), shop).await.unwrap();
    assert_eq!(mails.len(), 2);
    assert!(
        mails[0].mail.text.contains(again.expose()) || mails[1].mail.text.contains(again.expose())
    );
    assert_eq!(house.noted(shop, Action::UserInvited).await, 2);
    // Whoever has accepted needs none, and of nobody there is none to send.
    house.join(shop, "ann@example.com", "admin").await;
    let refused = control
        .resend_invitation(&operator(), shop, "ann@example.com")
        .await;
    assert_eq!(kind(refused), Some(ErrorKind::Conflict));
    let refused = control
        .resend_invitation(&operator(), shop, "no@example.com")
        .await;
    assert_eq!(kind(refused), Some(ErrorKind::NotFound));
}

#[tokio::test]
async fn the_session_ends_with_the_last_role_and_not_before() {
    let house = House::new(701).await;
    house.join(house.shop, "boss@example.com", "admin").await;
    let mel = house.join(house.shop, "mel@example.com", "member").await;
    let by = operator();
    let control = &house.control;
    control
        .grant_role(&by, house.shop, "mel@example.com", "creator", None)
        .await
        .unwrap();
    control
        .withdraw_role(&by, house.shop, "mel@example.com", "creator")
        .await
        .unwrap();
    assert!(house.who(&mel).await.is_some(), "a role is left");
    control
        .withdraw_role(&by, house.shop, "mel@example.com", "member")
        .await
        .unwrap();
    assert!(house.who(&mel).await.is_none());
    assert_eq!(house.noted(house.shop, Action::SessionEnded).await, 1);
    let cy = house.join(house.shop, "cy@example.com", "member").await;
    control
        .revoke_user(&by, house.shop, "cy@example.com")
        .await
        .unwrap();
    assert!(house.who(&cy).await.is_none());
    // Whoever has none may sign in, to accept another invitation.
    assert!(house.signs_in("cy@example.com").await);
}

#[tokio::test]
async fn who_is_disabled_everywhere_is_out_and_comes_back_with_the_same_roles() {
    let house = House::new(702).await;
    house.join(house.shop, "boss@example.com", "admin").await;
    let mel = house.join(house.shop, "mel@example.com", "member").await;
    assert_eq!(
        kind(house.set(house.shop, "mel@example.com", Enabled::Yes).await),
        Some(ErrorKind::Conflict)
    );
    house
        .set(house.shop, "mel@example.com", Enabled::No)
        .await
        .unwrap();
    assert!(house.who(&mel).await.is_none());
    assert!(
        !house.signs_in("mel@example.com").await,
        "the answer of a wrong password"
    );
    let listed = house.control.users(&operator(), house.shop).await.unwrap();
    let state = |email: &str| {
        listed
            .iter()
            .find(|it| it.email == email)
            .unwrap()
            .state
            .clone()
    };
    assert_eq!(
        (state("mel@example.com"), state("boss@example.com")),
        ("disabled".to_owned(), "active".to_owned())
    );
    let again = house.set(house.shop, "mel@example.com", Enabled::No).await;
    assert_eq!(kind(again), Some(ErrorKind::Conflict));
    house
        .set(house.shop, "mel@example.com", Enabled::Yes)
        .await
        .unwrap();
    house.world.clock.advance(MINUTE * 40);
    assert!(house.signs_in("mel@example.com").await);
    let mel = house.control.user_actor("mel@example.com").await.unwrap();
    assert_eq!(mel.role_in(house.shop), "member");
    for action in [Action::UserDisabled, Action::UserEnabled] {
        assert_eq!(house.noted(house.shop, action).await, 1, "{action:?}");
    }
    // The last Admin cannot be disabled.
    let last = house.set(house.shop, "boss@example.com", Enabled::No).await;
    assert_eq!(kind(last), Some(ErrorKind::Conflict));
    assert!(house.signs_in("boss@example.com").await);
}

#[tokio::test]
async fn who_is_disabled_in_one_account_keeps_the_others() {
    let house = House::new(703).await;
    house.join(house.shop, "boss@example.com", "admin").await;
    let mel = house.join(house.shop, "mel@example.com", "member").await;
    let link = house
        .invite(house.other, "mel@example.com", "auditor")
        .await;
    let by = house.who(&mel).await.unwrap();
    house.control.accept_link(&link, &by).await.unwrap();
    house
        .set(house.shop, "mel@example.com", Enabled::No)
        .await
        .unwrap();
    let seen = house.who(&mel).await.unwrap();
    assert_eq!(
        (
            seen.actor.role_in(house.shop),
            seen.actor.role_in(house.other)
        ),
        ("", "auditor")
    );
    // An Admin of one account does not see or touch another's.
    assert_eq!(
        kind(
            house
                .set(house.other, "boss@example.com", Enabled::No)
                .await
        ),
        Some(ErrorKind::NotFound)
    );
}

#[tokio::test]
async fn sessions_live_as_long_as_the_strictest_account_says_and_never_longer() {
    let house = House::new(704).await;
    let mel = house.join(house.shop, "mel@example.com", "member").await;
    for (idle, hours) in [(61, 24), (60, 25), (4, 24), (60, 0), (0, 0)] {
        let limits = SessionLimits {
            idle_minutes: idle,
            hours,
        };
        let refused = house
            .control
            .set_session_limits(&operator(), house.shop, limits)
            .await;
        assert_eq!(kind(refused), Some(ErrorKind::Invalid), "{idle} {hours}");
    }
    let limits = SessionLimits {
        idle_minutes: 10,
        hours: 2,
    };
    house
        .control
        .set_session_limits(&operator(), house.shop, limits)
        .await
        .unwrap();
    assert_eq!(
        house.noted(house.shop, Action::SessionLimitsChanged).await,
        1
    );
    house.world.clock.advance(MINUTE * 9);
    assert!(house.who(&mel).await.is_some());
    house.world.clock.advance(MINUTE * 11);
    assert!(
        house.who(&mel).await.is_none(),
        "idle for longer than the account says"
    );
    let ann = house.join(house.shop, "ann@example.com", "member").await;
    for _ in 0..13 {
        house.world.clock.advance(MINUTE * 9);
        assert!(house.who(&ann).await.is_some());
    }
    house.world.clock.advance(MINUTE * 9);
    assert!(house.who(&ann).await.is_none(), "older than two hours");
    // Elsewhere nothing has changed.
    let zoe = house.join(house.other, "zoe@example.com", "member").await;
    house.world.clock.advance(MINUTE * 59);
    assert!(house.who(&zoe).await.is_some());
}
