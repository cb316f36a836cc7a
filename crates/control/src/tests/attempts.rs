//! Attempts on one user over a long time, by somebody with time and addresses: how many are ever judged,
//! and everything that ends a session.

use model::ErrorKind;

use super::sign_in::{
    EMAIL, House, MINUTE, PASSWORD, STEP, client, code, kind, new_user, reset_link,
};
use super::support::operator;
use crate::{Action, AuditFilter, Client, Code, Error, Stage};

/// Somebody who has the password and tries codes, from another network each time, a new session for
/// each: the pauses are the user's, and after a hundred the password is of no use any more.
#[tokio::test]
async fn e03_a_thousand_codes_from_anywhere_are_a_hundred_tries() {
    let house = House::new(720).await;
    let first = house.first().await;
    let mut judged = 0;
    for number in 0..1_000_u32 {
        let [.., c, d] = number.to_be_bytes();
        let from = client(&format!("198.51.{c}.{d}"));
        let Ok(half) = house.control.sign_in(EMAIL, PASSWORD, &from).await else {
            // Paused: the attacker waits it out, unless it has no end.
            house.world.clock.advance(MINUTE * 31);
            if house.control.sign_in(EMAIL, PASSWORD, &from).await.is_err() {
                break;
            }
            continue;
        };
        // Never the right one: no code has a letter in it.
        let wrong = Code::Totp(format!("{number:05}x"));
        let shown = house
            .control
            .show_code(half.token.expose(), wrong, from.peer);
        assert_eq!(kind(shown.await), Some(ErrorKind::Denied));
        judged += 1;
    }
    assert!((10..=100).contains(&judged), "{judged} codes were judged");
    // The right password and the right code are of no use either, until the password is set anew.
    house.world.clock.advance(MINUTE * 60 * 24 * 30);
    assert_eq!(
        kind(house.sign_in(&first.secret).await),
        Some(ErrorKind::Denied)
    );
    house.control.forget_password(EMAIL, None).await.unwrap();
    let link = reset_link(&house).await;
    let new = new_user("", "another lamp, other walnuts");
    let half = house
        .control
        .follow_link(&link, new, &Client::default())
        .await;
    let half = half.unwrap();
    assert_eq!(
        half.stage,
        Stage::Half,
        "the second factor is still asked for"
    );
    let right = Code::Totp(code(&first.secret, house.now()));
    let shown = house.control.show_code(half.token.expose(), right, None);
    assert_eq!(shown.await.unwrap().stage, Stage::Full);
}

/// As fast as one can, from a new address each time, for a day: the victim's sessions go on.
#[tokio::test]
async fn e01_a_guesser_with_many_addresses_has_a_hundred_guesses_ever() {
    let house = House::new(721).await;
    let first = house.first().await;
    for number in 0..200_u32 {
        let [.., c, d] = number.to_be_bytes();
        let from = client(&format!("203.0.{c}.{d}"));
        let tried = house.control.sign_in(EMAIL, "wrong", &from).await;
        assert_eq!(kind(tried), Some(ErrorKind::Denied));
        house.world.clock.advance(MINUTE * 7);
        if number % 8 == 7 {
            assert!(house.who(&first.token).await.is_some(), "{number}");
        }
    }
    // No guess is judged any more, however long one waits.
    house.world.clock.advance(MINUTE * 60 * 24 * 365);
    let right = house.password(EMAIL, PASSWORD).await;
    assert_eq!(kind(right), Some(ErrorKind::Denied));
    // Not for ever: an Admin unlocks, or a mail sets the password anew.
    let by = operator();
    let unlocked = house.control.unlock_user(&by, house.id, EMAIL);
    unlocked.await.unwrap();
    assert!(house.sign_in(&first.secret).await.is_ok());
}

/// Whole sessions, and those that wait for a second factor, are bounded apart: whoever has the password
/// alone ends no whole one.
#[tokio::test]
async fn a_user_has_twenty_sessions_at_a_time_and_the_oldest_ends() {
    let house = House::new(723).await;
    let first = house.first().await;
    let another = async || {
        house.world.clock.advance(STEP);
        house.sign_in(&first.secret).await.unwrap().token
    };
    let lives = async |token: &str| house.who(token).await.is_some();
    let mut others = Vec::new();
    for _ in 1..20 {
        others.push(another().await);
    }
    assert!(lives(&first.token).await);
    others.push(another().await);
    assert!(!lives(&first.token).await);
    for other in &others {
        assert!(lives(other.expose()).await);
    }
    let by = house.who(others[19].expose()).await.unwrap();
    assert_eq!(house.control.sessions(by.user).await.unwrap().len(), 20);
    let filter = AuditFilter {
        actions: vec![Action::SessionEnded],
        ..AuditFilter::default()
    };
    let host = operator();
    let log = house.control.audit_log(&host, house.id, &filter);
    let log = log.await.unwrap();
    let words: Vec<&str> = log.iter().map(|it| it.description.as_str()).collect();
    assert_eq!(words, ["the oldest of more than 20"]);

    // A step-up is no session more, and neither is the password alone.
    house.world.clock.advance(STEP);
    let right = Code::Totp(code(&first.secret, house.now()));
    let newest = others[19].expose();
    house.control.show_code(newest, right, None).await.unwrap();
    let mut halves = Vec::new();
    for _ in 0..21 {
        halves.push(house.password(EMAIL, PASSWORD).await.unwrap().token);
        house.world.clock.advance(STEP / 30);
    }
    for other in &others[..19] {
        assert!(lives(other.expose()).await);
    }
    assert!(!lives(halves[0].expose()).await && lives(halves[1].expose()).await);
    house.world.clock.advance(STEP);
    let right = Code::Totp(code(&first.secret, house.now()));
    let half = halves[20].expose();
    house.control.show_code(half, right, None).await.unwrap();
    assert!(!lives(others[0].expose()).await && lives(others[1].expose()).await);
}

