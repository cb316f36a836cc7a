//! `/a/{account}/dictionary/property?of=…&name=…`: one property of events or of people: which class of
//! personal information it is, and how it is masked.

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::{Act, ClassChange, DictionaryChange};
use governance::{Class, Mask, PropertyOf};
use model::ErrorKind;

use crate::console::staff::Staff;
use crate::console::view::{
    Answer, Asked, Fields, Posted, Section, Shell, answer, html, link, see_other, unusable,
};
use crate::{Error, State};

/// The page.
pub(crate) async fn get(staff: Staff, Asked(asked): Asked) -> Response {
    let shown = Property::new(&staff, &asked, None);
    answer(&staff, shown.and_then(|page| html(&page)))
}

/// A change.
pub(crate) async fn post(staff: Staff, Of(state): Of<State>, Posted(fields): Posted) -> Response {
    answer(&staff, change(&staff, &state, &fields).await)
}

#[derive(Debug, Template)]
#[template(path = "dictionary_property.html")]
struct Property {
    shell: Shell,
    path: String,
    name: String,
    of: &'static str,
    whose: &'static str,
    class: &'static str,
    mask: &'static str,
    is_said: bool,
    is_masked: bool,
    may_classify: bool,
}

impl Property {
    fn new(staff: &Staff, asked: &Fields, error: Option<String>) -> crate::Result<Self> {
        let rules = staff.rules().ok_or(Error::Absent)?;
        let policy = staff.policy().ok_or(Error::Absent)?;
        let of = PropertyOf::from_name(asked.text("of")).ok_or(Error::Absent)?;
        let name = asked.raw("name").filter(|it| !it.is_empty());
        let name = name.ok_or(Error::Absent)?;
        let found = rules.classes.of(of, name);
        let base = format!("/a/{}/dictionary", staff.account());
        let done = (asked.text("done") == "classified").then_some(
            "The property was classified. It holds from the next request of everybody on.",
        );
        Ok(Self {
            shell: Shell::new(staff, Section::Dictionary, name)
                .under("Dictionary", base.clone())
                .done(done)
                .error(error),
            path: format!("{base}/property"),
            name: name.to_owned(),
            of: of.as_str(),
            whose: whose(of),
            class: found.class.as_str(),
            mask: found.mask.as_str(),
            is_said: rules.classes.is_said(of, name),
            is_masked: policy.mask(of, name).is_some(),
            may_classify: staff.may(Act::ClassifyProperties),
        })
    }

    fn classes(&self) -> [(&'static str, &'static str); 6] {
        Class::ALL.map(|it| (it.as_str(), class_words(it)))
    }

    const fn masks(&self) -> [(&'static str, &'static str); 2] {
        [
            (Mask::Placeholder.as_str(), "a placeholder: ***"),
            (Mask::Partial.as_str(), "a little of it: p••••@f••••.com"),
        ]
    }
}

/// Whose properties.
pub(super) const fn whose(of: PropertyOf) -> &'static str {
    match of {
        PropertyOf::Event => "events",
        PropertyOf::Person => "people",
    }
}

/// A class as people call it.
pub(super) const fn class_words(class: Class) -> &'static str {
    match class {
        Class::None => "none",
        Class::Identifier => "identifier",
        Class::Contact => "contact",
        Class::Location => "location",
        Class::Sensitive => "sensitive",
        Class::FreeText => "free text",
    }
}

async fn change(staff: &Staff, state: &State, fields: &Fields) -> Answer {
    let of = PropertyOf::from_name(fields.text("of")).ok_or(Error::Absent)?;
    let name = fields.raw("name").unwrap_or_default();
    let change = ClassChange {
        of,
        property: name.to_owned(),
        class: Class::from_name(fields.text("class")),
        mask: Mask::from_name(fields.text("mask")),
    };
    if change.class.is_none() || change.mask.is_none() {
        let words = Some(String::from("Choose a class and a mask."));
        return unusable(&Property::new(staff, fields, words)?);
    }
    let control = state.control();
    let change = DictionaryChange::Class(change);
    let changed = control.change_dictionary(staff.actor(), staff.account(), change);
    match changed.await.map_err(Error::from) {
        Ok(_) => {
            let path = format!("/a/{}/dictionary/property", staff.account());
            let pairs = [("of", of.as_str()), ("name", name), ("done", "classified")];
            see_other(&link(&path, &pairs))
        }
        Err(error) if error.kind() == ErrorKind::Invalid => {
            let words = Some(error.words());
            unusable(&Property::new(staff, fields, words)?)
        }
        Err(error) => Err(error),
    }
}
