//! Ids, times and secrets behave as their docs say.

use crate::opt_out::{Latest, OptOut};
use crate::record::{Change, ChangeOp, Entry, ProfileChange, Record, Source};
use crate::{
    AccountId, Clock, Day, IdentityKind, ManualClock, PersonKey, Random, RawJson, RecordId,
    RecordIds, Secret, SeededRandom, Timestamp, WriterId,
};
use std::time::Duration;

#[test]
fn account_ids_are_short_capitals_digits_and_dashes() {
    for good in ["TEST-ACC-123Z", "0", "A", "4RW-Z6Z-485Z"] {
        assert_eq!(good.parse::<AccountId>().unwrap().as_str(), good);
    }
    for bad in [
        "",
        "lower",
        "A B",
        "ÄÖ",
        "A/B",
        "AAAAAAAAAAAAAAAAA",
        "..",
        "A\0",
    ] {
        bad.parse::<AccountId>().unwrap_err();
    }
}

#[test]
fn a_person_key_depends_on_secret_account_kind_and_identity() {
    let key = |secret: u8, account: &str, kind, identity| {
        PersonKey::of(
            &Secret::new([secret; 32]),
            account.parse().unwrap(),
            kind,
            identity,
        )
    };
    let base = key(1, "A", IdentityKind::Identity, "u1");
    assert_eq!(base, key(1, "A", IdentityKind::Identity, "u1"));
    assert_ne!(base, key(2, "A", IdentityKind::Identity, "u1"));
    assert_ne!(base, key(1, "B", IdentityKind::Identity, "u1"));
    assert_ne!(base, key(1, "A", IdentityKind::ObjectId, "u1"));
    assert_ne!(base, key(1, "A", IdentityKind::Identity, "u2"));
    // The boundary between account and identity is not movable.
    assert_ne!(
        key(1, "AB", IdentityKind::Identity, "C"),
        key(1, "A", IdentityKind::Identity, "BC")
    );
}

#[test]
fn a_person_key_is_one_function_of_short_and_long_identities() {
    for length in [0, 1, 100, 120, 125, 126, 127, 1_024] {
        let identity = "i".repeat(length);
        let secret = Secret::new([1; 32]);
        let mut hasher = blake3::Hasher::new_keyed(secret.expose());
        hasher
            .update(&[0, 1])
            .update(b"A")
            .update(identity.as_bytes());
        let whole = hasher.finalize();
        let account = "A".parse().unwrap();
        let key = PersonKey::of(&secret, account, IdentityKind::Identity, &identity);
        assert_eq!(key.0, whole.as_bytes()[..16], "{length}");
    }
}

#[test]
fn record_ids_never_repeat_and_keep_their_writer_in_front() {
    let ids = RecordIds::new(WriterId { node: 7, start: 9 });
    let (first, second) = (ids.batch(), ids.batch());
    let all = [first(0), first(1), second(0), second(1)];
    let unique: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(unique.len(), all.len());
    assert!(
        all.iter()
            .all(|id| id.to_string().starts_with("0000000700000009"))
    );
    let has_counted = |node, start| WriterId { node, start }.has_counted(all[3]);
    assert!(has_counted(7, 9) && !has_counted(7, 8) && !has_counted(9, 7));
    assert_eq!(all[0].to_string().parse::<RecordId>().unwrap(), all[0]);
}

#[test]
fn writer_ids_are_read_as_they_are_written() {
    let writer = WriterId {
        node: 0xdead_beef,
        start: 3,
    };
    assert_eq!(writer.to_string(), "deadbeef-00000003");
    assert_eq!("deadbeef-00000003".parse::<WriterId>().unwrap(), writer);
    "deadbeef00000003".parse::<WriterId>().unwrap_err();
    "+eadbeef-0000003".parse::<WriterId>().unwrap_err();
}

#[test]
fn days_and_seconds_round_down_before_the_epoch_too() {
    assert_eq!(Timestamp::from_ms(-1).seconds(), -1);
    assert_eq!(Timestamp::from_ms(-1).day(), Day(-1));
    assert_eq!(Timestamp::from_ms(86_400_000).day(), Day(1));
    assert_eq!(Day(20_000).to_string(), "2024-10-04");
    assert_eq!(
        Timestamp::from_ms(1_500).to_string(),
        "1970-01-01T00:00:01.500Z"
    );
    assert_eq!(
        Timestamp::from_ms(i64::MAX)
            .plus(Duration::from_secs(1))
            .ms(),
        i64::MAX
    );
}

