//! What is kept, left out and refused.

use super::{
    Declared, DeclaredKind, Dictionary, LeftOutProperty, Policy, Properties, Unfit, UnfitProperty,
    Verdict,
};
use model::RawJson;
use model::learned::{LeftOutReason, Name};
use model::record::{Change, ChangeOp};
use model::submission::RejectReason;

const fn of(kind: Option<DeclaredKind>, is_mandatory: bool) -> Declared {
    Declared { kind, is_mandatory }
}

fn dictionary(undefined_events: Unfit, undefined_properties: UnfitProperty) -> Dictionary {
    let known = ["a", "é\"\\"].map(|it| (Box::from(it), Declared::default()));
    Dictionary {
        events: [(Box::from("Known"), known.into())].into(),
        profile: Properties::new(),
        policy: Policy {
            undefined_events,
            undefined_properties,
            ..Policy::default()
        },
    }
}

fn judge(dictionary: &Dictionary, event: &str, properties: &str) -> Verdict {
    dictionary.judge(event, &RawJson::parse(properties).unwrap())
}

fn left_out(property: &str, reason: LeftOutReason) -> LeftOutProperty {
    LeftOutProperty {
        name: Name::EventProperty("Known".into(), property.into()),
        reason,
    }
}

#[test]
fn unknown_events_are_kept_or_refused() {
    let accepting = dictionary(Unfit::Accept, UnfitProperty::DropEvent);
    let dropping = dictionary(Unfit::Drop, UnfitProperty::Accept);
    assert_eq!(judge(&accepting, "New", r#"{"x":1}"#), Verdict::Keep);
    let refused = Verdict::Refuse(RejectReason::EventUndefined);
    assert_eq!(judge(&dropping, "New", "{}"), refused);
    assert_eq!(judge(&dropping, "known", "{}"), refused);
    assert_eq!(judge(&dropping, "Known", r#"{"x":1}"#), Verdict::Keep);
    for name in ["App Launched", "Charged"] {
        assert_eq!(judge(&dropping, name, "{}"), Verdict::Keep);
    }
}

#[test]
fn unknown_properties_are_kept_left_out_or_a_reason_to_refuse() {
    let check = |policy, properties: &str, expect: Verdict| {
        let dictionary = dictionary(Unfit::Accept, policy);
        assert_eq!(
            judge(&dictionary, "Known", properties),
            expect,
            "{properties}"
        );
    };
    let only = |text: &str| {
        Verdict::KeepOnly(
            RawJson::parse(text).unwrap(),
            vec![left_out("x", LeftOutReason::Undefined)],
        )
    };
    let all = r#"{"a":1.50,"x":[1, {"a":2}],"\u00e9\"\\":"\ud800"}"#;
    check(UnfitProperty::Accept, all, Verdict::Keep);
    check(
        UnfitProperty::DropProperty,
        all,
        only(r#"{"a":1.50,"é\"\\":"\ud800"}"#),
    );
    check(UnfitProperty::DropProperty, r#"{"x":1}"#, only("{}"));
    check(UnfitProperty::DropProperty, r#"{ "a":1 }"#, Verdict::Keep);
    let refused = Verdict::Refuse(RejectReason::PropertyUndefined);
    check(UnfitProperty::DropEvent, all, refused);
    check(UnfitProperty::DropEvent, r#"{"a":1}"#, Verdict::Keep);
    check(UnfitProperty::DropEvent, "{}", Verdict::Keep);
}

#[test]
fn values_of_another_kind_are_kept_left_out_or_a_reason_to_refuse() {
    let mut dictionary = dictionary(Unfit::Accept, UnfitProperty::Accept);
    let known = dictionary.events.get_mut("Known").unwrap();
    known.insert("n".into(), of(Some(DeclaredKind::Number), false));
    known.insert("d".into(), of(Some(DeclaredKind::Date), false));
    let fits = r#"{"n":1.5,"d":"$D_1790000000","a":[]}"#;
    let nulls = r#"{"n":null,"d":null}"#;
    let unfit = r#"{"n":"1","d":"$D_1","other":{}}"#;
    for policy in UnfitProperty::ALL {
        dictionary.policy.mismatched_properties = policy;
        assert_eq!(judge(&dictionary, "Known", fits), Verdict::Keep);
        assert_eq!(judge(&dictionary, "Known", nulls), Verdict::Keep);
        let expected = match policy {
            UnfitProperty::Accept => Verdict::Keep,
            UnfitProperty::DropProperty => {
                let kept = RawJson::parse(r#"{"d":"$D_1","other":{}}"#).unwrap();
                Verdict::KeepOnly(kept, vec![left_out("n", LeftOutReason::Mismatch)])
            }
            UnfitProperty::DropEvent => Verdict::Refuse(RejectReason::PropertyMismatched),
        };
        assert_eq!(judge(&dictionary, "Known", unfit), expected);
    }
}

#[test]
fn an_event_without_a_mandatory_property_is_refused() {
    let mut dictionary = dictionary(Unfit::Accept, UnfitProperty::Accept);
    let known = dictionary.events.get_mut("Known").unwrap();
    known.insert("n".into(), of(Some(DeclaredKind::Number), true));
    let missing = || Verdict::Refuse(RejectReason::PropertyMissing);
    for (properties, expected) in [
        (r#"{"n":1}"#, Verdict::Keep),
        (r#"{"n":"kept, whatever it is"}"#, Verdict::Keep),
        (r#"{"n":null}"#, missing()),
        (r#"{"N":1}"#, missing()),
        ("{}", missing()),
    ] {
        assert_eq!(
            judge(&dictionary, "Known", properties),
            expected,
            "{properties}"
        );
    }
    // What is left out is not there.
    dictionary.policy.mismatched_properties = UnfitProperty::DropProperty;
    assert_eq!(judge(&dictionary, "Known", r#"{"n":"1"}"#), missing());
    assert_eq!(judge(&dictionary, "Other", "{}"), Verdict::Keep);
}

#[test]
fn people_s_properties_are_kept_or_left_out() {
    let change = |property: &str, op, value: &str| Change {
        property: property.into(),
        op,
        value: RawJson::parse(value).unwrap(),
    };
    let sent = || {
        vec![
            change("Email", ChangeOp::Put, "7"),
            change("plan", ChangeOp::Put, r#""gold""#),
            change("plan", ChangeOp::Put, "7"),
            change("plan", ChangeOp::Add, r#"["x"]"#),
            change("plan", ChangeOp::Delete, "true"),
            change("points", ChangeOp::Incr, "1"),
            change("tags", ChangeOp::Remove, r#"["x"]"#),
            change("new", ChangeOp::Put, "null"),
            change("new", ChangeOp::Delete, "true"),
            change("Identity", ChangeOp::Identify, r#""u1""#),
        ]
    };
    let mut dictionary = Dictionary::default();
    let profile = &mut dictionary.profile;
    profile.insert("plan".into(), of(Some(DeclaredKind::Text), false));
    profile.insert("points".into(), of(Some(DeclaredKind::Number), false));
    profile.insert("tags".into(), of(Some(DeclaredKind::List), false));
    let judged = |undefined_profile, mismatched_profile| {
        let mut dictionary = dictionary.clone();
        dictionary.policy.undefined_profile = undefined_profile;
        dictionary.policy.mismatched_profile = mismatched_profile;
        let mut changes = sent();
        let unwanted = dictionary.judge_profile(&mut changes);
        let left_out = unwanted.map_or_else(Vec::new, |(all, left_out)| {
            assert_eq!(all, sent());
            left_out
        });
        assert_eq!(changes.len() + left_out.len(), sent().len());
        let words = left_out.into_iter().map(|it| match (it.name, it.reason) {
            (Name::ProfileProperty(name), reason) => format!("{name} {reason:?}"),
            (name, _) => panic!("{name:?}"),
        });
        words.collect::<Vec<_>>()
    };
    let (undefined, mismatched) = ("new Undefined", "plan Mismatch");
    assert_eq!(judged(Unfit::Accept, Unfit::Accept), Vec::<String>::new());
    assert_eq!(judged(Unfit::Drop, Unfit::Accept), [undefined]);
    assert_eq!(judged(Unfit::Accept, Unfit::Drop), [mismatched, mismatched]);
    let all = [mismatched, mismatched, undefined];
    assert_eq!(judged(Unfit::Drop, Unfit::Drop), all);
}
