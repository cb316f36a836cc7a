//! `/v2/dictionary/properties`, what is declared of them, and what is personal information.

use axum::extract::State as Of;
use control::{ClassChange, DictionaryChange, PropertyView};
use governance::{Class, Declared, DeclaredKind, Mask, PropertyOf};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Answer, Page, json};
use super::ask::{Named, Sent};
use super::dictionary::{change_dictionary, read};
use super::program::Program;
use crate::State;
use crate::error::problem::no_content;

/// A property.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DictionaryProperty {
    /// Its name.
    name: String,
    /// Whose it is.
    of: Whose,
    /// The types of its values, where they are known.
    types: Vec<String>,
    /// The class of personal information.
    class: PropertyClass,
    /// How its values are shown to who may not see personal information.
    mask: PropertyMask,
}

/// A property that an event, or a person, is known to have.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KnownProperty {
    /// Its name.
    name: String,
    /// The declared kind: `text`, `number`, `boolean`, `date`, `list`, `object`; null for any.
    kind: Option<&'static str>,
    /// Whether an event without it is refused.
    is_mandatory: bool,
}

/// What is declared of a property of an event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventProperty {
    /// Of which kind its values are; null for any.
    kind: Option<PropertyKind>,
    /// Whether an event without it is refused.
    #[serde(default)]
    is_mandatory: bool,
}

/// What is declared of a property of people.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PersonProperty {
    /// Of which kind its values are; null for any.
    kind: Option<PropertyKind>,
}

/// Of which kind values are.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PropertyKind {
    /// Strings that are no dates.
    Text,
    /// Numbers.
    Number,
    /// True or false.
    Boolean,
    /// Strings that begin with `$D_`.
    Date,
    /// Lists.
    List,
    /// Objects.
    Object,
}

/// What a property is, and how it is masked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PropertyClassification {
    /// The class of personal information.
    class: PropertyClass,
    /// How its values are shown to who may not see personal information.
    mask: PropertyMask,
}

/// Whose a property is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Whose {
    /// Events have it.
    Events,
    /// People have it.
    People,
}

/// A class of personal information.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PropertyClass {
    /// It is none.
    None,
    /// It names a person or a device.
    Identifier,
    /// By it a person is reached.
    Contact,
    /// It says where a person is.
    Location,
    /// It says something that harms when it gets about.
    Sensitive,
    /// Anybody may have written anything into it.
    FreeText,
}

/// How a value is masked.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PropertyMask {
    /// Nothing of it is shown.
    Placeholder,
    /// A little of it is shown.
    Partial,
}

/// Lists properties
#[utoipa::path(
    get,
    path = "/v2/dictionary/properties",
    operation_id = "listDictionaryProperties",
    tag = "Dictionary",
    responses((status = 200, description = "Properties of events, then of people.", body = Page<DictionaryProperty>))
)]
pub(crate) async fn list(program: Program, Of(state): Of<State>) -> Answer {
    let (policy, engine) = (program.policy(), state.engine());
    let (of_events, of_people) = tokio::try_join!(
        engine.event_properties(&policy),
        engine.profile_properties(&policy)
    )?;
    let property = |name: &str, of: Whose, types: Vec<String>| {
        let said = program.rules().classes.of(of.into(), name);
        DictionaryProperty {
            name: name.to_owned(),
            of,
            types,
            class: said.class.into(),
            mask: said.mask.into(),
        }
    };
    let of_events = of_events.iter().map(|(name, types)| {
        let types = types.iter().map(ToString::to_string).collect();
        property(name, Whose::Events, types)
    });
    let of_people = of_people.iter();
    let of_people = of_people.map(|name| property(name, Whose::People, Vec::new()));
    json(&Page::whole(of_events.chain(of_people).collect()))
}

/// Says what a property is, and how it is masked
///
/// It holds for every read from the next one on. Doing it again changes nothing.
#[utoipa::path(
    put,
    path = "/v2/dictionary/properties/{of}/{name}/class",
    operation_id = "classifyProperty",
    tag = "Dictionary",
    params(
        ("of" = Whose, Path, description = "Whose property."),
        ("name" = String, Path, description = "The property's name."),
    ),
    request_body = PropertyClassification,
    responses((status = 204, description = "It is said."))
)]
pub(crate) async fn classify(
    program: Program,
    Of(state): Of<State>,
    Named((of, property)): Named<(Whose, String)>,
    Sent(sent): Sent<PropertyClassification>,
) -> Answer {
    let change = DictionaryChange::Class(ClassChange {
        of: of.into(),
        property,
        class: Some(sent.class.into()),
        mask: Some(sent.mask.into()),
    });
    change_dictionary(&program, &state, change).await?;
    Ok(no_content())
}

/// Declares a property of an event
///
/// The event is known from then on. Doing it again changes nothing.
#[utoipa::path(
    put,
    path = "/v2/dictionary/events/{name}/properties/{property}",
    operation_id = "declareEventProperty",
    tag = "Dictionary",
    params(
        ("name" = String, Path, description = "The event's name."),
        ("property" = String, Path, description = "The property's name."),
    ),
    request_body = EventProperty,
    responses((status = 204, description = "It is declared."))
)]
pub(crate) async fn declare(
    program: Program,
    Of(state): Of<State>,
    Named((event, property)): Named<(String, String)>,
    Sent(sent): Sent<EventProperty>,
) -> Answer {
    let declared = Declared {
        kind: sent.kind.map(DeclaredKind::from),
        is_mandatory: sent.is_mandatory,
    };
    let change = DictionaryChange::Declare(Some(event), property, declared);
    change_dictionary(&program, &state, change).await?;
    Ok(no_content())
}

