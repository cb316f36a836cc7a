//! Names in use and what was wrong with records: counted once, sealed, bounded.

use governance::{Declared, DeclaredKind};
use model::catalog::{Catalog as _, Consumed, Publication};
use model::learned::{
    FaultCounts, KindCounts, Learned, LeftOut, LeftOutReason, Name, Refused, ValueKind,
};
use model::record::Source;
use model::{AccountId, ErrorKind, RecordId, Timestamp, WriterId};

use super::support::{Fault, Faulty, World, operator};
use crate::{Control, DictionaryChange, Error, ErrorView};

const WRITER: WriterId = WriterId { node: 1, start: 1 };
const AT: Timestamp = Timestamp::from_seconds(1_790_000_000);

fn property(event: &str, name: &str) -> Name {
    Name::EventProperty(event.into(), name.into())
}

fn learned(account: AccountId, name: Name, kinds: &[(ValueKind, u64)]) -> Learned {
    let mut counts = KindCounts::default();
    let mut samples = [None; ValueKind::ALL.len()];
    for (kind, count) in kinds {
        counts[*kind as usize] = *count;
        samples[*kind as usize] = Some(RecordId([*kind as u8 + 1; 16]));
    }
    Learned {
        account,
        source: Source::Rest,
        name,
        count: kinds.iter().map(|(_, count)| count).sum::<u64>().max(1),
        kinds: counts,
        samples,
        faults: FaultCounts::default(),
        sample: RecordId([9; 16]),
        first_seen: AT,
        last_seen: AT,
    }
}

async fn publish(control: &Control, number: u64, learned: Vec<Learned>, refused: Vec<Refused>) {
    let publication = Publication {
        consumed: vec![Consumed {
            writer: WRITER,
            from: number - 1,
            to: number,
        }],
        learned,
        refused,
        ..Publication::default()
    };
    control.publish(publication).await.unwrap();
}

async fn shop(control: &Control) -> AccountId {
    let made = control.create_account(&operator(), "Shop", "UTC").await;
    made.unwrap().account_id
}

async fn errors(control: &Control, id: AccountId) -> Vec<ErrorView> {
    let found = control.schema_errors(&operator(), id, (&[], &[])).await;
    found.unwrap()
}

fn shown(errors: &[ErrorView]) -> Vec<(&str, Option<&str>, Option<&str>, u64)> {
    let mut shown: Vec<_> = errors
        .iter()
        .map(|it| {
            let (event, property) = (it.event.as_deref(), it.property.as_deref());
            (it.error.as_str(), event, property, it.count)
        })
        .collect();
    shown.sort_unstable();
    shown
}

#[tokio::test]
async fn names_are_counted_once_each_and_survive_a_restart_sealed() {
    let world = World::new(420);
    let dir = tempfile::tempdir().unwrap();
    let store = Faulty::new();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    let id = shop(&control).await;
    let event = || learned(id, Name::Event("Mailed peter@foo.com".into()), &[]);
    let price = || learned(id, property("Viewed", "price"), &[(ValueKind::Integer, 3)]);
    let mut web = price();
    web.source = Source::Web;
    web.last_seen = AT.plus(std::time::Duration::from_secs(60));
    publish(&control, 1, vec![event(), price(), web], Vec::new()).await;
    publish(&control, 2, vec![price()], Vec::new()).await;
    // What moved meanwhile counts nothing.
    let stale = Publication {
        consumed: vec![Consumed {
            writer: WRITER,
            from: 1,
            to: 2,
        }],
        learned: vec![price()],
        ..Publication::default()
    };
    let error = control.publish(stale).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    drop(control);
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(13).any(|it| it == b"peter@foo.com"));
    }
    let (control, _) = world.open(dir.path(), store).await.unwrap();
    let fresh = [price()];
    let names = control.names_in_use(&operator(), id, &fresh).await.unwrap();
    let [mailed, price] = &names[..] else {
        panic!("two names, not {names:?}")
    };
    assert_eq!((mailed.scope, mailed.count), ("event", 1));
    assert_eq!(mailed.event.as_deref(), Some("Mailed peter@foo.com"));
    assert_eq!((price.scope, price.count), ("event_property", 12));
    assert_eq!(price.kind, Some("integer"));
    assert_eq!(price.kinds, [("integer", 12)].into());
    assert_eq!(price.last_seen.since(price.first_seen).as_secs(), 60);
    let other = shop(&control).await;
    let names = control.names_in_use(&operator(), other, &fresh).await;
    assert_eq!(names.unwrap(), []);
}

