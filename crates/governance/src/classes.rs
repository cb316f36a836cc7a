//! Which properties are personal information, of which class, and how their values are masked.
//!
//! An account says the class of a property of events or of people; what it has not said follows from
//! the property's name. What a reader does not see follows from these and from the reader's rights,
//! as [`Masks`]. Names count to the letter, as they do everywhere else.

mod mask;
#[cfg(test)]
mod tests;

pub use mask::{Mask, Masks, PLACEHOLDER};

use crate::access::named;
use std::collections::{BTreeMap, BTreeSet};

named! {
    /// What kind of personal information a property is.
    Class[6] {
        /// It is no personal information.
        None = "none",
        /// It names a person or a device.
        Identifier = "identifier",
        /// By it a person is reached.
        Contact = "contact",
        /// It says where a person is.
        Location = "location",
        /// It says something that harms when it gets about.
        Sensitive = "sensitive",
        /// Anybody may have written anything into it.
        FreeText = "free_text",
    }
}

named! {
    /// Whose properties: an event and a person may have properties of one name.
    PropertyOf[2] {
        /// Of events, whatever their names.
        Event = "event",
        /// Of people.
        Person = "person",
    }
}

/// What is said of one property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classification {
    /// Its class.
    pub class: Class,
    /// How its values are masked for readers who may not see them.
    pub mask: Mask,
}

impl Classification {
    const fn of(class: Class) -> Self {
        Self {
            class,
            mask: Mask::Placeholder,
        }
    }
}

/// Classes that follow from a name, of events and people alike.
const OF_BOTH: [(&str, Class); 12] = [
    ("Email", Class::Contact),
    ("Phone", Class::Contact),
    ("Identity", Class::Identifier),
    ("Name", Class::Identifier),
    ("Gender", Class::Sensitive),
    ("DOB", Class::Sensitive),
    ("Latitude", Class::Location),
    ("Longitude", Class::Location),
    ("Location", Class::Location),
    ("GoogleAdID", Class::Identifier),
    ("IDFA", Class::Identifier),
    ("IP", Class::Identifier),
];
/// … and of events: what the system's events on identities carry.
const OF_EVENTS: [(&str, Class); 1] = [("ID", Class::Identifier)];
/// … and of people: identities of every kind as they are shown. What names a device names nobody.
const OF_PEOPLE: [(&str, Class); 3] = [
    ("identity", Class::Identifier),
    ("FBID", Class::Identifier),
    ("GPID", Class::Identifier),
];

/// Every class that follows from a name.
fn defaults() -> impl Iterator<Item = (PropertyOf, &'static str, Class)> {
    let both = OF_BOTH
        .into_iter()
        .flat_map(|(name, class)| PropertyOf::ALL.map(|of| (of, name, class)));
    let events = OF_EVENTS.into_iter();
    let people = OF_PEOPLE.into_iter();
    both.chain(events.map(|(name, class)| (PropertyOf::Event, name, class)))
        .chain(people.map(|(name, class)| (PropertyOf::Person, name, class)))
}

/// What an account says of its properties.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Classes(BTreeMap<(PropertyOf, Box<str>), Classification>);

impl Classes {
    /// Says the class of a property, and how it is masked.
    pub fn say(&mut self, of: PropertyOf, name: &str, classification: Classification) {
        self.0.insert((of, Box::from(name)), classification);
    }

    /// What holds of a property: what was said, else what follows from its name.
    #[must_use]
    pub fn of(&self, of: PropertyOf, name: &str) -> Classification {
        if let Some(said) = self.0.get(&(of, Box::from(name))) {
            return *said;
        }
        let named = defaults().find(|(whose, known, _)| *whose == of && *known == name);
        Classification::of(named.map_or(Class::None, |(_, _, class)| class))
    }

    /// Whether a property's class was said.
    #[must_use]
    pub fn is_said(&self, of: PropertyOf, name: &str) -> bool {
        self.0.contains_key(&(of, Box::from(name)))
    }

    /// How many properties something was said of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every property that something was said of, in order.
    pub fn said(&self) -> impl Iterator<Item = (PropertyOf, &str, Classification)> {
        self.0
            .iter()
            .map(|((of, name), said)| (*of, &**name, *said))
    }

    /// Every property that something was said of, or that has a class by its name, in order.
    #[must_use]
    pub fn known(&self) -> BTreeSet<(PropertyOf, &str)> {
        let named = defaults().map(|(of, name, _)| (of, name));
        named
            .chain(self.said().map(|(of, name, _)| (of, name)))
            .collect()
    }

    /// What a reader does not see who may see no personal information: every property of a class
    /// other than none.
    #[must_use]
    pub fn masks(&self) -> Masks {
        let mut masks = Masks::default();
        for (of, name) in self.known() {
            let found = self.of(of, name);
            if found.class != Class::None {
                masks.insert(of, name, found.mask);
            }
        }
        masks
    }
}
