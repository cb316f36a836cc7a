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
use datafusion::logical_expr::{Between, Expr, ExprSchemable, Like, LogicalPlan};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use model::PersonKey;

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

/// Finishes what [`Operators`] cannot see (IN, BETWEEN, LIKE), and refuses other uses of masked
/// columns than selecting them.
pub(crate) fn finish(plan: LogicalPlan, policy: &ReadPolicy) -> Result<LogicalPlan> {
    let mut refused = None;
    let plan = plan
        .transform_up_with_subqueries(|node| {
            if let Some(name) = masked_use(&node, policy)? {
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

/// The name of a masked column that `node` uses otherwise than by selecting it.
fn masked_use(node: &LogicalPlan, policy: &ReadPolicy) -> EngineResult<Option<String>> {
    if policy.masked.is_empty() {
        return Ok(None);
    }
    let is_projection = matches!(node, LogicalPlan::Projection(_));
    for expr in node.expressions() {
        if is_projection && is_bare(&expr) {
            continue;
        }
        let mut found = None;
        expr.apply(|it| {
            if let Expr::Column(column) = it
                && let Some(name) = column.name.strip_prefix(LOGICAL_PREFIX)
                && policy.masks(name)
            {
                found = Some(column.name.clone());
                return Ok(TreeNodeRecursion::Stop);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn is_bare(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_bare(&alias.expr),
        Expr::Column(_) => true,
        _ => false,
    }
}
