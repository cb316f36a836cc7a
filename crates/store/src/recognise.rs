//! Which volume a place holds: by its label, by its shards when the label is damaged or lost, or
//! none when it is empty.
//!
//! A label says it under the root key. Without one, shards say it: their headers are authenticated
//! under this store's key and hold the volume's index. Nothing else is believed. It must never take
//! in a volume of another store, never two places for one volume, and never a place that holds what
//! it cannot vouch for.

use futures::future::join_all;
use model::Timestamp;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use crate::Place;
use crate::open::Inner;
use crate::repair::{RepairReport, slowly};
use crate::slots::Slots;
use crate::status::volume_number;
use crate::volume::{HEADER_BYTES_MAX, Header, Label, Reading, ShardName};

/// Shards of a place without a label that are looked at. One authentic header says which volume it
/// is; none of the others may say otherwise.
const PROOFS_MAX: usize = 32;

/// Places that are being looked at. Those that are not given to a volume go back to the spare ones,
/// also when nobody waits for the end: else their volumes could not come back before a restart.
struct Unplaced<'a> {
    slots: &'a Slots,
    places: Vec<Arc<dyn Place>>,
}

impl Drop for Unplaced<'_> {
    fn drop(&mut self) {
        for place in self.places.drain(..) {
            self.slots.put_spare(place);
        }
    }
}

/// What lies where a place's label should be, and what the place can be taken for.
enum Claim {
    /// It says which volume it is.
    Labelled(Label),
    /// Its shards may say it.
    Shards {
        /// The remains of a label of this store.
        remains: bool,
    },
    /// Nothing of this store.
    Nothing(&'static str),
}

/// What places may claim, the strongest first.
const CLAIMS: [&str; 3] = ["label", "shards", "emptiness"];

impl Inner {
    /// Looks anew at the places of volumes that are out, and at those that hold none, and gives each
    /// place to the volume that it holds. Those with a label come first, then those whose shards
    /// prove which volume they are, then empty ones, which can become any.
    pub(crate) async fn recognise_places(&self, report: &mut RepairReport) {
        let mut places = self.slots.take_idle_out();
        places.extend(self.slots.take_spare());
        let mut unplaced = Unplaced {
            slots: &self.slots,
            places,
        };
        let looks = unplaced
            .places
            .iter()
            .map(async |place| (Arc::clone(place), self.look(place).await));
        let mut claims = Vec::with_capacity(unplaced.places.len());
        for (place, look) in join_all(looks).await {
            match look {
                Ok(claim) => claims.push((place, claim, String::new())),
                Err(why) => report.places_unused.push((place.name(), why)),
            }
        }
        for ground in CLAIMS {
            let mut left = Vec::new();
            for (place, claim, before) in claims {
                match self.consider(&place, &claim, ground, before).await {
                    Ok(()) => unplaced.places.retain(|other| !Arc::ptr_eq(other, &place)),
                    Err(why) => left.push((place, claim, why)),
                }
            }
            claims = left;
        }
        let unused = claims.into_iter();
        report
            .places_unused
            .extend(unused.map(|(place, _, why)| (place.name(), why)));
    }

    async fn look(&self, place: &Arc<dyn Place>) -> Result<Claim, String> {
        let label = slowly(place.read_label()).await?;
        Ok(
            match label.map(|bytes| Label::read(&self.slots.key, &bytes)) {
                Some(Reading::Ours(label)) if label.geometry == self.geometry => {
                    Claim::Labelled(label)
                }
                Some(Reading::Ours(_)) => {
                    Claim::Nothing("its label names another number of volumes")
                }
                Some(Reading::Foreign) => Claim::Nothing("it belongs to another store"),
                Some(Reading::Damaged) => Claim::Shards { remains: true },
                Some(Reading::Unknown) | None => Claim::Shards { remains: false },
            },
        )
    }

    async fn consider(
        &self,
        place: &Arc<dyn Place>,
        claim: &Claim,
        ground: &str,
        before: String,
    ) -> Result<(), String> {
        match (claim, ground) {
            (Claim::Nothing(why), _) => Err((*why).to_owned()),
            (Claim::Labelled(label), "label") => {
                let id = label.volumes.get(label.index).map(|volume| volume.id);
                match id {
                    Some(id) if self.slots.attach(label.index, place, id) => Ok(()),
                    Some(_) | None => Err("its volume is served from elsewhere".into()),
                }
            }
            (Claim::Shards { .. }, "shards") => {
                let index = self.proven_index(place).await?;
                if !self.slots.is_vouched_missing(index) {
                    return Err(format!(
                        "it was volume {}, and too few labels of others say that it is missing",
                        volume_number(index)
                    ));
                }
                self.adopt(place, index).await?;
                // Nobody knows what else has happened to it: it is read again from the start.
                self.scrub_from_start();
                Ok(())
            }
            (Claim::Shards { remains }, "emptiness") if self.settings.adopt_empty => {
                let empty = if *remains {
                    slowly(place.list()).await?.is_empty()
                } else {
                    slowly(place.is_vacant()).await?
                };
                if !empty {
                    return Err(before);
                }
                let index = self
                    .slots
                    .missing_at(&place.name())
                    .ok_or("no volume is missing")?;
                self.adopt(place, index).await
            }
            // Not on this ground: what was said before holds.
            _ => Err(before),
        }
    }

    /// Which volume a place without a readable label was: what the headers of its shards say. They
    /// are authentic, and they agree, or the place is left alone.
    async fn proven_index(&self, place: &Arc<dyn Place>) -> Result<usize, String> {
        let names = slowly(place.list()).await?;
        let mut shards: Vec<ShardName> = names
            .iter()
            .filter_map(|name| ShardName::decode(name))
            .collect();
        // Those of objects that are known first: they are certainly this store's.
        shards.sort_by_key(|name| !self.index.knows(name));
        let mut proven = BTreeSet::new();
        for name in shards.iter().take(PROOFS_MAX) {
            let range = 0..HEADER_BYTES_MAX;
            let Ok(bytes) = slowly(place.get(&name.encode(), range)).await else {
                continue;
            };
            // Where a disk has put it, and how much of it is left, does not matter: it was written
            // to this volume. What does not authenticate is rot, or another store's: no proof.
            match Header::at_start(&self.shard_key, &bytes) {
                Some((index, geometry)) if geometry == self.geometry => {
                    proven.insert(index);
                }
                Some(_) | None => {}
            }
        }
        match (proven.pop_first(), proven.first()) {
            (Some(index), None) => Ok(index),
            (Some(_), Some(_)) => Err("it holds shards of several volumes".into()),
            (None, _) => Err("it holds no shard that is known to be this store's".into()),
        }
    }

    /// Gives a place to a missing volume, under a new id and a label that says that it is out.
    async fn adopt(&self, place: &Arc<dyn Place>, index: usize) -> Result<(), String> {
        let id = self.random.bytes16();
        slowly(place.write_label(&self.slots.provisional_label(index, id))).await?;
        if !self.slots.attach(index, place, id) {
            return Err("its volume is served from elsewhere".into());
        }
        tracing::warn!(
            volume.number = volume_number(index),
            volume.place = place.name(),
            "a place without a label becomes a volume"
        );
        Ok(())
    }

    fn scrub_from_start(&self) {
        self.scrubbed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        *self
            .scrub_again
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Timestamp::default();
    }
}
