//! The names in use: of events, of their properties and of people's.

use arrow::array::RecordBatch;
use lake::schema::PropertyType;
use model::Timestamp;
use model::record::{ChangeOp, Table};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::digest::Digest;
use crate::events::EventsQuery;
use crate::people::EventStats;
use crate::{Engine, ReadPolicy, Result, reads};

impl Engine {
    /// The name of every property that an event of the account ever had, and in which types: `text`,
    /// `integer`, `decimal`, `boolean`, `other`. Those that got no column of their own are left out.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn event_properties(
        &self,
        policy: &ReadPolicy,
    ) -> Result<BTreeMap<Box<str>, Vec<&'static str>>> {
        self.with_snapshot(policy, &[Table::Events], move |snapshot| async move {
            let columns = &snapshot.table(Table::Events)?.columns;
            let named = columns.iter().map(|(name, types)| {
                let types = types.iter().map(type_word).collect();
                (Box::from(name), types)
            });
            Ok(named.collect())
        })
        .await
    }

    /// Every event's name, with how often and when it happened.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn event_names(&self, policy: &ReadPolicy) -> Result<BTreeMap<Box<str>, EventStats>> {
        let all = &EventsQuery::default();
        self.with_snapshot(policy, &[Table::Events], move |snapshot| async move {
            let mut names: BTreeMap<Box<str>, EventStats> = BTreeMap::new();
            for counted in self.counted(&snapshot, policy, all).await? {
                for (name, stats) in counted.stats() {
                    match names.get_mut(name) {
                        Some(known) => known.join(stats),
                        None => {
                            names.insert(Box::from(name), stats);
                        }
                    }
                }
            }
            Ok(names)
        })
        .await
    }

    /// How often each event happened from one moment up to, not including, another.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn events_by_name(
        &self,
        policy: &ReadPolicy,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<Box<str>, u64>> {
        let query = EventsQuery {
            from,
            to,
            ..EventsQuery::default()
        };
        let query = &query;
        self.with_snapshot(policy, &[Table::Events], move |snapshot| async move {
            let mut names: BTreeMap<Box<str>, u64> = BTreeMap::new();
            for counted in self.counted(&snapshot, policy, query).await? {
                for (name, count) in counted.names() {
                    match names.get_mut(name) {
                        Some(sum) => *sum += count,
                        None => {
                            names.insert(Box::from(name), count);
                        }
                    }
                }
            }
            Ok(names)
        })
        .await
    }

    /// The name of every property that a profile ever had.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn profile_properties(&self, policy: &ReadPolicy) -> Result<BTreeSet<Box<str>>> {
        self.with_snapshot(
            policy,
            &[Table::ProfileChanges],
            move |snapshot| async move {
                let rows = snapshot.table(Table::ProfileChanges)?;
                let mut names = BTreeSet::new();
                let others = match policy.left_out()? {
                    Some(left_out) => {
                        let memory = &self.inner.properties;
                        let of_parts = self.digests(memory, rows, &rows.parts, &left_out);
                        for digest in of_parts.await? {
                            names.extend(digest.0.iter().cloned());
                        }
                        Arc::new(rows.tail_alone())
                    }
                    None => Arc::clone(rows),
                };
                if !others.is_empty() {
                    let digest = self.digest_rows::<PropertyNames>(&others, policy, None);
                    names.append(&mut digest.await?.0);
                }
                Ok(names)
            },
        )
        .await
    }
}

const fn type_word(kind: PropertyType) -> &'static str {
    match kind {
        PropertyType::Int => "integer",
        PropertyType::Float => "decimal",
        PropertyType::Text => "text",
        PropertyType::Bool => "boolean",
        PropertyType::Json => "other",
    }
}

/// The names of the properties that changes are about.
#[derive(Debug, Default)]
pub(crate) struct PropertyNames(BTreeSet<Box<str>>);

impl Digest for PropertyNames {
    const COLUMNS: &'static [&'static str] = &["op", "property"];

    fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        let (ops, names) = (reads::texts(rows, "op")?, reads::texts(rows, "property")?);
        for row in 0..rows.num_rows() {
            let is_property = match ChangeOp::from_name(ops.value(row)) {
                Some(ChangeOp::Identify | ChangeOp::Token | ChangeOp::Device) => false,
                Some(_) | None => true,
            };
            if is_property && !self.0.contains(names.value(row)) {
                self.0.insert(Box::from(names.value(row)));
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|it| it.len() + 32).sum()
    }
}
