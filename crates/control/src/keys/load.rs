//! The key table, read back from the volumes.
//!
//! It reads the newest complete generation and changes nothing. What is missing or is not what was
//! written is refused: a table with fewer keys would hide the loss.

use object_store::ObjectStore;
use seal::Keyring;
use std::collections::BTreeMap;

use super::PREFIX;
use super::format::{self, Decoded, Kind, Place};
use super::table::Table;
use crate::{Error, Result, objects};

/// The table as the newest complete generation tells it; an empty one when there is none.
pub(super) async fn load(
    store: &dyn ObjectStore,
    generations: &BTreeMap<u64, Vec<u64>>,
    keyring: &Keyring,
) -> Result<Table> {
    for (generation, numbers) in generations.iter().rev() {
        let mut table = Table::default();
        let mut place = Place {
            generation: *generation,
            number: 0,
            previous: [0; 32],
        };
        let last = numbers.last().copied().unwrap_or(0);
        while let Some(read) = read(store, place, keyring).await? {
            if (place.number == 0) != (read.kind == Kind::Snapshot) {
                let what = objects::path(PREFIX, place.generation, place.number);
                return Err(Error::damaged(what.to_string(), "it is of the wrong kind"));
            }
            table.apply(read.changes);
            place.number = place.number.saturating_add(1);
            place.previous = read.digest;
        }
        if place.number < last {
            let what = objects::path(PREFIX, place.generation, place.number);
            return Err(Error::damaged(what.to_string(), "it is missing"));
        }
        if place.number > 0 {
            return Ok(table);
        }
    }
    Ok(Table::default())
}

async fn read(store: &dyn ObjectStore, place: Place, keyring: &Keyring) -> Result<Option<Decoded>> {
    let path = objects::path(PREFIX, place.generation, place.number);
    match objects::get(store, &path).await? {
        Some(bytes) => format::decode(&bytes, place, keyring).map(Some),
        None => Ok(None),
    }
}

/// Volumes that hold data and no key table have lost it; a new one would hide the loss.
pub(super) async fn refuse_data_without_keys(store: &dyn ObjectStore) -> Result<()> {
    for folder in ["journal", "lake", "control"] {
        if objects::any(store, folder).await? {
            return Err(Error::damaged(
                "the key table",
                "the volumes hold data and no key table",
            ));
        }
    }
    Ok(())
}
