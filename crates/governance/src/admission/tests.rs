//! What an upload comes to under an account's rules.

mod opt_outs;

use jiff::tz::TimeZone;
use model::record::{Change, ChangeOp, Entry, Link, LinkKind, Record, Source};
use model::submission::{Batch, Content, Names, RejectReason, Rejection, Subject, Submission};
use model::{
    IdentityKind, LedgerPosition, PersonKey, RawJson, RecordIds, Secret, SeededRandom, Timestamp,
    WriterId,
};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::{Admitted, Arrival, AsSent, Reach, admit};
use crate::{
    AccountRules, Announced, NewPasscode, PasscodeHash, PasscodeRule, PasscodeTerms, SdkTokenRule,
    Stretch, Suppressions,
};

const RECORD: &str = "{\"as\":\"sent\"}";

fn now() -> Timestamp {
    Timestamp::from_seconds(1_764_000_000)
}

fn rules() -> AccountRules {
    AccountRules::new(
        "ACC".parse().unwrap(),
        "Acme",
        TimeZone::UTC,
        Secret::new([1; 32]),
        PasscodeHash::of("token"),
    )
}

fn key(kind: IdentityKind, name: &str) -> PersonKey {
    rules().person_key(kind, name)
}

fn identity(name: &str) -> PersonKey {
    key(IdentityKind::Identity, name)
}

fn device(name: &str) -> PersonKey {
    key(IdentityKind::ObjectId, name)
}

fn suppressing(people: &[(PersonKey, Stretch)]) -> AccountRules {
    let mut suppressed = Suppressions::default();
    for (person, stretch) in people {
        suppressed.insert(*person, *stretch, LedgerPosition(1));
    }
    AccountRules {
        suppressed: suppressed.into(),
        ..rules()
    }
}

fn named(identity: &'static str, object_id: &'static str) -> Names<'static> {
    let some = |text: &'static str| (!text.is_empty()).then(|| text.into());
    Names {
        identity: some(identity),
        object_id: some(object_id),
        ..Names::default()
    }
}

fn event(names: Names<'static>, name: &'static str, ts: Option<Timestamp>) -> Submission<'static> {
    let properties = RawJson::empty_object();
    let content = Content::Event {
        name: name.into(),
        properties,
        session: None,
        context: None,
    };
    Submission {
        position: 1,
        text: RECORD,
        names,
        ts,
        content,
    }
}

fn alias(from: &'static str, to: &'static str) -> Submission<'static> {
    let content = Content::Profile {
        changes: Vec::new(),
        alias: Some(to.into()),
    };
    Submission {
        position: 1,
        text: RECORD,
        names: named(from, ""),
        ts: None,
        content,
    }
}

fn run(rules: &AccountRules, records: Vec<Submission<'static>>, announced: &Announced) -> Admitted {
    let ids = RecordIds::new(WriterId { node: 1, start: 1 });
    let batch = ids.batch();
    let arrival = Arrival {
        source: Source::Rest,
        received_at: now(),
        ids: &batch,
    };
    admit(
        rules,
        Batch {
            records,
            rejections: Vec::new(),
        },
        &arrival,
        announced,
    )
}

fn admitted(rules: &AccountRules, records: Vec<Submission<'static>>) -> Admitted {
    run(rules, records, &Announced::default())
}

fn links(admitted: &Admitted) -> Vec<(PersonKey, PersonKey, LinkKind)> {
    let link = |entry: &Entry| match &entry.record {
        Record::Link(Link { from, to, kind, .. }) => Some((*from, *to, *kind)),
        _ => None,
    };
    admitted.entries().iter().filter_map(link).collect()
}

fn identified(admitted: &Admitted) -> Vec<(PersonKey, String)> {
    let change = |entry: &Entry| match &entry.record {
        Record::ProfileChange(it) if it.changes[0].op == ChangeOp::Identify => Some((
            it.person,
            format!(
                "{} {}",
                it.changes[0].property,
                it.changes[0].value.as_str()
            ),
        )),
        _ => None,
    };
    admitted.entries().iter().filter_map(change).collect()
}

