//! Conditions on an event, its session or its person: `{"name", "operator", "value"}`.
//!
//! Operators have the names of the vendor's query language (`not_equals`), and those that clients were
//! seen to send for them (`notEquals`, `gte`).

use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::json::{Kind, Value};

/// Conditions in one question.
const FILTERS_MAX: usize = 50;
/// Values that all of them ask for.
const VALUES_MAX: usize = 1_000;
/// Bytes of all conditions as sent: they travel in the cursor.
const FILTERS_BYTES_MAX: usize = 16 * 1024;

/// What a condition, or a group of a report, looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PropertyKind {
    /// A property of the event.
    Event,
    /// What the SDK said of the session, the app or the device.
    Context,
    /// A property of the person.
    Person,
}

impl PropertyKind {
    /// What the vendor calls the properties of one kind; none for those that are not kept here.
    pub(in crate::rest) fn from_name(name: &str) -> Option<Self> {
        match name {
            "event_properties" => Some(Self::Event),
            "session_properties" | "app_fields" | "technographics" => Some(Self::Context),
            "profile_fields" | "demographics" => Some(Self::Person),
            _ => None,
        }
    }
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// What it looks at.
    pub kind: PropertyKind,
    /// The property.
    pub name: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what; nothing for [`Operator::Exists`] and its opposite.
    pub value: Option<FilterValue>,
}

/// What a property is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FilterValue {
    /// A text.
    Text(String),
    /// A number, as spelled in JSON.
    Number(String),
    /// A truth value.
    Bool(bool),
    /// Any of several, each one of the above.
    AnyOf(Vec<Self>),
}

/// How a property is compared. A number is above or below numbers alone, a text texts alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// The same value.
    Equals,
    /// Another value, or none.
    NotEquals,
    /// A text that holds the value.
    Contains,
    /// A text that does not hold the value, or none.
    NotContains,
    /// Above it.
    GreaterThan,
    /// Above or equal to it.
    GreaterThanEquals,
    /// Below it.
    LessThan,
    /// Below or equal to it.
    LessThanEquals,
    /// Any value.
    Exists,
    /// No value.
    NotExists,
}

impl Operator {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "equals" => Some(Self::Equals),
            "not_equals" | "notEquals" => Some(Self::NotEquals),
            "contains" => Some(Self::Contains),
            "does_not_contain" | "doesNotContain" | "not_contains" | "notContains" => {
                Some(Self::NotContains)
            }
            "greater_than" | "greaterThan" | "gt" => Some(Self::GreaterThan),
            "greater_than_equals" | "greaterThanEquals" | "greaterThanOrEquals" | "gte" => {
                Some(Self::GreaterThanEquals)
            }
            "less_than" | "lessThan" | "lt" => Some(Self::LessThan),
            "less_than_equals" | "lessThanEquals" | "lessThanOrEquals" | "lte" => {
                Some(Self::LessThanEquals)
            }
            "exists" => Some(Self::Exists),
            "does_not_exist" | "doesNotExist" | "not_exists" | "notExists" => Some(Self::NotExists),
            _ => None,
        }
    }
}

/// The conditions of these lists, each of which looks at properties of one kind.
pub(super) fn decode(lists: &[(PropertyKind, Value<'_>)]) -> Result<Vec<Filter>, Refusal> {
    let members: usize = lists.iter().map(|(_, list)| list.facts.members).sum();
    let bytes: usize = lists.iter().map(|(_, list)| list.text.len()).sum();
    let are_lists = lists.iter().all(|(_, list)| list.kind == Kind::Array);
    if !are_lists || members > FILTERS_MAX || bytes > FILTERS_BYTES_MAX {
        return Err(Refusal::Malformed);
    }
    let mut filters = Vec::new();
    for (kind, list) in lists {
        list.elements(|element| filters.push(filter(*kind, &element)));
    }
    let filters: Vec<Filter> = filters
        .into_iter()
        .collect::<Option<_>>()
        .ok_or(Refusal::Malformed)?;
    let values = filters.iter().map(|it| match &it.value {
        Some(FilterValue::AnyOf(values)) => values.len(),
        Some(_) | None => 1,
    });
    if values.sum::<usize>() > VALUES_MAX {
        return Err(Refusal::Malformed);
    }
    Ok(filters)
}

fn filter(kind: PropertyKind, element: &Value<'_>) -> Option<Filter> {
    if element.kind != Kind::Object {
        return None;
    }
    let (mut name, mut operator, mut value) = (None, None, None);
    element.members(|key, it| match key.decode().as_deref() {
        Some("name") => name = it.string(),
        Some("operator") => operator = Some(it.string().and_then(|it| Operator::from_name(&it))),
        Some("value") => value = Some(it),
        _ => {}
    });
    let name = name.filter(|it| !it.is_empty())?.into_owned();
    // Without an operator the value must be the same; one that does not exist is refused.
    let operator = operator.unwrap_or(Some(Operator::Equals))?;
    let value = match operator {
        Operator::Exists | Operator::NotExists => None,
        Operator::Equals
        | Operator::NotEquals
        | Operator::Contains
        | Operator::NotContains
        | Operator::GreaterThan
        | Operator::GreaterThanEquals
        | Operator::LessThan
        | Operator::LessThanEquals => Some(operands(&value?)?),
    };
    Some(Filter {
        kind,
        name,
        operator,
        value,
    })
}

/// One value, or a list of them: any of them will do.
fn operands(value: &Value<'_>) -> Option<FilterValue> {
    if value.kind != Kind::Array {
        return operand(value);
    }
    let mut values = Vec::new();
    value.elements(|element| values.push(operand(&element)));
    let values: Vec<FilterValue> = values.into_iter().collect::<Option<_>>()?;
    (!values.is_empty()).then_some(FilterValue::AnyOf(values))
}

fn operand(value: &Value<'_>) -> Option<FilterValue> {
    match value.kind {
        Kind::String => Some(FilterValue::Text(value.string()?.into_owned())),
        Kind::Number => Some(FilterValue::Number(value.text.to_owned())),
        Kind::Bool => Some(FilterValue::Bool(value.text == "true")),
        Kind::Object | Kind::Array | Kind::Null => None,
    }
}
