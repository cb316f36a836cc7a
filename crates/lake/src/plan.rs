//! Which property columns a part gets: all that occur, up to the limit; beyond it the most used.
//!
//! A plan is made from counts before the first row is written, because a part's schema comes
//! first. It must never decide by anything but the counts, so that the same rows give the same
//! columns.

use model::limit::PROPERTY_COLUMNS_MAX;
use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::schema::{PropertyColumn, PropertyType};
use crate::shred::{self, Key};

/// How often each property occurs in each type.
#[derive(Debug, Default)]
pub(crate) struct Counts(HashMap<Box<str>, [u64; 5]>);

impl Counts {
    /// Counts the members of one properties object.
    pub(crate) fn count(&mut self, properties: &str) {
        shred::members(properties, &mut |key, text| {
            if let Key::Name(name) = key {
                let kind = shred::value_of(text).kind();
                match self.0.get_mut(&*name) {
                    Some(counts) => bump(counts, kind, 1),
                    None => self.add(&name, kind, 1),
                }
            }
        });
    }

    /// Counts `rows` values of one property and type.
    pub(crate) fn add(&mut self, name: &str, kind: PropertyType, rows: u64) {
        bump(self.0.entry(Box::from(name)).or_default(), kind, rows);
    }

    /// The columns, by name and type.
    pub(crate) fn into_plan(self) -> Plan {
        let mut columns: Vec<(u64, PropertyColumn)> = Vec::new();
        for (name, counts) in self.0 {
            for (kind, count) in PropertyType::ALL.into_iter().zip(counts) {
                if count > 0 {
                    columns.push((
                        count,
                        PropertyColumn {
                            name: name.clone(),
                            kind,
                        },
                    ));
                }
            }
        }
        if columns.len() > PROPERTY_COLUMNS_MAX {
            columns.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
            columns.truncate(PROPERTY_COLUMNS_MAX);
        }
        let mut columns: Vec<_> = columns.into_iter().map(|(_, column)| column).collect();
        columns.sort_unstable();
        Plan::new(columns)
    }
}

fn bump(counts: &mut [u64; 5], kind: PropertyType, rows: u64) {
    if let Some(count) = counts.get_mut(kind as usize) {
        *count = count.saturating_add(rows);
    }
}

/// The property columns of one part, and where each property goes.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// In the order of the schema.
    pub(crate) columns: Vec<PropertyColumn>,
    /// The number of each name.
    names: HashMap<Box<str>, usize>,
    /// By name and type, the column's place.
    places: Vec<[Option<usize>; 5]>,
}

impl Plan {
    /// A plan with exactly `columns`, which are in order and differ.
    pub(crate) fn new(columns: Vec<PropertyColumn>) -> Self {
        let mut plan = Self::default();
        for (place, column) in columns.iter().enumerate() {
            let number = match plan.names.get(&column.name) {
                Some(number) => *number,
                None => {
                    plan.names.insert(column.name.clone(), plan.places.len());
                    plan.places.push([None; 5]);
                    plan.places.len() - 1
                }
            };
            let slot = plan
                .places
                .get_mut(number)
                .and_then(|it| it.get_mut(column.kind as usize));
            if let Some(slot) = slot {
                *slot = Some(place);
            }
        }
        plan.columns = columns;
        plan
    }

    /// The number of a name, below [`Plan::names`].
    pub(crate) fn name(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// How many names there are.
    pub(crate) fn names(&self) -> usize {
        self.places.len()
    }

    /// The column for a value of that name and type.
    pub(crate) fn place(&self, name: usize, kind: PropertyType) -> Option<usize> {
        self.places
            .get(name)
            .and_then(|it| it.get(kind as usize).copied().flatten())
    }
}

/// Cuts `items` into runs of at most `rows_max` items and about `bytes_max` bytes, and hands each
/// run to `take` until it breaks.
pub(crate) fn runs<T, E>(
    items: &[T],
    rows_max: usize,
    bytes_max: usize,
    bytes: impl Fn(&T) -> usize,
    mut take: impl FnMut(&[T]) -> Result<ControlFlow<()>, E>,
) -> Result<(), E> {
    let (mut start, mut sum) = (0, 0_usize);
    for (end, item) in items.iter().enumerate() {
        if end > start && (end - start >= rows_max || sum >= bytes_max) {
            if take(items.get(start..end).unwrap_or_default())?.is_break() {
                return Ok(());
            }
            (start, sum) = (end, 0);
        }
        sum = sum.saturating_add(bytes(item));
    }
    match items.get(start..) {
        Some(rest) if !rest.is_empty() => take(rest).map(|_| ()),
        _ => Ok(()),
    }
}