fn kinds(admitted: &Admitted) -> Vec<&'static str> {
    admitted
        .entries()
        .iter()
        .map(|it| it.record.table().as_str())
        .collect()
}

#[test]
fn tables_get_person_keys_and_the_plain_identity_once() {
    let announced = Announced::default();
    let two = vec![
        event(named("u1", ""), "a", None),
        event(named("u1", ""), "b", None),
    ];
    let mut first = run(&rules(), two.clone(), &announced);
    assert_eq!(
        identified(&first),
        [(identity("u1"), "identity \"u1\"".into())]
    );
    assert_eq!(kinds(&first), ["profile_changes", "events", "events"]);
    // Nothing is remembered before the commit is durable.
    assert_eq!(identified(&run(&rules(), two.clone(), &announced)).len(), 1);
    announced.remember(first.take_announcements());
    assert_eq!(identified(&run(&rules(), two, &announced)), []);
}

#[test]
fn every_entry_of_an_upload_has_its_own_id() {
    let all = admitted(
        &rules(),
        vec![
            event(named("u1", "__g1"), "a", None),
            alias("u1", "u2"),
            event(named("u2", ""), "b", None),
        ],
    );
    let ids: BTreeSet<_> = all.entries().iter().map(|it| it.record.id()).collect();
    assert_eq!(ids.len(), all.entries().len());
    assert!(all.entries().iter().all(|it| it.account == rules().id));
}