#[tokio::test]
async fn e10_every_end_of_a_session_is_its_end() {
    let house = House::new(722).await;
    let first = house.first().await;
    let another = async || {
        house.world.clock.advance(STEP);
        house.sign_in(&first.secret).await.unwrap().token
    };
    let is_over = async |token: &str| house.who(token).await.is_none();

    // Signing out everywhere else, and one session by its name.
    let (one, two) = (another().await, another().await);
    let by = house.who(two.expose()).await.unwrap();
    assert_eq!(house.control.end_sessions(&by, None).await.unwrap(), 2);
    assert!(is_over(&first.token).await && is_over(one.expose()).await);
    assert!(!is_over(two.expose()).await);
    let three = another().await;
    let own = house.who(three.expose()).await.unwrap().session;
    house.control.end_sessions(&by, Some(&own)).await.unwrap();
    assert!(is_over(three.expose()).await);

    // Other second factors by the user, and none by an Admin.
    let four = another().await;
    let by = house.who(two.expose()).await.unwrap();
    house.control.renew_recovery_codes(&by).await.unwrap();
    assert!(is_over(four.expose()).await, "new recovery codes");
    assert!(!is_over(two.expose()).await);
    let five = another().await;
    let offer = house.control.offer_totp(two.expose()).await.unwrap();
    let other_app = offer.secret.expose().clone();
    let shown = code(&other_app, house.now());
    let enrolled = house.control.enrol_totp(two.expose(), &shown, None).await;
    let enrolled = enrolled.unwrap().session.token;
    assert!(is_over(five.expose()).await, "another app");
    assert!(is_over(two.expose()).await, "its own token has changed");
    assert!(!is_over(enrolled.expose()).await);
    house.world.clock.advance(STEP);
    let six = house.sign_in(&other_app).await.unwrap().token;
    let host = operator();
    let reset = house.control.reset_factors(&host, house.id, EMAIL);
    reset.await.unwrap();
    assert!(is_over(six.expose()).await && is_over(enrolled.expose()).await);

    // Somebody who is no user any more.
    let bob = house
        .control
        .invite_user(&host, house.id, "bob@example.com", "", "member", None);
    let bob = house
        .follow(bob.await.unwrap().expose(), "bob@example.com")
        .await;
    assert!(!is_over(&bob.token).await);
    let revoked = house
        .control
        .revoke_user(&host, house.id, "bob@example.com");
    revoked.await.unwrap();
    assert!(is_over(&bob.token).await, "no role anywhere");
}

/// The list is in `docs/operate/access.md`: the product, the console's name, the user, the accounts.
#[tokio::test]
async fn no_password_is_made_of_the_words_around_its_user() {
    let house = House::new(724).await;
    let host = operator();
    let other = house.control.create_account(&host, "Walnut Parade", "UTC");
    let other = other.await.unwrap().account_id;
    let invited = |account, email: &'static str| {
        let host = operator();
        let control = house.control.clone();
        async move {
            let made = control.invite_user(&host, account, email, "Ann Onymous", "member", None);
            made.await.unwrap()
        }
    };
    let link = invited(other, "ann@mill.example").await;
    let id = other.to_string();
    let of_id = format!("{id}{id}");
    for password in [
        "strongroom",
        "Strongroom-2026!",
        "localhost8443",
        "walnut parade",
        "WalnutParade99",
        "parade.walnut",
        of_id.as_str(),
        "onymous.mill.42",
        "strongroom walnut ann",
    ] {
        let new = new_user("", password);
        let client = Client::default();
        let made = house.control.follow_link(link.expose(), new, &client).await;
        match made {
            Err(Error::Invalid(words)) => {
                assert!(words.contains("your own name"), "{password}: {words}");
            }
            other => panic!("{password}: {other:?}"),
        }
    }
    // Of an account where the user has no role it may be, and such a word may be in a longer one.
    for (email, password) in [
        ("bea@mill.example", "walnut parade unforeseen"),
        ("cyd@mill.example", "shop lamps before noon"),
    ] {
        let link = invited(house.id, email).await;
        let new = new_user("", password);
        let client = Client::default();
        let made = house.control.follow_link(link.expose(), new, &client).await;
        assert!(made.is_ok(), "{password}: {made:?}");
    }
    // The same words when a password is changed.
    let first = house.first().await;
    let by = house.who(&first.token).await.unwrap();
    for (password, kind_of) in [
        ("strongroom-2027", Some(ErrorKind::Invalid)),
        ("ann.example.shop", Some(ErrorKind::Invalid)),
        ("walnut parade by night", None),
    ] {
        let changed = house.control.change_password(&by, PASSWORD, password).await;
        assert_eq!(kind(changed), kind_of, "{password}");
    }
}
