//! How values that a reader may not see are replaced.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::PropertyOf;
use crate::access::named;

/// What a masked value is replaced by.
pub const PLACEHOLDER: &str = "***";

/// What stands for letters that are not shown. Always as many, so that nobody counts them.
const HIDDEN: &str = "••••";
/// Letters that a text needs for its ends to be shown: of a shorter one they would be too much.
const ENDS_CHARS_MIN: usize = 8;

named! {
    /// How the values of a property are masked.
    Mask[2] {
        /// All alike, by [`PLACEHOLDER`]; not even whether there is a value can be seen.
        Placeholder = "placeholder",
        /// A text keeps a little of itself: `p••••@f••••.com`. Whether there is a value can be seen.
        Partial = "partial",
    }
}

impl Mask {
    /// What is shown of a value, given as JSON. Never depends on more than what is shown.
    #[must_use]
    pub fn json(self, value: &str) -> Box<str> {
        let shown = match self {
            Self::Placeholder => Cow::Borrowed(PLACEHOLDER),
            Self::Partial => match serde_json::from_str::<String>(value) {
                Ok(text) => Cow::Owned(partial(&text)),
                // Numbers, lists and the like have no part that tells nothing.
                Err(_) => Cow::Borrowed(PLACEHOLDER),
            },
        };
        // No letter of it needs an escape but those that a sender chose.
        serde_json::to_string(&shown).map_or_else(|_| Box::from("null"), String::into_boxed_str)
    }

    /// As [`Mask::json`], of a text.
    #[must_use]
    pub fn text(self, value: &str) -> Cow<'static, str> {
        match self {
            Self::Placeholder => Cow::Borrowed(PLACEHOLDER),
            Self::Partial => Cow::Owned(partial(value)),
        }
    }
}

/// A little of a text: of an address the first letters and the last label; of another text that is
/// long enough its first letter and its last two.
fn partial(text: &str) -> String {
    let first = |text: &str| text.chars().next().map(String::from).unwrap_or_default();
    let address = text
        .split_once('@')
        .filter(|(local, domain)| !local.is_empty() && !domain.contains('@'));
    if let Some((local, domain)) = address
        && let Some((rest, label)) = domain.rsplit_once('.')
        && !rest.is_empty()
        && (2..=4).contains(&label.len())
        && label.bytes().all(|it| it.is_ascii_alphabetic())
    {
        return format!("{}{HIDDEN}@{}{HIDDEN}.{label}", first(local), first(rest));
    }
    let mut last: Vec<char> = text.chars().rev().take(2).collect();
    last.reverse();
    if text.contains('@') || text.chars().nth(ENDS_CHARS_MIN - 1).is_none() {
        return HIDDEN.to_owned();
    }
    let last: String = last.into_iter().collect();
    format!("{}{HIDDEN}{last}", first(text))
}

/// The properties that a reader does not see, and how each is masked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Masks {
    events: BTreeMap<Box<str>, Mask>,
    people: BTreeMap<Box<str>, Mask>,
}

impl Masks {
    /// Masks a property. Masked twice, it is shown in the way that shows less.
    pub fn insert(&mut self, of: PropertyOf, name: &str, mask: Mask) {
        let masks = match of {
            PropertyOf::Event => &mut self.events,
            PropertyOf::Person => &mut self.people,
        };
        let held = masks.entry(Box::from(name)).or_insert(mask);
        *held = (*held).min(mask);
    }

    /// How a property is masked; none when it is shown.
    #[must_use]
    pub fn of(&self, of: PropertyOf, name: &str) -> Option<Mask> {
        self.all(of).get(name).copied()
    }

    /// The masked properties of events or of people, by name.
    #[must_use]
    pub const fn all(&self, of: PropertyOf) -> &BTreeMap<Box<str>, Mask> {
        match of {
            PropertyOf::Event => &self.events,
            PropertyOf::Person => &self.people,
        }
    }

    /// Whether everything is shown.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.people.is_empty()
    }

    /// What is masked by either, each in the way that shows less.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        for of in PropertyOf::ALL {
            for (name, mask) in other.all(of) {
                all.insert(of, name, *mask);
            }
        }
        all
    }
}