#[test]
fn a_manual_clock_moves_only_when_told() {
    let clock = ManualClock::new(Timestamp::from_seconds(10));
    clock.advance(Duration::from_secs(5));
    clock.set(Timestamp::from_seconds(1));
    assert_eq!((clock.now().seconds(), clock.monotonic().as_secs()), (1, 5));
}

#[test]
fn seeded_randomness_repeats() {
    let (a, b) = (SeededRandom::new(1), SeededRandom::new(1));
    assert_eq!(a.bytes32(), b.bytes32());
    assert_ne!(a.bytes32(), SeededRandom::new(1).bytes32());
}

#[test]
fn secrets_and_values_do_not_show_in_debug_output() {
    assert_eq!(format!("{:?}", Secret::new([1_u8; 4])), "Secret(redacted)");
    assert_eq!(
        format!("{:?}", RawJson::parse("{\"a\":1}").unwrap()),
        "RawJson(7 bytes)"
    );
}

#[test]
fn json_is_kept_as_it_was_written() {
    for text in [
        "1.50",
        "-0",
        "1e400",
        "[1, 2]",
        "\"\\u0000\"",
        "{\"b\":1,\"a\":2}",
    ] {
        assert_eq!(RawJson::parse(text).unwrap().as_str(), text);
    }
    for bad in ["", "{", "NaN", "1 2", "'a'"] {
        RawJson::parse(bad).unwrap_err();
    }
}

#[test]
fn a_device_opts_out_and_in_by_what_its_sdk_says_last() {
    let said = |source, second, steps: &[(ChangeOp, &str, &str)]| {
        let change = |(op, property, value): &(ChangeOp, &str, &str)| Change {
            property: Box::from(*property),
            op: *op,
            value: RawJson::parse(value).unwrap(),
        };
        let record = Record::ProfileChange(ProfileChange {
            id: RecordId([1; 16]),
            person: PersonKey([2; 16]),
            ts: Timestamp::from_seconds(second),
            received_at: Timestamp::from_seconds(100),
            source,
            changes: steps.iter().map(change).collect(),
        });
        let account = AccountId::installation();
        let said = OptOut::of(&Entry { account, record })?;
        assert_eq!((said.account, said.device), (account, PersonKey([2; 16])));
        Some((said.is_out, said.at.seconds()))
    };
    let put = |value| (ChangeOp::Put, "ct_optout", value);
    let (out, back, number) = (put("true"), put("false"), put("1"));
    let other = (ChangeOp::Put, "Name", "true");
    let taken = (ChangeOp::Delete, "ct_optout", "true");
    for (source, second, steps, expect) in [
        (Source::Web, 90, vec![out], Some((true, 90))),
        (Source::Ios, 90, vec![back, other], Some((false, 90))),
        (Source::Android, 90, vec![out, back], Some((false, 90))),
        // A clock that is ahead.
        (Source::Web, 190, vec![out], Some((true, 100))),
        (Source::Rest, 90, vec![out], None),
        (Source::Web, 90, vec![other], None),
        (Source::Web, 90, vec![number], None),
        (Source::Web, 90, vec![taken], None),
    ] {
        let told = said(source, second, &steps);
        assert_eq!(told, expect, "{source:?} {second} {steps:?}");
    }
}

#[test]
fn what_a_device_said_last_holds_and_of_one_time_what_was_received_last() {
    let said = |device: u8, is_out: bool, second: i64| OptOut {
        account: AccountId::installation(),
        device: PersonKey([device; 16]),
        is_out,
        at: Timestamp::from_seconds(second),
    };
    let mut told = [
        said(1, true, 5),
        said(1, false, 9),
        said(1, true, 7),
        said(2, true, 4),
    ];
    for _ in 0..told.len() {
        told.rotate_left(1);
        let mut latest = Latest::default();
        latest.extend(told);
        assert_eq!(latest.into_said(), [said(2, true, 4), said(1, false, 9)]);
    }
    let of = |it| {
        let mut latest = Latest::default();
        latest.extend([it]);
        latest
    };
    let (out, back) = (said(1, true, 5), said(1, false, 5));
    for (first, last) in [(out, back), (back, out)] {
        let mut latest = of(first);
        latest.extend([last]);
        assert_eq!(latest.into_said(), [last]);
        let mut latest = of(last);
        latest.extend_with_earlier(of(first));
        assert_eq!(latest.into_said(), [last]);
    }
}
