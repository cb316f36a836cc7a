//! The tables as SQL sees them: for each a view over the scan, of standard plans only.
//!
//! Deleted people are filtered directly on the scan, so that nothing above can see them; masked
//! columns are literals, so that their values never enter the plan.

use datafusion::common::metadata::FieldMetadata;
use datafusion::common::{Column, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit, when};
use governance::{Mask, PLACEHOLDER, PropertyOf, Stretch, Suppressions};
use lake::schema::{OVERFLOW, PERSON_KEY, PropertyColumn, PropertyTypes, TO_KEY, TS};
use lake::schema::{PropertyType, fixed_fields};
use model::limit::PROPERTY_COLUMNS_MAX;
use model::record::{ChangeOp, Table};
use model::{PersonKey, RecordId, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::events::{CONTEXT, property_columns};
use crate::scan::{Columns, Order, Scan};
use crate::snapshot::{Snapshots, TableRows};
use crate::statement::Allowed;
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

/// A record id in a plan.
pub(crate) fn record(id: RecordId) -> Expr {
    Expr::Literal(ScalarValue::FixedSizeBinary(16, Some(id.0.to_vec())), None)
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
    asked: Columns<'_>,
) -> Result<LogicalPlanBuilder> {
    if rows.account != policy.account {
        return Err(Error::Internal(
            "match a snapshot with the account of its reader",
        ));
    }
    let table = rows.table;
    let scan = Scan::new(Arc::clone(rows), Arc::clone(snapshots), order, asked);
    let source = provider_as_source(Arc::new(scan));
    let mut plan = LogicalPlanBuilder::scan(table.as_str(), source, None).map_err(plan_error)?;
    let scope = policy.scope()?;
    let mut hidden = vec![&policy.suppressed];
    hidden.extend(scope.map(|it| &it.hidden));
    for hidden in hidden.into_iter().filter(|it| !it.is_empty()) {
        if let Some(filter) = not_hidden(table, hidden) {
            plan = plan.filter(filter).map_err(plan_error)?;
        }
    }
    if table == Table::Quarantine && policy.is_limited() {
        // A row that names nobody may be about anybody.
        let named = column(PERSON_KEY).is_not_null();
        plan = plan.filter(named).map_err(plan_error)?;
    }
    if let Some(filter) = scope
        .and_then(|it| it.only.as_ref())
        .and_then(|it| only(table, it))
    {
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

/// The view of a table for a statement. Of very many properties it has those that the statement names: a
/// plan costs by the columns that it could read, and whoever sends events can invent properties.
///
/// # Errors
/// `Invalid` when the statement may ask for all of very many.
pub(crate) fn view(
    rows: &Arc<TableRows>,
    snapshots: &Arc<Snapshots>,
    policy: &ReadPolicy,
    statement: &Allowed,
) -> Result<LogicalPlan> {
    let asked = &statement.properties;
    let are_many = rows.columns.iter().count() > PROPERTY_COLUMNS_MAX;
    if are_many && statement.every_property {
        return Err(Error::Statement(format!(
            "events have more than {PROPERTY_COLUMNS_MAX} properties: name the columns that are \
             wanted, such as \"p:Price\", instead of * and of NATURAL"
        )));
    }
    let named = asked.iter().map(String::as_str);
    let named: Vec<String> = property_columns(rows, named).into_iter().collect();
    let scanned = match are_many {
        true => Columns::Named(&named),
        false => Columns::All,
    };
    let plan = visible(rows, snapshots, policy, Order::Any, scanned)?;
    let mut columns: Vec<Expr> = fixed_fields(rows.table)
        .iter()
        .map(|it| column(it.name()))
        .collect();
    match rows.table {
        Table::Events => {
            let has_overflow = rows.columns.has_overflow();
            let mut names: BTreeSet<&str> = rows.columns.iter().map(|(name, _)| name).collect();
            if are_many {
                names.retain(|it| asked.contains(*it));
            }
            if has_overflow {
                names.extend(asked.iter().map(String::as_str));
            }
            // A masked property is a column even where no row has it: nothing is told by that.
            names.extend(
                asked
                    .iter()
                    .map(String::as_str)
                    .filter(|it| policy.masks_event(it)),
            );
            columns.extend(
                names
                    .into_iter()
                    .map(|name| property(name, rows.columns.types(name), has_overflow, policy)),
            );
        }
        Table::ProfileChanges if !policy.masks.is_empty() => {
            if let Some(value) = columns.last_mut() {
                *value = masked_value(policy)?;
            }
        }
        Table::Quarantine if !policy.masks.is_empty() => {
            // What was not accepted cannot be told apart: none of it is shown.
            for field in columns.iter_mut().filter(|it| is_column(it, "body")) {
                *field = lit(ScalarValue::Binary(Some(Vec::new()))).alias("body");
            }
        }
        Table::ProfileChanges | Table::Links | Table::Requests | Table::Quarantine => {}
    }
    if rows.table == Table::Events && !policy.masks.is_empty() {
        let json = Some(FieldMetadata::from(json::mark()));
        for field in columns.iter_mut().filter(|it| is_column(it, CONTEXT)) {
            let shown = functions::masked_members(&policy.masks).call(vec![column(CONTEXT)]);
            *field = shown.alias_with_metadata(CONTEXT, json.clone());
        }
    }
    plan.project(columns)
        .and_then(LogicalPlanBuilder::build)
        .map_err(plan_error)
}

/// One property as a column: of its type where it has one type everywhere, else JSON.
fn property(name: &str, types: PropertyTypes, has_overflow: bool, policy: &ReadPolicy) -> Expr {
    let logical = format!("{LOGICAL_PREFIX}{name}");
    match policy.mask(PropertyOf::Event, name) {
        Some(Mask::Placeholder) => lit(PLACEHOLDER).alias(logical),
        Some(Mask::Partial) => {
            let value = shown_property(name, types, has_overflow);
            functions::partial_text().call(vec![value]).alias(logical)
        }
        None => shown_property(name, types, has_overflow).alias(logical),
    }
}

/// The value of a property as it was sent.
fn shown_property(name: &str, types: PropertyTypes, has_overflow: bool) -> Expr {
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
        [kind] if !has_overflow && *kind != PropertyType::Json => physical(*kind),
        kinds => {
            let mut letters: String = kinds.iter().map(|it| it.letter()).collect();
            let mut columns: Vec<Expr> = kinds.iter().map(|it| physical(*it)).collect();
            if has_overflow {
                letters.push('o');
                columns.push(column(OVERFLOW));
            }
            let mut arguments = vec![lit(name), lit(letters)];
            arguments.append(&mut columns);
            functions::property().call(arguments)
        }
    }
}

fn is_column(expr: &Expr, name: &str) -> bool {
    matches!(expr, Expr::Column(column) if column.name == name)
}

/// `value` of `profile_changes`, with those of masked properties masked.
fn masked_value(policy: &ReadPolicy) -> Result<Expr> {
    let masks = policy.masks.all(PropertyOf::Person);
    let of = |mask: Mask| {
        let names = masks.iter().filter(move |(_, it)| **it == mask);
        let names: Vec<Expr> = names.map(|(name, _)| lit(name.to_string())).collect();
        column("property").in_list(names, false)
    };
    let placeholder = lit(String::from(Mask::Placeholder.json("")));
    let partial = functions::partial_json().call(vec![column("value")]);
    let mut cases = when(of(Mask::Placeholder), placeholder);
    // What an SDK says of a device has members, which are masked each.
    let facts = functions::masked_members(&policy.masks).call(vec![column("value")]);
    let value = cases
        .when(of(Mask::Partial), partial)
        .when(column("op").eq(lit(ChangeOp::Device.as_str())), facts)
        .otherwise(column("value"))
        .map_err(plan_error)?;
    Ok(value.alias_with_metadata("value", Some(FieldMetadata::from(json::mark()))))
}

/// The filter that leaves these people out; none when the table names none.
fn not_hidden(table: Table, hidden: &Arc<Suppressions>) -> Option<Expr> {
    match table {
        Table::Events | Table::ProfileChanges => Some(not_hidden_by(PERSON_KEY, hidden)),
        Table::Links => Some(not_hidden_by(PERSON_KEY, hidden).and(not_hidden_by(TO_KEY, hidden))),
        // Rows that name nobody stay.
        Table::Quarantine => Some(
            column(PERSON_KEY)
                .is_null()
                .or(not_hidden_by(PERSON_KEY, hidden)),
        ),
        Table::Requests => None,
    }
}

/// The filter that leaves these people and nobody else; none when the table names none.
fn only(table: Table, people: &Arc<Suppressions>) -> Option<Expr> {
    match table {
        Table::Events | Table::ProfileChanges | Table::Quarantine => {
            Some(among(PERSON_KEY, people))
        }
        Table::Links => Some(among(PERSON_KEY, people).and(among(TO_KEY, people))),
        Table::Requests => None,
    }
}

/// Whether a row is of one of these people, for the time in which the key was theirs.
fn among(key_column: &str, people: &Arc<Suppressions>) -> Expr {
    if stretches(people) > HIDDEN_LITERALS_MAX {
        return functions::hidden(people).call(vec![column(key_column), column(TS)]);
    }
    let (whole, partly) = parted(people);
    let mut filters = Vec::new();
    if !whole.is_empty() {
        filters.push(column(key_column).in_list(whole, false));
    }
    for (person, stretch) in partly {
        let mut inside = column(key_column).eq(key(person));
        if let Some(from) = stretch.from {
            inside = inside.and(column(TS).gt_eq(time(from)));
        }
        if let Some(to) = stretch.to {
            inside = inside.and(column(TS).lt(time(to)));
        }
        filters.push(inside);
    }
    filters
        .into_iter()
        .reduce(Expr::or)
        .unwrap_or_else(|| lit(false))
}

fn not_hidden_by(key_column: &str, hidden: &Arc<Suppressions>) -> Expr {
    if stretches(hidden) > HIDDEN_LITERALS_MAX {
        let hidden = functions::hidden(hidden);
        return Expr::Not(Box::new(hidden.call(vec![column(key_column), column(TS)])));
    }
    let (whole, partly) = parted(hidden);
    let mut filters = Vec::new();
    if !whole.is_empty() {
        filters.push(column(key_column).in_list(whole, true));
    }
    for (person, stretch) in partly {
        let mut outside = column(key_column).not_eq(key(person));
        if let Some(from) = stretch.from {
            outside = outside.or(column(TS).lt(time(from)));
        }
        if let Some(to) = stretch.to {
            outside = outside.or(column(TS).gt_eq(time(to)));
        }
        filters.push(outside);
    }
    filters
        .into_iter()
        .reduce(Expr::and)
        .unwrap_or_else(|| lit(true))
}

fn stretches(people: &Suppressions) -> usize {
    people.keys.values().map(Vec::len).sum()
}

/// The keys that are meant at all times, and the others with each of their stretches: in the order of
/// the keys, so that equal policies give equal plans.
fn parted(people: &Suppressions) -> (Vec<Expr>, Vec<(PersonKey, Stretch)>) {
    let mut keys: Vec<_> = people.keys.iter().collect();
    keys.sort_unstable_by_key(|(person, _)| **person);
    let (whole, partly): (Vec<_>, Vec<_>) = keys
        .into_iter()
        .partition(|(_, stretches)| stretches.iter().any(|it| it.is_whole()));
    let whole = whole.into_iter().map(|(person, _)| key(*person)).collect();
    let partly = partly.into_iter();
    let partly = partly.flat_map(|(person, them)| them.iter().map(|it| (*person, *it)));
    (whole, partly.collect())
}

pub(crate) fn plan_error(error: datafusion::common::DataFusionError) -> Error {
    Error::from_engine(error, 0)
}
