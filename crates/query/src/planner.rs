//! What SQL means on our columns: comparisons with JSON values and with keys, and masks.
//!
//! All of it rewrites the logical plan before it is optimized, with standard expressions and our
//! pure functions; there is no optimizer rule and no plan node of our own.
//!
//! - a JSON value against a string compares strings, against a number numbers, against true or
//!   false those; a value of another type compares as null, so that `5` is not `'5'`;
//! - a key (16 bytes) against its 32 hexadecimal digits compares the bytes, so that it prunes;
//! - a masked column may be selected, and nothing else.

use arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, Result as EngineResult, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Between, Distinct, Expr, ExprSchemable, Like, LogicalPlan};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use governance::PropertyOf;
use model::record::Table;
use model::{IdentityKind, PersonKey};
use std::collections::BTreeSet;

use crate::tables::LOGICAL_PREFIX;
use crate::{Error, ReadPolicy, Result, functions, json, tables};

/// Plans binary operators on JSON values and keys.
#[derive(Debug)]
pub(crate) struct Operators;

impl ExprPlanner for Operators {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> EngineResult<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, left, right } = expr;
        let (left, right) = match op {
            BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq => compared(left, right, schema)?,
            BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo => (number(left, schema), number(right, schema)),
            BinaryOperator::StringConcat => (text(left, schema), text(right, schema)),
            _ => (left, right),
        };
        Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }))
    }
}

/// What kind of column an expression is, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Key,
    Text,
    Number,
    Boolean,
    Other,
}

fn kind(expr: &Expr, schema: &DFSchema) -> Kind {
    match expr.to_field(schema) {
        Ok((_, field)) => kind_of(&field),
        Err(_) => Kind::Other,
    }
}

fn kind_of(field: &Field) -> Kind {
    match field.data_type() {
        _ if json::is_marked(field) => Kind::Json,
        DataType::FixedSizeBinary(16) => Kind::Key,
        DataType::Boolean => Kind::Boolean,
        other if other.is_string() => Kind::Text,
        other if other.is_numeric() => Kind::Number,
        _ => Kind::Other,
    }
}

fn compared(left: Expr, right: Expr, schema: &DFSchema) -> EngineResult<(Expr, Expr)> {
    Ok(match (kind(&left, schema), kind(&right, schema)) {
        (Kind::Json, other) if other != Kind::Json => (read_as(left, other), right),
        (other, Kind::Json) if other != Kind::Json => (left, read_as(right, other)),
        (Kind::Key, Kind::Text) => match key_literal(&right)? {
            Some(key) => (left, key),
            None => (functions::text().call(vec![left]), right),
        },
        (Kind::Text, Kind::Key) => match key_literal(&left)? {
            Some(key) => (key, right),
            None => (left, functions::text().call(vec![right])),
        },
        _ => (left, right),
    })
}

fn read_as(value: Expr, other: Kind) -> Expr {
    match other {
        Kind::Text | Kind::Key => functions::string().call(vec![value]),
        Kind::Number => functions::num().call(vec![value]),
        Kind::Boolean => functions::boolean().call(vec![value]),
        Kind::Json | Kind::Other => value,
    }
}

fn number(expr: Expr, schema: &DFSchema) -> Expr {
    match kind(&expr, schema) {
        Kind::Json => functions::num().call(vec![expr]),
        Kind::Key | Kind::Text | Kind::Number | Kind::Boolean | Kind::Other => expr,
    }
}

fn text(expr: Expr, schema: &DFSchema) -> Expr {
    match kind(&expr, schema) {
        Kind::Json | Kind::Key => functions::text().call(vec![expr]),
        Kind::Text | Kind::Number | Kind::Boolean | Kind::Other => expr,
    }
}

/// A literal text as the bytes of a key; none when it is no literal.
fn key_literal(expr: &Expr) -> EngineResult<Option<Expr>> {
    let Expr::Literal(
        ScalarValue::Utf8(Some(text))
        | ScalarValue::Utf8View(Some(text))
        | ScalarValue::LargeUtf8(Some(text)),
        _,
    ) = expr
    else {
        return Ok(None);
    };
    let key: PersonKey = text.parse().map_err(|_| {
        DataFusionError::Plan(format!("a key is 32 hexadecimal digits, not `{text}`"))
    })?;
    Ok(Some(tables::key(key)))
}

/// The columns of a statement that may be selected and not used otherwise.
#[derive(Debug)]
pub(crate) struct Masked(BTreeSet<String>);

