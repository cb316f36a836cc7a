//! People: who they are, what is known of them, what they did.

mod links;
mod profile;
mod reader;
mod scope;
mod table;

pub(crate) use links::{LinkCache, Links};
pub(crate) use profile::TABLES;
pub use profile::{
    EventStats, Lookup, PeoplePage, PeoplePosition, PersonKeys, PersonView, ProfileParts,
};
pub(crate) use reader::PeopleReader;
pub(crate) use scope::Scope;
pub(crate) use table::{NAME, PAGE, PeopleTable};