#[test]
fn a_device_beside_an_identity_belongs_to_it() {
    let at = |s| Some(Timestamp::from_seconds(s));
    let all = admitted(
        &rules(),
        vec![
            event(named("u1", "__g1"), "a", at(1_763_000_000)),
            event(named("u1", "__g1"), "a", at(1_763_000_001)),
            event(named("u2", "__g1"), "a", at(1_763_000_002)),
            event(named("u1", "__g1"), "a", at(1_763_000_003)),
            event(named("", "__g1"), "a", at(1_763_000_004)),
        ],
    );
    let (u1, u2, g1) = (identity("u1"), identity("u2"), device("__g1"));
    let belongs = |to| (g1, to, LinkKind::Device);
    // The first and the last moment of each stretch.
    let stretches = [belongs(u1), belongs(u1), belongs(u2), belongs(u1)];
    assert_eq!(links(&all), stretches);
    let people: Vec<_> = all
        .entries()
        .iter()
        .filter_map(|it| {
            if let Record::Event(it) = &it.record {
                Some(it.person)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(people, [u1, u1, u2, u1, g1]);
    // The device in the time of each.
    assert_eq!(identified(&all).len(), 4);
}

#[test]
fn a_device_has_its_name_in_the_time_of_each_identity_however_that_is_said() {
    let announced = Announced::default();
    let of_profile = |owner| Submission {
        names: named("", "__g1"),
        ..alias("", owner)
    };
    let told = |record: Submission<'static>| {
        let mut all = run(&rules(), vec![record], &announced);
        announced.remember(all.take_announcements());
        identified(&all).into_iter().collect::<BTreeSet<_>>()
    };
    let its_name = (device("__g1"), "objectId \"__g1\"".to_owned());
    let alone = told(event(named("", "__g1"), "a", None));
    assert_eq!(alone, [its_name.clone()].into());
    for owner in ["u1", "u2"] {
        let owners = (identity(owner), format!("identity \"{owner}\""));
        assert_eq!(told(of_profile(owner)), [owners, its_name.clone()].into());
        assert_eq!(told(of_profile(owner)), [].into());
        // It is the same whichever of the two names is the record's.
        assert_eq!(told(event(named(owner, "__g1"), "a", None)), [].into());
    }
}

#[test]
fn a_device_named_by_an_advertising_id_is_called_otherwise() {
    let ad = "-gEA7583CD-A667-48BC-B806-42ECB2B48606";
    let all = admitted(&rules(), vec![event(named("", ad), "a", None)]);
    let called = rules().device_name(ad).into_owned();
    assert!(called.starts_with('-') && called.len() == 33, "{called}");
    let told = format!("objectId \"{called}\"");
    assert_eq!(identified(&all), [(device(ad), told)]);
    // Under either name it is the same device, and of another account it is another.
    assert_eq!(device(ad), device(&called));
    let other = AccountRules {
        person_key_secret: Secret::new([2; 32]),
        ..rules()
    };
    assert_ne!(other.device_name(ad), called);
    for id in ["__gEA7583CD", "-EA7583CD", "abc"] {
        assert_eq!(rules().device_name(id), id);
    }
}

#[test]
fn a_device_changes_hands_in_the_order_of_time_however_records_are_sorted() {
    let at = |s: i64| Timestamp::from_seconds(1_763_000_000 + s);
    let used = |by, s| event(named(by, "__g1"), "a", Some(at(s)));
    let moments = |records| {
        let all = admitted(&rules(), records);
        let link = |entry: &Entry| match &entry.record {
            Record::Link(it) => Some((it.to, it.ts)),
            _ => None,
        };
        all.entries().iter().filter_map(link).collect::<Vec<_>>()
    };
    let (u1, u2) = (identity("u1"), identity("u2"));
    // Sorted by person, as a back-fill is.
    let sorted = vec![used("u1", 10), used("u1", 30), used("u2", 20)];
    assert_eq!(moments(sorted), [(u1, at(10)), (u2, at(20)), (u1, at(30))]);
    let backwards = vec![used("u1", 30), used("u1", 20), used("u1", 10)];
    assert_eq!(moments(backwards), [(u1, at(10)), (u1, at(30))]);
    let at_once = vec![used("u1", 10), used("u1", 10), used("u2", 10)];
    assert_eq!(moments(at_once), [(u1, at(10)), (u2, at(10))]);
}

#[test]
fn another_identity_is_an_alias_and_is_linked_once() {
    let announced = Announced::default();
    let mut all = run(
        &rules(),
        vec![alias("old", "new"), alias("old", "new")],
        &announced,
    );
    let expect = [(identity("old"), identity("new"), LinkKind::Alias)];
    assert_eq!(links(&all), expect);
    assert_eq!(all.processed(), 2);
    announced.remember(all.take_announcements());
    assert_eq!(
        links(&run(&rules(), vec![alias("old", "new")], &announced)),
        []
    );
    let object = Submission {
        names: named("", "__g1"),
        ..alias("x", "u1")
    };
    let expect = [(device("__g1"), identity("u1"), LinkKind::Device)];
    assert_eq!(links(&admitted(&rules(), vec![object])), expect);
    let both = Names {
        fbid: Some("f".into()),
        ..named("u1", "")
    };
    let expect = [(
        key(IdentityKind::Fbid, "f"),
        identity("u1"),
        LinkKind::Alias,
    )];
    assert_eq!(
        links(&admitted(&rules(), vec![event(both, "a", None)])),
        expect
    );
}

#[test]
fn times_are_bounded_and_the_original_is_kept() {
    let ahead = |seconds| now().plus(Duration::from_secs(seconds));
    let day = 86_400;
    let check = |ts: Option<Timestamp>, expect: Option<(Timestamp, Option<Timestamp>)>| {
        let all = admitted(&rules(), vec![event(named("u", ""), "a", ts)]);
        let seen = all.entries().iter().find_map(|it| match &it.record {
            Record::Event(it) => Some((it.ts, it.ts_sent)),
            _ => None,
        });
        assert_eq!(seen, expect, "{ts:?}");
        assert_eq!(all.rejections().len(), usize::from(expect.is_none()));
    };
    check(None, Some((now(), None)));
    check(Some(ahead(day)), Some((ahead(day), None)));
    check(Some(ahead(day + 1)), Some((now(), Some(ahead(day + 1)))));
    let oldest = now().minus(Duration::from_secs(365 * day));
    check(Some(oldest), Some((oldest, None)));
    check(Some(oldest.minus(Duration::from_millis(1))), None);
}

#[test]
fn the_time_of_a_change_that_was_moved_is_told_beside_it() {
    let change = |ahead: u64| {
        let changes = vec![Change {
            property: "n".into(),
            op: ChangeOp::Incr,
            value: RawJson::parse("1").unwrap(),
        }];
        Submission {
            ts: Some(now().plus(Duration::from_secs(ahead))),
            content: Content::Profile {
                changes,
                alias: None,
            },
            ..alias("u1", "")
        }
    };
    let day = 24 * 60 * 60;
    let admitted = admitted(&rules(), vec![change(day), change(day + 1)]);
    let last = admitted.entries().last().unwrap().record.id();
    let sent = now().plus(Duration::from_secs(day + 1));
    let sent = AsSent {
        ts: Some(sent),
        ..AsSent::default()
    };
    assert_eq!(admitted.as_sent(), &HashMap::from([(last, sent)]));
}

#[test]
fn a_refused_record_is_quarantined_under_its_person() {
    let discarding = AccountRules {
        discarded_events: [Box::from("Noise")].into(),
        ..rules()
    };
    let all = admitted(
        &discarding,
        vec![
            event(named("u1", ""), "Noise", None),
            Submission {
                position: 2,
                ..event(named("u1", ""), "a", Some(Timestamp::from_seconds(1)))
            },
        ],
    );
    let reasons: Vec<_> = all
        .rejections()
        .iter()
        .map(|it| (it.position, it.reason))
        .collect();
    assert_eq!(
        reasons,
        [
            (1, RejectReason::EventDiscarded),
            (2, RejectReason::TimeTooOld)
        ]
    );
    assert_eq!(all.processed(), 0);
    assert_eq!(kinds(&all), ["quarantine", "quarantine"]);
    let Record::Quarantined(it) = &all.entries()[0].record else {
        panic!("quarantined")
    };
    assert_eq!(
        (it.person, it.code, &*it.error),
        (Some(identity("u1")), 528, "event_discarded")
    );
    assert_eq!(it.body, RECORD.as_bytes());
}

fn rejected(subject: Subject) -> Rejection {
    let record = RawJson::parse(RECORD).unwrap();
    Rejection {
        position: 3,
        reason: RejectReason::KeyTwice,
        record,
        subject,
    }
}

#[test]
fn rejections_of_the_decoder_are_kept_unless_nobody_may_have_them() {
    let check = |subject: Subject, expect: Option<(Option<PersonKey>, &str)>| {
        let ids = RecordIds::new(WriterId { node: 1, start: 1 });
        let arrival = Arrival {
            source: Source::Rest,
            received_at: now(),
            ids: &ids.batch(),
        };
        let rules = suppressing(&[(identity("gone"), Stretch::WHOLE)]);
        let batch = Batch {
            records: Vec::new(),
            rejections: vec![rejected(subject)],
        };
        let all = admit(&rules, batch, &arrival, &Announced::default());
        assert_eq!(all.rejections().len(), 1);
        let kept = all.entries().first().map(|it| match &it.record {
            Record::Quarantined(it) => {
                (it.person, std::str::from_utf8(&it.body).unwrap().to_owned())
            }
            other => panic!("not {other:?}"),
        });
        assert_eq!(kept, expect.map(|(person, body)| (person, body.to_owned())));
    };
    let person = |name: &str| Subject::Person(IdentityKind::Identity, Box::from(name));
    check(Subject::Nobody, Some((None, RECORD)));
    check(person("u1"), Some((Some(identity("u1")), RECORD)));
    check(Subject::Ambiguous, Some((None, "")));
    check(person("gone"), None);
}

#[test]
fn nothing_of_a_deleted_person_is_kept_and_the_sender_sees_no_difference() {
    let gone = suppressing(&[(identity("gone"), Stretch::WHOLE)]);
    let all = admitted(
        &gone,
        vec![
            event(named("gone", "__g1"), "a", None),
            event(named("u1", ""), "a", None),
        ],
    );
    assert_eq!((all.processed(), all.suppressed()), (2, 1));
    assert_eq!(kinds(&all), ["profile_changes", "events"]);
    let reach = Reach {
        hidden: identity("gone"),
        other: device("__g1"),
        kind: IdentityKind::ObjectId,
        ts: now(),
    };
    assert_eq!(all.reached(), [reach]);
    // A new name for a deleted person is theirs too, whichever way it is given.
    for record in [alias("gone", "fresh"), alias("fresh", "gone")] {
        let all = admitted(&gone, vec![record]);
        assert_eq!((all.entries().len(), all.suppressed()), (0, 1));
        let reached: Vec<_> = all
            .reached()
            .iter()
            .map(|it| (it.hidden, it.other))
            .collect();
        assert_eq!(reached, [(identity("gone"), identity("fresh"))]);
    }
}

#[test]
fn a_shared_device_is_hidden_only_while_the_deleted_person_had_it() {
    let at = Timestamp::from_seconds;
    let stretch = Stretch {
        from: Some(at(1_763_000_000)),
        to: Some(at(1_763_000_100)),
    };
    let rules = suppressing(&[(device("__g1"), stretch)]);
    let suppressed = |identity, ts| {
        let all = admitted(
            &rules,
            vec![event(named(identity, "__g1"), "a", Some(at(ts)))],
        );
        (all.suppressed(), links(&all).len())
    };
    assert_eq!(suppressed("", 1_762_999_999), (0, 0));
    assert_eq!(suppressed("", 1_763_000_000), (1, 0));
    assert_eq!(suppressed("", 1_763_000_100), (0, 0));
    // Another person's record stays theirs; the device is not linked to them within the stretch.
    assert_eq!(suppressed("u2", 1_763_000_050), (0, 0));
    assert_eq!(suppressed("u2", 1_763_000_100), (0, 1));
}

#[test]
fn a_profile_keeps_its_changes_in_order() {
    let change = |property: &str, op| Change {
        property: property.into(),
        op,
        value: RawJson::empty_object(),
    };
    let changes = vec![change("b", ChangeOp::Put), change("a", ChangeOp::Delete)];
    let content = Content::Profile {
        changes: changes.clone(),
        alias: None,
    };
    let record = Submission {
        content,
        ..event(named("u", ""), "a", None)
    };
    let all = admitted(&rules(), vec![record]);
    let Record::ProfileChange(it) = &all.entries()[1].record else {
        panic!("a change")
    };
    assert_eq!(it.changes, changes);
}

#[test]
fn a_change_that_names_the_second_of_its_receipt_comes_after_what_was_received_before_it() {
    let received_at = now().plus(Duration::from_millis(500));
    let placed = |source: Source, sent: Option<Timestamp>| {
        let change = Change {
            property: "a".into(),
            op: ChangeOp::Put,
            value: RawJson::empty_object(),
        };
        let content = Content::Profile {
            changes: vec![change],
            alias: None,
        };
        let record = Submission {
            content,
            ..event(named("u", ""), "a", sent)
        };
        let ids = RecordIds::new(WriterId { node: 1, start: 1 });
        let batch = ids.batch();
        let arrival = Arrival {
            source,
            received_at,
            ids: &batch,
        };
        let records = Batch {
            records: vec![record],
            rejections: Vec::new(),
        };
        let all = admit(&rules(), records, &arrival, &Announced::default());
        let Record::ProfileChange(it) = &all.entries()[1].record else {
            panic!("a change")
        };
        it.ts
    };
    assert_eq!(placed(Source::Rest, None), received_at);
    assert_eq!(placed(Source::Rest, Some(now())), received_at);
    // Any other time is as it was told, and an SDK's always.
    for sent in [
        now().minus(Duration::from_secs(1)),
        now().plus(Duration::from_secs(1)),
        now().plus(Duration::from_millis(100)),
    ] {
        assert_eq!(placed(Source::Rest, Some(sent)), sent);
    }
    assert_eq!(placed(Source::Web, Some(now())), now());
}

#[test]
fn passcodes_are_random_stored_as_hashes_and_told_apart() {
    let random = SeededRandom::new(1);
    let (one, two) = (
        NewPasscode::generate(&random),
        NewPasscode::generate(&random),
    );
    assert_ne!(one.text.expose(), two.text.expose());
    assert_eq!(one.text.expose().len(), 35);
    assert_eq!(PasscodeHash::from_bytes(one.hash.to_bytes()), one.hash);
    let rule = |name: &str, hash| PasscodeRule {
        name: name.into(),
        hash,
        terms: PasscodeTerms::default(),
    };
    let passcodes = vec![rule("one", one.hash), rule("two", two.hash)];
    let mut rules = AccountRules {
        passcodes,
        ..rules()
    };
    let who = |text: &str| rules.verify_passcode(text).map(|it| it.name.to_string());
    assert_eq!(who(one.text.expose()), Some("one".into()));
    assert_eq!(who(two.text.expose()), Some("two".into()));
    assert_eq!(who(""), None);
    assert_eq!(who(&one.text.expose().to_lowercase()), None);
    let token = |text: &str, ms| rules.verify_sdk_token(text, Timestamp::from_ms(ms));
    assert_eq!((token("token", 0), token("Token", 0)), (Some(1), None));
    rules.sdk_tokens = vec![
        SdkTokenRule {
            number: 1,
            hash: PasscodeHash::of("token"),
            ends_at: Some(Timestamp::from_ms(10)),
        },
        SdkTokenRule {
            number: 2,
            hash: PasscodeHash::of("newer"),
            ends_at: None,
        },
    ];
    let token = |text: &str, ms| rules.verify_sdk_token(text, Timestamp::from_ms(ms));
    assert_eq!((token("token", 9), token("token", 10)), (Some(1), None));
    assert_eq!(token("newer", i64::MAX), Some(2));
}

#[test]
fn a_ceiling_gives_its_places_back() {
    let ceilings = crate::Ceilings::default();
    let account = rules().id;
    let held: Vec<_> = (0..3)
        .map_while(|_| ceilings.enter(account, "/1/now.json", 3))
        .collect();
    assert_eq!(held.len(), 3);
    assert!(ceilings.enter(account, "/1/now.json", 3).is_none());
    assert!(ceilings.enter(account, "/1/upload", 1).is_some());
    assert!(
        ceilings
            .enter("OTHER".parse().unwrap(), "/1/now.json", 3)
            .is_some()
    );
    drop(held);
    assert_eq!(ceilings.running(account, "/1/now.json"), 0);
    assert!(ceilings.enter(account, "/1/now.json", 0).is_none());
    assert!(ceilings.enter(account, "/1/now.json", 1).is_some());
}

#[test]
fn what_was_announced_is_remembered_within_bounds() {
    let announced = Announced::with_capacity(2);
    for name in ["a", "b", "c", "d", "e"] {
        let mut all = run(
            &rules(),
            vec![event(named(name, ""), "x", None)],
            &announced,
        );
        announced.remember(all.take_announcements());
    }
    assert!(announced.len() <= 4 && !announced.is_empty());
    let known = |name| {
        identified(&run(
            &rules(),
            vec![event(named(name, ""), "x", None)],
            &announced,
        ))
    };
    assert_eq!(known("e").len(), 0);
    assert_eq!(known("a").len(), 1);
}