impl Masked {
    /// Of a statement that reads these tables, and perhaps people.
    pub(crate) fn of(policy: &ReadPolicy, tables: &[Table], with_people: bool) -> Self {
        let mut names = BTreeSet::new();
        let property = |name: &str| format!("{LOGICAL_PREFIX}{name}");
        if tables.contains(&Table::Events) {
            let masks = policy.masks.all(PropertyOf::Event);
            names.extend(masks.keys().map(|it| property(it)));
        }
        if with_people {
            let masks = policy.masks.all(PropertyOf::Person);
            names.extend(masks.keys().map(|it| property(it)));
            let kinds = [
                IdentityKind::Identity,
                IdentityKind::Fbid,
                IdentityKind::Gpid,
            ];
            if kinds.iter().any(|it| policy.masks_person(it.as_str())) {
                names.extend(["identity", "identities"].map(String::from));
            }
        }
        Self(names)
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Follows the columns through the plan: under whatever name one is selected, it stays masked.
    fn follow(mut self, plan: &LogicalPlan) -> Result<Self> {
        loop {
            let before = self.0.len();
            plan.apply_with_subqueries(|node| {
                match node {
                    LogicalPlan::Projection(projection) => {
                        let fields = projection.schema.fields().iter();
                        for (expr, field) in projection.expr.iter().zip(fields) {
                            if bare(expr).is_some_and(|it| self.has(it)) {
                                self.0.insert(field.name().clone());
                            }
                        }
                    }
                    LogicalPlan::Union(union) => {
                        for input in &union.inputs {
                            let fields = union.schema.fields().iter();
                            for (of_input, field) in input.schema().fields().iter().zip(fields) {
                                if self.has(of_input.name()) {
                                    self.0.insert(field.name().clone());
                                }
                            }
                        }
                    }
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
            .map_err(tables::plan_error)?;
            if self.0.len() == before {
                return Ok(self);
            }
        }
    }

    /// The name of a masked column that `node` uses otherwise than by selecting it.
    fn used_by(&self, node: &LogicalPlan) -> EngineResult<Option<String>> {
        let in_schema = |plan: &LogicalPlan| {
            let mut fields = plan.schema().fields().iter();
            fields
                .find(|it| self.has(it.name()))
                .map(|it| it.name().clone())
        };
        if let LogicalPlan::Distinct(Distinct::All(input)) = node {
            return Ok(in_schema(input));
        }
        let is_projection = matches!(node, LogicalPlan::Projection(_));
        let mut found = None;
        for expr in node.expressions() {
            if is_projection && bare(&expr).is_some() {
                continue;
            }
            expr.apply(|it| {
                found = match it {
                    Expr::Column(column) | Expr::OuterReferenceColumn(_, column) => {
                        self.has(&column.name).then(|| column.name.clone())
                    }
                    // What a subquery gives is compared or computed with.
                    Expr::ScalarSubquery(subquery) => in_schema(&subquery.subquery),
                    Expr::InSubquery(within) => in_schema(&within.subquery.subquery),
                    Expr::SetComparison(within) => in_schema(&within.subquery.subquery),
                    _ => None,
                };
                Ok(match found {
                    Some(_) => TreeNodeRecursion::Stop,
                    None => TreeNodeRecursion::Continue,
                })
            })?;
            if found.is_some() {
                break;
            }
        }
        Ok(found)
    }
}

/// The column that an expression is, under whatever name.
fn bare(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Alias(alias) => bare(&alias.expr),
        Expr::Column(column) => Some(&column.name),
        _ => None,
    }
}

/// Finishes what [`Operators`] cannot see (IN, BETWEEN, LIKE), and refuses other uses of masked
/// columns than selecting them.
pub(crate) fn finish(plan: LogicalPlan, masked: Masked) -> Result<LogicalPlan> {
    let masked = masked.follow(&plan)?;
    let mut refused = None;
    let plan = plan
        .transform_up_with_subqueries(|node| {
            if let Some(name) = masked.used_by(&node)? {
                refused.get_or_insert(name);
            }
            let schema = merge_schema(&node.inputs());
            let node =
                node.map_expressions(|expr| expr.transform_up(|expr| rewrite(expr, &schema)))?;
            if node.transformed {
                return Ok(Transformed::yes(node.data.recompute_schema()?));
            }
            Ok(node)
        })
        .map_err(tables::plan_error)?;
    match refused {
        Some(name) => Err(Error::Masked(format!(
            "column `{name}` is masked: it can be selected, but not filtered, sorted, grouped or computed with"
        ))),
        None => Ok(plan.data),
    }
}

fn rewrite(expr: Expr, schema: &DFSchema) -> EngineResult<Transformed<Expr>> {
    match expr {
        Expr::InList(InList {
            expr,
            list,
            negated,
        }) => {
            let (value, list) = match kind(&expr, schema) {
                Kind::Json => {
                    let other = list.first().map_or(Kind::Other, |it| kind(it, schema));
                    (read_as(*expr, other), list)
                }
                Kind::Key => (*expr, keys(list)?),
                Kind::Text | Kind::Number | Kind::Boolean | Kind::Other => {
                    return Ok(Transformed::no(Expr::InList(InList {
                        expr,
                        list,
                        negated,
                    })));
                }
            };
            Ok(Transformed::yes(Expr::InList(InList::new(
                Box::new(value),
                list,
                negated,
            ))))
        }
        Expr::Between(Between {
            expr,
            negated,
            low,
            high,
        }) => {
            let (value, low, high) = match kind(&expr, schema) {
                Kind::Json => (read_as(*expr, kind(&low, schema)), *low, *high),
                Kind::Key => {
                    let low = key_literal(&low)?.unwrap_or(*low);
                    let high = key_literal(&high)?.unwrap_or(*high);
                    (*expr, low, high)
                }
                Kind::Text | Kind::Number | Kind::Boolean | Kind::Other => {
                    return Ok(Transformed::no(Expr::Between(Between {
                        expr,
                        negated,
                        low,
                        high,
                    })));
                }
            };
            let between = Between::new(Box::new(value), negated, Box::new(low), Box::new(high));
            Ok(Transformed::yes(Expr::Between(between)))
        }
        Expr::Like(like) => match kind(&like.expr, schema) {
            Kind::Json | Kind::Key => {
                let value = text(*like.expr, schema);
                Ok(Transformed::yes(Expr::Like(Like {
                    expr: Box::new(value),
                    ..like
                })))
            }
            Kind::Text | Kind::Number | Kind::Boolean | Kind::Other => {
                Ok(Transformed::no(Expr::Like(like)))
            }
        },
        other => Ok(Transformed::no(other)),
    }
}

fn keys(list: Vec<Expr>) -> EngineResult<Vec<Expr>> {
    list.into_iter()
        .map(|it| Ok(key_literal(&it)?.unwrap_or(it)))
        .collect()
}
