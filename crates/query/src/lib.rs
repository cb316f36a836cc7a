//! Reads: SQL, pages of events and people, one person, counts and exports.
//!
//! DataFusion over the lake's parts and what the journal holds, so that a read sees every
//! acknowledged record, once. This crate does not decide who reads: it takes a [`ReadPolicy`], and
//! no query can be planned without one. It must never write to the lake or the journal, spill to
//! disk, or log what it reads.

mod error;
mod policy;
mod tail;

mod engine;
mod functions;
mod planner;
mod scan;
mod snapshot;
mod statement;
mod tables;
mod tail_index;

mod conditions;
mod digest;
mod events;
mod latest;
mod masked;
mod memory;
mod names;
mod newest;
mod pages;
mod people;
mod presence;
mod ranks;
mod reads;
mod received;
mod reports;
mod tallies;
mod whole;

pub mod csv;
pub mod export;
pub mod json;

#[cfg(test)]
mod tests;

pub use conditions::{Operator, PropertyFilter};
pub use engine::{Engine, Rows, Settings};
pub use error::{Error, Result};
pub use events::{EventRow, EventsQuery};
pub use latest::{ActivePerson, Before, LatestPage};
pub use pages::{EventsPage, Position};
pub use people::{
    EventStats, Lookup, PeoplePage, PeoplePosition, PersonKeys, PersonView, ProfileParts,
};
pub use policy::ReadPolicy;
pub use received::Sought;
pub use reports::{Breakdown, Measure, Subject, ValueCounts, ValueType};
pub use tail::{Held, Tail};