/// Forgets what is declared of a property of an event
#[utoipa::path(
    delete,
    path = "/v2/dictionary/events/{name}/properties/{property}",
    operation_id = "forgetEventProperty",
    tag = "Dictionary",
    params(
        ("name" = String, Path, description = "The event's name."),
        ("property" = String, Path, description = "The property's name."),
    ),
    responses((status = 204, description = "Nothing is declared of it any more."))
)]
pub(crate) async fn forget(
    program: Program,
    Of(state): Of<State>,
    Named((event, property)): Named<(String, String)>,
) -> Answer {
    let change = DictionaryChange::ForgetProperty(Some(event), property);
    change_dictionary(&program, &state, change).await?;
    Ok(no_content())
}

/// Lists the declared properties of people
#[utoipa::path(
    get,
    path = "/v2/dictionary/profile",
    operation_id = "listProfileProperties",
    tag = "Dictionary",
    responses((status = 200, description = "Every declared property, by name.", body = Page<KnownProperty>))
)]
pub(crate) async fn profile(program: Program, Of(state): Of<State>) -> Answer {
    let said = read(&program, &state).await?;
    json(&Page::whole(said.profile.iter().map(known).collect()))
}

/// Declares a property of people
///
/// Doing it again changes nothing.
#[utoipa::path(
    put,
    path = "/v2/dictionary/profile/{property}",
    operation_id = "declareProfileProperty",
    tag = "Dictionary",
    params(("property" = String, Path, description = "The property's name.")),
    request_body = PersonProperty,
    responses((status = 204, description = "It is declared."))
)]
pub(crate) async fn declare_of_people(
    program: Program,
    Of(state): Of<State>,
    Named(property): Named<String>,
    Sent(sent): Sent<PersonProperty>,
) -> Answer {
    let declared = Declared {
        kind: sent.kind.map(DeclaredKind::from),
        is_mandatory: false,
    };
    let change = DictionaryChange::Declare(None, property, declared);
    change_dictionary(&program, &state, change).await?;
    Ok(no_content())
}

/// Forgets what is declared of a property of people
#[utoipa::path(
    delete,
    path = "/v2/dictionary/profile/{property}",
    operation_id = "forgetProfileProperty",
    tag = "Dictionary",
    params(("property" = String, Path, description = "The property's name.")),
    responses((status = 204, description = "Nothing is declared of it any more."))
)]
pub(crate) async fn forget_of_people(
    program: Program,
    Of(state): Of<State>,
    Named(property): Named<String>,
) -> Answer {
    let change = DictionaryChange::ForgetProperty(None, property);
    change_dictionary(&program, &state, change).await?;
    Ok(no_content())
}

/// A property of which something is declared.
pub(super) fn known(property: &PropertyView) -> KnownProperty {
    KnownProperty {
        name: property.name.clone(),
        kind: property.kind,
        is_mandatory: property.is_mandatory,
    }
}

impl From<Whose> for PropertyOf {
    fn from(of: Whose) -> Self {
        match of {
            Whose::Events => Self::Event,
            Whose::People => Self::Person,
        }
    }
}

impl From<PropertyKind> for DeclaredKind {
    fn from(kind: PropertyKind) -> Self {
        match kind {
            PropertyKind::Text => Self::Text,
            PropertyKind::Number => Self::Number,
            PropertyKind::Boolean => Self::Boolean,
            PropertyKind::Date => Self::Date,
            PropertyKind::List => Self::List,
            PropertyKind::Object => Self::Object,
        }
    }
}

impl From<Class> for PropertyClass {
    fn from(class: Class) -> Self {
        match class {
            Class::None => Self::None,
            Class::Identifier => Self::Identifier,
            Class::Contact => Self::Contact,
            Class::Location => Self::Location,
            Class::Sensitive => Self::Sensitive,
            Class::FreeText => Self::FreeText,
        }
    }
}

impl From<PropertyClass> for Class {
    fn from(class: PropertyClass) -> Self {
        match class {
            PropertyClass::None => Self::None,
            PropertyClass::Identifier => Self::Identifier,
            PropertyClass::Contact => Self::Contact,
            PropertyClass::Location => Self::Location,
            PropertyClass::Sensitive => Self::Sensitive,
            PropertyClass::FreeText => Self::FreeText,
        }
    }
}

impl From<Mask> for PropertyMask {
    fn from(mask: Mask) -> Self {
        match mask {
            Mask::Placeholder => Self::Placeholder,
            Mask::Partial => Self::Partial,
        }
    }
}

impl From<PropertyMask> for Mask {
    fn from(mask: PropertyMask) -> Self {
        match mask {
            PropertyMask::Placeholder => Self::Placeholder,
            PropertyMask::Partial => Self::Partial,
        }
    }
}
