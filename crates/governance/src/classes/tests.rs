//! Which values are masked, and what is left of them.

use super::{Class, Classes, Classification, Mask, Masks, PropertyOf};
use proptest::prelude::*;

fn said(class: Class, mask: Mask) -> Classification {
    Classification { class, mask }
}

#[test]
fn what_was_not_said_follows_from_the_name() {
    let mut classes = Classes::default();
    let class = |classes: &Classes, of, name| classes.of(of, name).class;
    for (of, name, expect) in [
        (PropertyOf::Person, "Email", Class::Contact),
        (PropertyOf::Event, "Email", Class::Contact),
        (PropertyOf::Person, "DOB", Class::Sensitive),
        (PropertyOf::Person, "Latitude", Class::Location),
        (PropertyOf::Event, "ID", Class::Identifier),
        (PropertyOf::Person, "ID", Class::None),
        (PropertyOf::Person, "identity", Class::Identifier),
        (PropertyOf::Person, "objectId", Class::None),
        (PropertyOf::Person, "email", Class::None),
        (PropertyOf::Event, "Plan", Class::None),
    ] {
        assert_eq!(class(&classes, of, name), expect, "{of:?} {name}");
        assert_eq!(
            classes.masks().of(of, name).is_some(),
            expect != Class::None,
            "{of:?} {name}"
        );
    }
    let partial = said(Class::Contact, Mask::Partial);
    classes.say(PropertyOf::Person, "Email", partial);
    classes.say(
        PropertyOf::Event,
        "Email",
        said(Class::None, Mask::Placeholder),
    );
    let masks = classes.masks();
    assert_eq!(masks.of(PropertyOf::Person, "Email"), Some(Mask::Partial));
    assert_eq!(masks.of(PropertyOf::Event, "Email"), None);
}

#[test]
fn a_partial_mask_keeps_a_little() {
    for (value, expect) in [
        ("\"pia@firm.com\"", "p••••@f••••.com"),
        ("\"p@f.co.uk\"", "p••••@f••••.uk"),
        ("\"pia@firm\"", "••••"),
        ("\"@firm.com\"", "••••"),
        ("\"a@b@c.com\"", "••••"),
        ("\"pia@firm.secretlabel\"", "••••"),
        ("\"+4915112345678\"", "+••••78"),
        ("\"Ann Bee\"", "••••"),
        ("\"Ann Beech\"", "A••••ch"),
        ("\"\"", "••••"),
        ("42", "***"),
        ("[\"ann@example.com\"]", "***"),
        ("null", "***"),
    ] {
        let expect = serde_json::to_string(expect).unwrap();
        assert_eq!(&*Mask::Partial.json(value), expect, "{value}");
        assert_eq!(&*Mask::Placeholder.json(value), "\"***\"", "{value}");
    }
}

fn masks() -> impl Strategy<Value = Masks> {
    let of = prop::sample::select(&PropertyOf::ALL[..]);
    let mask = prop::sample::select(&Mask::ALL[..]);
    prop::collection::vec((of, "[a-c]", mask), 0..6).prop_map(|all| {
        let mut masks = Masks::default();
        for (of, name, mask) in all {
            masks.insert(of, &name, mask);
        }
        masks
    })
}

/// Whether `a` shows nothing that `b` does not show.
fn shows_no_more(a: &Masks, b: &Masks) -> bool {
    PropertyOf::ALL.into_iter().all(|of| {
        b.all(of)
            .iter()
            .all(|(name, mask)| a.of(of, name).is_some_and(|it| it <= *mask))
    })
}

proptest! {
    #[test]
    fn a_mask_tells_no_length_and_no_more_than_it_shows(text in "\\PC{0,40}") {
        let json = serde_json::to_string(&text).unwrap();
        let shown: String = serde_json::from_str(&Mask::Partial.json(&json)).unwrap();
        let own = shown.chars().filter(|it| *it != '•');
        prop_assert!(own.count() <= 8, "{shown}");
    }

    #[test]
    fn two_masks_together_show_no_more_than_either(a in masks(), b in masks()) {
        let both = a.union(&b);
        prop_assert!(shows_no_more(&both, &a) && shows_no_more(&both, &b));
        prop_assert_eq!(&both, &b.union(&a));
        prop_assert_eq!(&a.union(&a), &a);
    }
}