#[tokio::test]
async fn a_property_keeps_its_first_kind_and_others_are_mismatches() {
    let world = World::new(421);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let id = shop(&control).await;
    let price = |kinds: &[(ValueKind, u64)]| vec![learned(id, property("Viewed", "price"), kinds)];
    use ValueKind::{Float, Integer, Null, Text};
    publish(&control, 1, price(&[(Null, 2)]), Vec::new()).await;
    publish(&control, 2, price(&[(Integer, 1)]), Vec::new()).await;
    publish(&control, 3, price(&[(Float, 5), (Null, 1)]), Vec::new()).await;
    assert_eq!(errors(&control, id).await, []);
    publish(&control, 4, price(&[(Text, 4)]), Vec::new()).await;
    let mut city = learned(
        id,
        Name::ProfileProperty("ci#ty".into()),
        &[(Text, 3), (Integer, 1)],
    );
    city.faults = [2, 3, 1];
    publish(&control, 5, vec![city], Vec::new()).await;
    let found = errors(&control, id).await;
    assert_eq!(
        shown(&found),
        [
            ("profile_key_characters", None, Some("ci#ty"), 4),
            ("profile_type_mismatch_accepted", None, Some("ci#ty"), 1),
            ("profile_value_characters", None, Some("ci#ty"), 3),
            ("profile_value_too_long", None, Some("ci#ty"), 2),
            ("profile_value_too_wide", None, Some("ci#ty"), 1),
            (
                "property_type_mismatch_accepted",
                Some("Viewed"),
                Some("price"),
                4
            ),
        ]
    );
    let mismatch = found.iter().find(|it| it.event.is_some()).unwrap();
    assert_eq!(
        mismatch.sample.as_deref(),
        Some("01010101010101010101010101010101")
    );
    assert_eq!(mismatch.source.as_deref(), Some("rest"));
    let names = control.names_in_use(&operator(), id, &[]).await.unwrap();
    assert_eq!(names[0].kind, Some("integer"));
}

#[tokio::test]
async fn what_the_account_does_not_know_is_an_error_once_it_knows_something() {
    let world = World::new(422);
    world.clock.set(AT);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let id = shop(&control).await;
    let of = |name| learned(id, name, &[(ValueKind::Text, 1)]);
    let all = || {
        vec![
            of(Name::Event("Known".into())),
            of(property("Known", "a")),
            of(property("Known", "b")),
            of(Name::Event("New".into())),
            of(property("New", "c")),
            of(Name::Event("Charged".into())),
            of(property("Charged", "x")),
        ]
    };
    publish(&control, 1, all(), Vec::new()).await;
    assert_eq!(errors(&control, id).await, []);
    let define = DictionaryChange::Define("Known".into(), vec!["a".into()]);
    control
        .change_dictionary(&operator(), id, define)
        .await
        .unwrap();
    publish(&control, 2, all(), Vec::new()).await;
    let left_out = LeftOut {
        account: id,
        source: Source::Ios,
        name: property("Known", "z"),
        reason: LeftOutReason::Undefined,
        count: 7,
        first_seen: AT,
        last_seen: AT,
    };
    control.count_left_out(&mut vec![left_out]).await.unwrap();
    let refused = Refused {
        account: id,
        source: Source::Web,
        reason: "event_discarded".into(),
        count: 2,
        sample: RecordId([3; 16]),
        first_seen: AT,
        last_seen: AT,
    };
    publish(&control, 3, Vec::new(), vec![refused.clone()]).await;
    let fresh = control
        .schema_errors(&operator(), id, (&all(), &[refused]))
        .await
        .unwrap();
    let before = errors(&control, id).await;
    let expected = |times: u64| {
        [
            ("event_discarded", None, None, 2 * times),
            ("event_undefined_accepted", Some("New"), None, times),
            (
                "property_undefined_accepted",
                Some("Known"),
                Some("b"),
                times,
            ),
            ("property_undefined_dropped", Some("Known"), Some("z"), 7),
        ]
    };
    assert_eq!(shown(&before), expected(1));
    assert_eq!(shown(&fresh), expected(2));

    // Nobody has sent it for a long time.
    world
        .clock
        .set(AT.plus(std::time::Duration::from_secs(91 * 86_400)));
    let late = errors(&control, id).await;
    assert!(shown(&late).contains(&("event_unused", Some("Known"), None, 1)));
}

#[tokio::test]
async fn names_beyond_the_limits_are_counted_and_not_kept() {
    let world = World::new(423);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let id = shop(&control).await;
    let event = |n: u32| learned(id, Name::Event(format!("e{n}").into()), &[]);
    publish(&control, 1, (0..600).map(event).collect(), Vec::new()).await;
    publish(&control, 2, (590..610).map(event).collect(), Vec::new()).await;
    let many = errors(&control, id).await;
    assert_eq!(many.len(), 88 + 10, "{many:?}");
    assert!(many.iter().all(|it| it.error == "events_too_many"));
    let names = |from: u32, to: u32| {
        let name = |n: u32| {
            learned(
                id,
                property("e1", &format!("p{n}")),
                &[(ValueKind::Text, 1)],
            )
        };
        (from..to).map(name).collect::<Vec<_>>()
    };
    publish(&control, 3, names(0, 19_380), Vec::new()).await;
    let mut more = names(19_370, 19_400);
    let used = property("e1", "in use");
    more.push(learned(id, used, &[(ValueKind::Text, 3)]));
    publish(&control, 4, more, Vec::new()).await;
    let kept = control.names_in_use(&operator(), id, &[]).await.unwrap();
    assert_eq!(kept.len(), 20_000);
    let found = errors(&control, id).await;
    let too_many = found
        .iter()
        .find(|it| it.error == "names_too_many")
        .unwrap();
    assert_eq!((too_many.count, &too_many.property), (11, &None));
    let uses = |name: &str| {
        let kept = kept.iter().find(|it| it.property.as_deref() == Some(name));
        kept.unwrap().count
    };
    assert_eq!(uses("p19375"), 2);
    assert_eq!(uses("in use"), 3, "made-up names do not crowd it out");
}

