//! Conditions on the properties of an event, on what the SDK said with it, and on its person.

use lake::PropertyReader;
use model::RawJson;
use serde_json::value::RawValue;
use std::cell::OnceCell;
use std::cmp::Ordering;

use crate::events::EventsQuery;
use crate::functions::{json_members, json_number, json_text};
use crate::{Error, ReadPolicy, Result};

/// A condition on one property. What is without the property never matches, but for
/// [`Operator::NotEquals`], [`Operator::NotContains`] and [`Operator::NotExists`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyFilter {
    /// The property.
    pub name: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what: one JSON value, or a list of them, of which any will do (a negation: none may).
    /// Nothing is compared by [`Operator::Exists`] and its opposite.
    pub value: RawJson,
}

/// How a property is compared. Numbers compare as numbers, also where one of them is in a text, and so do
/// the seconds of two dates (`$D_…`); everything else as text. What is no number is neither greater nor
/// less than one. Of a list one element is enough, and for a negation none may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// The same: `5` and `"5"` are, and so are `true` and `"True"`; `"5"` and `"05"` are not.
    Equals,
    /// Not the same, or not there.
    NotEquals,
    /// Its text has the value's text in it; upper and lower case are the same.
    Contains,
    /// Its text has not, or it is not there.
    NotContains,
    /// There is a value; a JSON `null` that was sent is one.
    Exists,
    /// There is none.
    NotExists,
    /// Greater.
    GreaterThan,
    /// Greater or the same.
    GreaterOrEqual,
    /// Less.
    LessThan,
    /// Less or the same.
    LessOrEqual,
}

impl Operator {
    /// Whether it holds where there is no value.
    const fn is_negation(self) -> bool {
        match self {
            Self::NotEquals | Self::NotContains | Self::NotExists => true,
            Self::Equals
            | Self::Contains
            | Self::Exists
            | Self::GreaterThan
            | Self::GreaterOrEqual
            | Self::LessThan
            | Self::LessOrEqual => false,
        }
    }
}

/// All the conditions on an event. What they ask for is read once, not for each event.
#[derive(Debug)]
pub(crate) struct Conditions<'a> {
    properties: Vec<Condition<'a>>,
    context: Vec<Condition<'a>>,
}

/// One of them, or one on a person.
#[derive(Debug)]
pub(crate) struct Condition<'a> {
    pub(crate) name: &'a str,
    operator: Operator,
    /// Any of these will do; a negation: none may.
    wanted: Vec<Wanted>,
}

/// A value that is asked for.
#[derive(Debug)]
struct Wanted {
    text: String,
    lower: String,
    is_text: bool,
    number: Option<Number>,
}

/// A number: as it is when it is a whole one, and as near as can be.
#[derive(Debug, Clone, Copy)]
struct Number {
    whole: Option<i128>,
    near: f64,
}

impl Number {
    /// Of a number's text, or of a date's seconds.
    fn of(text: &str) -> Option<Self> {
        let text = text.strip_prefix(DATE).unwrap_or(text);
        Some(Self {
            whole: text.parse().ok(),
            near: json_number(text)?,
        })
    }

    fn order(self, other: Self) -> Option<Ordering> {
        match (self.whole, other.whole) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => self.near.partial_cmp(&other.near),
        }
    }
}

/// What a date begins with, before its seconds.
const DATE: &str = "$D_";

impl<'a> Conditions<'a> {
    /// # Errors
    /// `Denied` for a condition on a masked property.
    pub(crate) fn new(policy: &ReadPolicy, query: &'a EventsQuery) -> Result<Self> {
        let read = |filters: &'a [PropertyFilter]| {
            check(filters, |name| policy.masks_event(name))?;
            Ok(filters.iter().map(Condition::new).collect())
        };
        Ok(Self {
            properties: read(&query.filters)?,
            context: read(&query.context)?,
        })
    }

    /// The properties of events that they look at.
    pub(crate) fn properties(&self) -> impl Iterator<Item = &'a str> {
        self.properties.iter().map(|it| it.name)
    }

    /// Whether there are none.
    pub(crate) const fn are_none(&self) -> bool {
        self.properties.is_empty() && self.context.is_empty()
    }

    /// Whether they look at what the SDK said.
    pub(crate) const fn need_context(&self) -> bool {
        !self.context.is_empty()
    }

    /// Whether all of them hold of an event. `context` is what the SDK said: a JSON object.
    pub(crate) fn hold(
        &self,
        properties: &PropertyReader,
        context: Option<&str>,
        row: usize,
    ) -> bool {
        let of_property = |it: &Condition<'_>| {
            let value = properties.value(row, it.name);
            it.holds(value.as_ref().map(RawJson::as_str))
        };
        if !self.properties.iter().all(of_property) {
            return false;
        }
        if self.context.is_empty() {
            return true;
        }
        let said = json_members(context.unwrap_or_default());
        let of_said = |it: &Condition<'_>| it.holds(said.get(it.name).map(|it| it.get()));
        self.context.iter().all(of_said)
    }
}

