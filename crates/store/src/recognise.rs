//! Which volume a place holds: by its label, by its shards when the label is damaged or lost, or
//! none when it is empty.
//!
//! A label says it under the root key. Without one, shards say it: their headers are authenticated
//! under this store's key and hold the volume's index. Nothing else is believed. It must never take
//! in a volume of another store, never two places for one volume, and never a place that holds what
//! it cannot vouch for. A volume that another process has open is not even looked at.

use futures::future::join_all;
use model::Timestamp;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use crate::open::Inner;
use crate::repair::RepairReport;
use crate::site::{NOT_BACK, SLOW_GRACE, Site};
use crate::slots::Slots;
use crate::status::volume_number;
use crate::volume::{HEADER_BYTES_MAX, Header, Label, Reading, ShardName};

/// Shards of a place without a label that are looked at. One authentic header says which volume it
/// is; none of the others may say otherwise.
const PROOFS_MAX: usize = 32;
/// What is wrong with a volume whose lock somebody else has.
pub(crate) const OPEN_ELSEWHERE: &str =
    "the volume is open in another process, or at another place of this one";

/// Places that are being looked at. Those that are not given to a volume go back to the spare ones,
/// also when nobody waits for the end: else their volumes could not come back before a restart.
struct Unplaced<'a> {
    slots: &'a Slots,
    sites: Vec<Site>,
}

impl Drop for Unplaced<'_> {
    fn drop(&mut self) {
        for site in self.sites.drain(..) {
            self.slots.put_spare(site);
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
        let mut sites = self.slots.take_idle_out();
        sites.extend(self.slots.take_spare());
        let mut unplaced = Unplaced {
            slots: &self.slots,
            sites,
        };
        let sites = ready(&unplaced.sites, report).await;
        let looks = sites
            .iter()
            .map(async |site| (site.clone(), self.look(site).await));
        let mut claims = Vec::with_capacity(sites.len());
        for (site, look) in join_all(looks).await {
            match look {
                Ok(claim) => claims.push((site, claim, String::new())),
                Err(why) => report.places_unused.push((site.place.name(), why)),
            }
        }
        for ground in CLAIMS {
            let mut left = Vec::new();
            for (site, claim, before) in claims {
                match self.consider(&site, &claim, ground, before).await {
                    Ok(()) => unplaced
                        .sites
                        .retain(|other| !Arc::ptr_eq(&other.place, &site.place)),
                    Err(why) => left.push((site, claim, why)),
                }
            }
            claims = left;
        }
        let unused = claims.into_iter();
        report
            .places_unused
            .extend(unused.map(|(site, _, why)| (site.place.name(), why)));
    }

    async fn look(&self, site: &Site) -> Result<Claim, String> {
        if !lock(site).await? {
            tracing::warn!(volume.place = site.place.name(), "{OPEN_ELSEWHERE}");
            return Err(OPEN_ELSEWHERE.into());
        }
        let label = site
            .slowly(|place| async move { place.read_label().await })
            .await?;
        Ok(
            match label.map(|bytes| Label::read(&self.slots.key, &bytes)) {
                Some(Reading::Ours(label)) if label.geometry == self.geometry => {
                    site.clear_unfinished(SLOW_GRACE).await;
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
        site: &Site,
        claim: &Claim,
        ground: &str,
        before: String,
    ) -> Result<(), String> {
        // Not before the last look has come back.
        if !site.is_idle() {
            return Err(NOT_BACK.to_owned());
        }
        match (claim, ground) {
            (Claim::Nothing(why), _) => Err((*why).to_owned()),
            (Claim::Labelled(label), "label") => {
                let id = label.volumes.get(label.index).map(|volume| volume.id);
                match id {
                    Some(id) if self.slots.attach(label.index, &site.place, id) => Ok(()),
                    Some(_) | None => Err("its volume is served from elsewhere".into()),
                }
            }
            (Claim::Shards { .. }, "shards") => {
                let index = self.proven_index(site).await?;
                if !self.slots.is_vouched_missing(index) {
                    return Err(format!(
                        "it was volume {}, and too few labels of others say that it is missing",
                        volume_number(index)
                    ));
                }
                self.adopt(site, index).await?;
                // Nobody knows what else has happened to it: it is read again from the start.
                self.scrub_from_start();
                Ok(())
            }
            (Claim::Shards { remains }, "emptiness") if self.settings.adopt_empty => {
                let empty = if *remains {
                    site.slowly(|place| async move { place.list().await })
                        .await?
                        .is_empty()
                } else {
                    site.slowly(|place| async move { place.is_vacant().await })
                        .await?
                };
                if !empty {
                    return Err(before);
                }
                let index = self
                    .slots
                    .missing_at(&site.place.name())
                    .ok_or("no volume is missing")?;
                self.adopt(site, index).await
            }
            // Not on this ground: what was said before holds.
            _ => Err(before),
        }
    }

    /// Which volume a place without a readable label was: what the headers of its shards say. They
    /// are authentic, and they agree, or the place is left alone.
    async fn proven_index(&self, site: &Site) -> Result<usize, String> {
        let grace = self.listing_grace();
        let names = site.run(grace, |place| async move { place.list().await });
        let names = names.await.map_err(|error| error.to_string())?;
        let mut shards: Vec<ShardName> = names
            .iter()
            .filter_map(|name| ShardName::decode(name))
            .collect();
        // Those of objects that are known first: they are certainly this store's.
        shards.sort_by_key(|name| !self.index.knows(name));
        let mut proven = BTreeSet::new();
        for name in shards.iter().take(PROOFS_MAX) {
            let (name, range) = (name.encode(), 0..HEADER_BYTES_MAX);
            let read = site
                .slowly(move |place| async move { place.get(&name, range).await })
                .await;
            let Ok(bytes) = read else {
                if site.is_idle() {
                    continue;
                }
                return Err(NOT_BACK.to_owned());
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
    async fn adopt(&self, site: &Site, index: usize) -> Result<(), String> {
        let id = self.random.bytes16();
        let label = self.slots.provisional_label(index, id);
        site.slowly(move |place| async move { place.write_label(&label).await })
            .await?;
        if !self.slots.attach(index, &site.place, id) {
            return Err("its volume is served from elsewhere".into());
        }
        tracing::warn!(
            volume.number = volume_number(index),
            volume.place = site.place.name(),
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

/// The places that can be looked at: those where everything has come back. Each has let go of the
/// volume that was there before, so that exchanged ones can be taken where they are now.
async fn ready(sites: &[Site], report: &mut RepairReport) -> Vec<Site> {
    let looks = sites.iter().map(|site| async move {
        if site.is_idle() {
            lock(site).await.map(|_taken| ())
        } else {
            Err(NOT_BACK.to_owned())
        }
    });
    let mut ready = Vec::with_capacity(sites.len());
    for (site, looked) in sites.iter().zip(join_all(looks).await) {
        match looked {
            Ok(()) => ready.push(site.clone()),
            Err(why) => report.places_unused.push((site.place.name(), why)),
        }
    }
    ready
}

async fn lock(site: &Site) -> Result<bool, String> {
    let locked = site.lock(SLOW_GRACE).await;
    locked.map_err(|error| error.to_string())
}
