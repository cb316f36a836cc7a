//! The tables as SQL sees them: for each a view over the scan, of standard plans only.
//!
//! Deleted people are filtered directly on the scan, so that nothing above can see them; masked
//! columns are literals, so that their values never enter the plan.

use datafusion::common::metadata::FieldMetadata;
use datafusion::common::{Column, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit, when};
use lake::schema::{OVERFLOW, PERSON_KEY, PropertyColumn, PropertyTypes, TO_KEY, TS};
use lake::schema::{PropertyType, fixed_fields};
use model::record::Table;
use model::{PersonKey, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::policy::PLACEHOLDER;
use crate::scan::{Order, Scan};
use crate::snapshot::{Snapshots, TableRows};
use crate::{Error, ReadPolicy, Result, functions, json};

/// How the columns of properties are named in SQL.
pub(crate) const LOGICAL_PREFIX: &str = "p:";

/// Up to so many deleted people stand in a plan as literals.
const HIDDEN_LITERALS_MAX: usize = 256;

/// A column, by its exact name.
pub(crate) fn column(name: impl Into<String>) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// A person key in a plan.
pub(crate) fn key(person: PersonKey) -> Expr {
    Expr::Literal(
        ScalarValue::FixedSizeBinary(16, Some(person.0.to_vec())),
        None,
    )
}

/// A moment in a plan.
pub(crate) fn time(ts: Timestamp) -> Expr {
    Expr::Literal(
        ScalarValue::TimestampMillisecond(Some(ts.ms()), Some(Arc::from("UTC"))),
        None,
    )
}

/// The rows of a table that `policy` lets be seen, with their physical columns.
pub(crate) fn visible(
    rows: &Arc<TableRows>,
    snapshots: &Arc<Snapshots>,
    policy: &ReadPolicy,
    order: Order,
) -> Result<LogicalPlanBuilder> {
    if rows.account != policy.account {
        return Err(Error::Internal(
            "match a snapshot with the account of its reader",
        ));
    }
    let table = rows.table;
    let scan = Scan::new(Arc::clone(rows), Arc::clone(snapshots), order);
    let source = provider_as_source(Arc::new(scan));
    let mut plan = LogicalPlanBuilder::scan(table.as_str(), source, None).map_err(plan_error)?;
    if let Some(filter) = not_hidden(table, policy) {
        plan = plan.filter(filter).map_err(plan_error)?;
    }
    if let (Table::Events, Some(names)) = (table, &policy.events) {
        let names = names.iter().map(|it| lit(it.clone())).collect();
        plan = plan
            .filter(column("name").in_list(names, false))
            .map_err(plan_error)?;
    }
    Ok(plan)
}

/// The view of a table. `asked` are the properties that the query names besides those of columns.
pub(crate) fn view(
    rows: &Arc<TableRows>,
    snapshots: &Arc<Snapshots>,
    policy: &ReadPolicy,
    asked: &BTreeSet<String>,
) -> Result<LogicalPlan> {
    let plan = visible(rows, snapshots, policy, Order::Any)?;
    let mut columns: Vec<Expr> = fixed_fields(rows.table)
        .iter()
        .map(|it| column(it.name()))
        .collect();
    match rows.table {
        Table::Events => {
            let has_overflow = rows.columns.has_overflow();
            let mut names: BTreeSet<&str> = rows.columns.iter().map(|(name, _)| name).collect();
            if has_overflow {
                names.extend(asked.iter().map(String::as_str));
            }
            // A masked property is a column even where no row has it: nothing is told by that.
            names.extend(
                policy
                    .masked
                    .iter()
                    .filter(|it| asked.contains(*it))
                    .map(String::as_str),
            );
            columns.extend(
                names
                    .into_iter()
                    .map(|name| property(name, rows.columns.types(name), has_overflow, policy)),
            );
        }
        Table::ProfileChanges if !policy.masked.is_empty() => {
            if let Some(value) = columns.last_mut() {
                *value = masked_value(policy)?;
            }
        }
        Table::ProfileChanges | Table::Links | Table::Requests | Table::Quarantine => {}
    }
    plan.project(columns)
        .and_then(LogicalPlanBuilder::build)
        .map_err(plan_error)
}

/// One property as a column: of its type where it has one type everywhere, else JSON.
fn property(name: &str, types: PropertyTypes, has_overflow: bool, policy: &ReadPolicy) -> Expr {
    let logical = format!("{LOGICAL_PREFIX}{name}");
    if policy.masks(name) {
        return lit(PLACEHOLDER).alias(logical);
    }
    let physical = |kind| {
        column(
            PropertyColumn {
                name: Box::from(name),
                kind,
            }
            .physical_name(),
        )
    };
    let kinds: Vec<PropertyType> = types.iter().collect();
    match kinds.as_slice() {
        [kind] if !has_overflow && *kind != PropertyType::Json => physical(*kind).alias(logical),
        kinds => {
            let mut letters: String = kinds.iter().map(|it| it.letter()).collect();
            let mut columns: Vec<Expr> = kinds.iter().map(|it| physical(*it)).collect();
            if has_overflow {
                letters.push('o');
                columns.push(column(OVERFLOW));
            }
            let mut arguments = vec![lit(name), lit(letters)];
            arguments.append(&mut columns);
            functions::property().call(arguments).alias(logical)
        }
    }
}

/// `value` of `profile_changes`, with those of masked properties replaced.
fn masked_value(policy: &ReadPolicy) -> Result<Expr> {
    let names = policy.masked.iter().map(|it| lit(it.clone())).collect();
    let placeholder = format!("\"{PLACEHOLDER}\"");
    let value = when(column("property").in_list(names, false), lit(placeholder))
        .otherwise(column("value"))
        .map_err(plan_error)?;
    Ok(value.alias_with_metadata("value", Some(FieldMetadata::from(json::mark()))))
}

/// The filter that leaves deleted people out; none when the table has none or nobody is deleted.
fn not_hidden(table: Table, policy: &ReadPolicy) -> Option<Expr> {
    if policy.suppressed.is_empty() {
        return None;
    }
    match table {
        Table::Events | Table::ProfileChanges => Some(not_hidden_by(PERSON_KEY, policy)),
        Table::Links => Some(not_hidden_by(PERSON_KEY, policy).and(not_hidden_by(TO_KEY, policy))),
        // Rows that name nobody stay.
        Table::Quarantine => Some(
            column(PERSON_KEY)
                .is_null()
                .or(not_hidden_by(PERSON_KEY, policy)),
        ),
        Table::Requests => None,
    }
}

fn not_hidden_by(key_column: &str, policy: &ReadPolicy) -> Expr {
    let stretches = policy.suppressed.keys.values().map(Vec::len).sum::<usize>();
    if stretches > HIDDEN_LITERALS_MAX {
        let hidden = functions::hidden(&policy.suppressed);
        return Expr::Not(Box::new(hidden.call(vec![column(key_column), column(TS)])));
    }
    // In the order of the keys, so that equal policies give equal plans.
    let mut keys: Vec<_> = policy.suppressed.keys.iter().collect();
    keys.sort_unstable_by_key(|(person, _)| **person);
    let (whole, partly): (Vec<_>, Vec<_>) = keys
        .into_iter()
        .partition(|(_, stretches)| stretches.iter().any(|it| it.is_whole()));
    let mut filters = Vec::new();
    if !whole.is_empty() {
        let whole = whole.into_iter().map(|(person, _)| key(*person)).collect();
        filters.push(column(key_column).in_list(whole, true));
    }
    for (person, stretches) in partly {
        for stretch in stretches {
            let mut outside = column(key_column).not_eq(key(*person));
            if let Some(from) = stretch.from {
                outside = outside.or(column(TS).lt(time(from)));
            }
            if let Some(to) = stretch.to {
                outside = outside.or(column(TS).gt_eq(time(to)));
            }
            filters.push(outside);
        }
    }
    filters
        .into_iter()
        .reduce(Expr::and)
        .unwrap_or_else(|| lit(true))
}

pub(crate) fn plan_error(error: datafusion::common::DataFusionError) -> Error {
    Error::from_engine(error, 0)
}
