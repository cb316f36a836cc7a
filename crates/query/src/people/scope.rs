//! Which people a reader sees, as keys: what the conditions of the reader's roles, and of the question,
//! hold for, without those whose processing is restricted.
//!
//! It is worked out once for a reader, before the first row is read, from the profiles as they are
//! then. Of the changes of profiles only those are read that the conditions look at. A condition that
//! holds for somebody of whom nothing is known names whom the reader does not see; any other names
//! whom the reader sees, so that a key nobody has heard of is not seen.

use datafusion::logical_expr::lit;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use governance::{Profile, Stretch, Suppressions};
use model::record::Table;
use model::{LedgerPosition, PersonKey, RawJson};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::reader::{PeopleReader, Placed};
use crate::conditions as asked;
use crate::memory::Room;
use crate::policy::Asked;
use crate::snapshot::Snapshot;
use crate::tables::column;
use crate::{Engine, ReadPolicy, Result};

/// Which people a reader sees.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    /// Not these.
    pub(crate) hidden: Arc<Suppressions>,
    /// Only these, when given.
    pub(crate) only: Option<Arc<Suppressions>>,
    /// Those whose processing is restricted and those who were deleted.
    pub(crate) left_out: Arc<Suppressions>,
}

impl Scope {
    /// Whether what is under `key` in `stretch` is seen.
    pub(crate) fn shows(&self, key: PersonKey, stretch: Stretch) -> bool {
        let is_in = |keys: &Suppressions| {
            let held = keys.keys.get(&key);
            held.is_some_and(|them| them.contains(&stretch) || them.contains(&Stretch::WHOLE))
        };
        !is_in(&self.hidden) && self.only.as_ref().is_none_or(|it| is_in(it))
    }
}

impl Engine {
    /// Works out who is seen under `policy`, if that was not done yet.
    pub(crate) async fn settle(&self, policy: &ReadPolicy) -> Result<()> {
        if policy.sees_everybody() {
            return Ok(());
        }
        let scope = policy.cell().get_or_try_init(|| self.scope_of(policy));
        scope.await.map(|_| ())
    }

    /// Boxed: it reads, and every read asks first who is seen.
    fn scope_of<'a>(&'a self, policy: &'a ReadPolicy) -> BoxFuture<'a, Result<Scope>> {
        async move {
            let open = policy.open();
            let open = &open;
            let tables = [Table::ProfileChanges, Table::Links];
            self.with_snapshot(open, &tables, move |snapshot| async move {
                self.scope_in(&snapshot, open, policy).await
            })
            .await
        }
        .boxed()
    }

    async fn scope_in(
        &self,
        snapshot: &Snapshot,
        open: &ReadPolicy,
        policy: &ReadPolicy,
    ) -> Result<Scope> {
        let mut reader = PeopleReader::new(self, snapshot, open).await?;
        let mut hidden = Suppressions::default();
        for it in policy.restricted() {
            if it.has_lost_its_person(&policy.suppressed) {
                continue;
            }
            // Whose the key was then: a device may be somebody else's by now.
            let person = reader.links.person(it.person, it.since);
            add(&mut hidden, &mut reader, person);
        }
        if !policy.is_limited() {
            let mut left_out = hidden.clone();
            left_out.join(&policy.suppressed);
            return Ok(Scope {
                hidden: Arc::new(hidden),
                only: None,
                left_out: Arc::new(left_out),
            });
        }
        let conditions = policy.conditions();
        let Asked { filters, cut_off } = policy.asked();
        let asked: Vec<_> = filters.iter().map(asked::Condition::new).collect();
        // Roles go by what is known now, a question by what was known until its cut-off.
        let holds = |now: &Profile, then: &Profile| {
            let of_now = |name: &str| now.properties.get(name).map(RawJson::as_str);
            let of_then = |name: &str| then.properties.get(name).map(RawJson::as_str);
            conditions.iter().all(|it| it.holds(of_now))
                && asked.iter().all(|it| it.holds(of_then(it.name)))
        };
        let of_strangers = holds(&Profile::default(), &Profile::default());
        let mut exceptions = Suppressions::default();
        let names = conditions.iter().flat_map(|it| it.properties());
        let names: BTreeSet<&str> = names.chain(asked.iter().map(|it| it.name)).collect();
        let changes = self.changes_of(&mut reader, &names).await?;
        for (person, mut changes) in changes.people {
            changes.sort_by_key(|it| it.place);
            let now = folded(changes.iter());
            let then = cut_off.map(|cut_off| {
                let known = changes.iter().filter(|it| it.place.1 <= cut_off);
                folded(known)
            });
            let then = then.as_ref().unwrap_or(&now);
            if holds(&now, then) != of_strangers {
                add(&mut exceptions, &mut reader, person);
            }
        }
        Ok(match of_strangers {
            true => {
                hidden.join(&exceptions);
                Scope {
                    hidden: Arc::new(hidden),
                    ..Scope::default()
                }
            }
            false => Scope {
                hidden: Arc::new(hidden),
                only: Some(Arc::new(exceptions)),
                ..Scope::default()
            },
        })
    }

    /// The changes of these properties.
    async fn changes_of(
        &self,
        reader: &mut PeopleReader<'_>,
        names: &BTreeSet<&str>,
    ) -> Result<Changes> {
        let names = names.iter().map(|it| lit(*it)).collect();
        let filter = column("property").in_list(names, false);
        let (mut all, mut room) = (Vec::new(), self.short_room("changes of people"));
        let take = |placed: Placed| {
            let is_taken = room.take(placed.bytes());
            if is_taken {
                all.push(placed);
            }
            is_taken
        };
        reader.changes(filter, take).await?;
        room.check()?;
        let mut people: BTreeMap<PersonKey, Vec<Placed>> = BTreeMap::new();
        for placed in all {
            let person = reader.links.person(placed.key, placed.place.0);
            people.entry(person).or_default().push(placed);
        }
        Ok(Changes {
            people,
            _held: room,
        })
    }
}

/// Changes by person, in the memory that all queries share.
struct Changes {
    people: BTreeMap<PersonKey, Vec<Placed>>,
    _held: Room,
}

fn folded<'p>(changes: impl Iterator<Item = &'p Placed>) -> Profile {
    let mut profile = Profile::default();
    for it in changes {
        profile.apply(it.key, it.op, &it.property, &it.value);
    }
    profile
}

/// Every key of a person, each for the time in which it was theirs.
fn add(keys: &mut Suppressions, reader: &mut PeopleReader<'_>, person: PersonKey) {
    for (key, stretch) in reader.links.keys(person) {
        keys.insert(key, stretch, LedgerPosition(0));
    }
}