/// Refuses conditions on masked properties: the answer would tell what they hide.
pub(crate) fn check(filters: &[PropertyFilter], is_masked: impl Fn(&str) -> bool) -> Result<()> {
    match filters.iter().find(|it| is_masked(&it.name)) {
        Some(masked) => Err(Error::Masked(format!(
            "property `{}` is masked: it cannot be filtered",
            masked.name
        ))),
        None => Ok(()),
    }
}

impl<'a> Condition<'a> {
    pub(crate) fn new(filter: &'a PropertyFilter) -> Self {
        let value = filter.value.as_str();
        let is_list = value.starts_with('[');
        let several = is_list.then(|| serde_json::from_str::<Vec<&RawValue>>(value));
        let wanted = match several {
            Some(Ok(several)) => several.iter().map(|it| Wanted::new(it.get())).collect(),
            _ => vec![Wanted::new(value)],
        };
        Self {
            name: &filter.name,
            operator: filter.operator,
            wanted,
        }
    }

    /// Whether it holds of a value, which is JSON.
    pub(crate) fn holds(&self, value: Option<&str>) -> bool {
        let Some(value) = value else {
            return self.operator.is_negation();
        };
        let elements = value.starts_with('[').then(|| serde_json::from_str(value));
        let values: Vec<Value> = match elements {
            Some(Ok(elements)) => {
                let elements: Vec<&RawValue> = elements;
                elements.iter().map(|it| Value::new(it.get())).collect()
            }
            Some(Err(_)) | None => vec![Value::new(value)],
        };
        let any = |holds: fn(&Value, &Wanted) -> bool| {
            let mut wanted = self.wanted.iter();
            wanted.any(|wanted| values.iter().any(|it| holds(it, wanted)))
        };
        match self.operator {
            Operator::Equals => any(Value::equals),
            Operator::NotEquals => !any(Value::equals),
            Operator::Contains => any(Value::contains),
            Operator::NotContains => !any(Value::contains),
            Operator::Exists => true,
            Operator::NotExists => false,
            Operator::GreaterThan => any(|it, than| it.order(than).is_some_and(Ordering::is_gt)),
            Operator::GreaterOrEqual => any(|it, than| it.order(than).is_some_and(Ordering::is_ge)),
            Operator::LessThan => any(|it, than| it.order(than).is_some_and(Ordering::is_lt)),
            Operator::LessOrEqual => any(|it, than| it.order(than).is_some_and(Ordering::is_le)),
        }
    }
}

impl Wanted {
    fn new(value: &str) -> Self {
        let text = json_text(value);
        Self {
            lower: text.to_lowercase(),
            is_text: value.starts_with('"'),
            number: Number::of(&text),
            text,
        }
    }
}

/// The value of a property.
struct Value {
    text: String,
    lower: OnceCell<String>,
    number: Option<Number>,
    is_text: bool,
    is_truth: bool,
}

impl Value {
    /// Of JSON.
    fn new(value: &str) -> Self {
        let text = json_text(value);
        Self {
            number: Number::of(&text),
            is_text: value.starts_with('"'),
            is_truth: matches!(value, "true" | "false"),
            lower: OnceCell::new(),
            text,
        }
    }

    /// The protocol has no truth values in questions: it writes them as `"True"`.
    fn wanted_text<'a>(&self, wanted: &'a Wanted) -> &'a str {
        if self.is_truth {
            &wanted.lower
        } else {
            &wanted.text
        }
    }

    fn equals(&self, wanted: &Wanted) -> bool {
        let is_same = self.text == self.wanted_text(wanted);
        let are_texts = self.is_text && wanted.is_text;
        is_same || (!are_texts && self.order(wanted).is_some_and(Ordering::is_eq))
    }

    fn contains(&self, wanted: &Wanted) -> bool {
        let lower = self.lower.get_or_init(|| self.text.to_lowercase());
        lower.contains(&wanted.lower)
    }

    /// As numbers, where both are, or both dates; a number has no place among what is none.
    fn order(&self, wanted: &Wanted) -> Option<Ordering> {
        if self.text.starts_with(DATE) != wanted.text.starts_with(DATE) {
            let are_none = self.number.is_none() && wanted.number.is_none();
            return are_none.then(|| self.text.as_str().cmp(self.wanted_text(wanted)));
        }
        match (self.number, wanted.number) {
            (Some(a), Some(b)) => a.order(b),
            (None, None) => Some(self.text.as_str().cmp(self.wanted_text(wanted))),
            (Some(_), None) | (None, Some(_)) => None,
        }
    }
}