#[tokio::test]
async fn a_declared_kind_goes_before_the_first_one_and_people_s_properties_are_known_too() {
    let world = World::new(424);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let id = shop(&control).await;
    let declare = |event: Option<&str>, property: &str| {
        let declared = Declared {
            kind: Some(DeclaredKind::Number),
            is_mandatory: false,
        };
        DictionaryChange::Declare(event.map(str::to_owned), property.to_owned(), declared)
    };
    for change in [declare(Some("Known"), "n"), declare(None, "points")] {
        let said = control.change_dictionary(&operator(), id, change).await;
        said.unwrap();
    }
    use ValueKind::{Integer, Text};
    let of_people = |name: &str| Name::ProfileProperty(name.into());
    let used = vec![
        learned(id, property("Known", "n"), &[(Text, 5), (Integer, 1)]),
        learned(id, of_people("points"), &[(Text, 4)]),
        learned(id, of_people("other"), &[(Text, 3)]),
        learned(id, of_people("Email"), &[(Text, 2)]),
    ];
    publish(&control, 1, used, Vec::new()).await;
    let left_out = |reason, count| LeftOut {
        account: id,
        source: Source::Web,
        name: of_people("points"),
        reason,
        count,
        first_seen: AT,
        last_seen: AT,
    };
    let mut dropped = vec![
        left_out(LeftOutReason::Undefined, 8),
        left_out(LeftOutReason::Mismatch, 9),
    ];
    control.count_left_out(&mut dropped).await.unwrap();
    let found = errors(&control, id).await;
    let expected = [
        ("profile_type_mismatch_accepted", None, Some("points"), 4),
        ("profile_type_mismatch_dropped", None, Some("points"), 9),
        ("profile_undefined_accepted", None, Some("other"), 3),
        ("profile_undefined_dropped", None, Some("points"), 8),
        (
            "property_type_mismatch_accepted",
            Some("Known"),
            Some("n"),
            5,
        ),
    ];
    assert_eq!(shown(&found), expected);
}

#[tokio::test]
async fn what_could_not_be_counted_comes_back_and_nothing_counts_twice() {
    let world = World::new(426);
    let dir = tempfile::tempdir().unwrap();
    let store = Faulty::new();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    let id = shop(&control).await;
    let left_out = |count| {
        vec![LeftOut {
            account: id,
            source: Source::Web,
            name: property("Known", "z"),
            reason: LeftOutReason::Undefined,
            count,
            first_seen: AT,
            last_seen: AT,
        }]
    };
    store.fail_after(0, Fault::Before);
    let (mut first, mut second) = (left_out(1), left_out(20));
    for waiting in [&mut first, &mut second] {
        let error = control.count_left_out(waiting).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    // The first is in the database, and on its way to the volumes.
    assert_eq!((first, &second), (Vec::new(), &left_out(20)));
    store.heal();
    control.count_left_out(&mut second).await.unwrap();
    assert_eq!(second, []);
    let found = errors(&control, id).await;
    let expected = [("property_undefined_dropped", Some("Known"), Some("z"), 21)];
    assert_eq!(shown(&found), expected);
}

/// As on a full disk: each statement goes well, and the transaction is not taken.
const NOT_TAKEN: &str = "CREATE TABLE things (id BIGINT PRIMARY KEY); \
    CREATE TABLE promises (id BIGINT REFERENCES things (id) DEFERRABLE INITIALLY DEFERRED); \
    CREATE TRIGGER promise AFTER INSERT ON schema_errors \
    BEGIN INSERT INTO promises VALUES (1); END";

#[tokio::test]
async fn counts_stay_when_the_transaction_is_not_taken() {
    let world = World::new(427);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let id = shop(&control).await;
    let run = async |sql: &'static str| {
        let done = control.database.write(move |session| {
            Box::pin(async move {
                let done = sqlx::raw_sql(sql).execute(session.connection()).await;
                done.map(|_| ())
                    .map_err(Error::database("prepare the database"))
            })
        });
        done.await.unwrap();
    };
    run(NOT_TAKEN).await;
    let mut left_out = vec![LeftOut {
        account: id,
        source: Source::Web,
        name: property("Known", "z"),
        reason: LeftOutReason::Undefined,
        count: 7,
        first_seen: AT,
        last_seen: AT,
    }];
    let before = left_out.clone();
    let error = control.count_left_out(&mut left_out).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(left_out, before);
    assert_eq!(errors(&control, id).await, []);
    run("DROP TRIGGER promise").await;
    control.count_left_out(&mut left_out).await.unwrap();
    assert_eq!(left_out, []);
    let found = errors(&control, id).await;
    let expected = [("property_undefined_dropped", Some("Known"), Some("z"), 7)];
    assert_eq!(shown(&found), expected);
}
