//! People: who they are, what is known of them, what they did.

mod links;
mod profile;

pub(crate) use links::{LinkCache, Links};
pub use profile::{
    EventStats, Lookup, PeoplePage, PeoplePosition, PersonKeys, PersonView, ProfileParts,
};
pub(crate) use profile::{PeopleReader, TABLES, placeholder};
