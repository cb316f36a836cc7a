//! Which statements may run: an allow-list over the syntax tree, before anything is planned; and which
//! properties one asks for.

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{self, Visit as _, Visitor};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use model::record::Table;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::tables::LOGICAL_PREFIX;
use crate::{Error, Result};

/// Bytes of a statement.
const STATEMENT_BYTES_MAX: usize = 64 * 1024;
/// Operators in a statement: a tree as deep as a chain of them is walked recursively.
const OPERATORS_MAX: usize = 400;
/// Nesting of a statement.
const DEPTH_MAX: usize = 48;

/// A statement that may run.
#[derive(Debug)]
pub(crate) struct Allowed {
    pub(crate) statement: Statement,
    /// The properties that it names, `p:` taken off.
    pub(crate) properties: BTreeSet<String>,
    /// Whether it may ask for every property that events have, without naming any.
    pub(crate) every_property: bool,
}

/// Parses one statement and lets it through when it only reads.
pub(crate) fn parse(text: &str) -> Result<Allowed> {
    if text.len() > STATEMENT_BYTES_MAX {
        return Err(Error::NotAllowed("the statement is longer than 64 KiB"));
    }
    let dialect = GenericDialect {};
    let tokens = Tokenizer::new(&dialect, text)
        .tokenize()
        .map_err(|error| Error::Statement(error.to_string()))?;
    if tokens.iter().filter(|it| is_operator(it)).count() > OPERATORS_MAX {
        return Err(Error::NotAllowed(
            "the statement has more than 400 operators; use IN for lists",
        ));
    }
    let mut statements = DFParserBuilder::new(text)
        .with_dialect(&dialect)
        .with_recursion_limit(DEPTH_MAX)
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| Error::from_engine(error, 0))?;
    let statement = match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => statement,
        (None, _) => return Err(Error::NotAllowed("there is no statement")),
        (Some(_), false) => return Err(Error::NotAllowed("there is more than one statement")),
    };
    let query = check(&statement)?;
    let every_property = is_natural(&tokens) || query.visit(&mut Everything).is_break();
    Ok(Allowed {
        statement,
        properties: properties(&tokens),
        every_property,
    })
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT
                | Keyword::JOIN
                | Keyword::CASE
                | Keyword::IS
                | Keyword::LIKE
        ),
        Token::Comma
        | Token::Whitespace(_)
        | Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::Period
        | Token::LParen
        | Token::RParen
        | Token::SemiColon
        | Token::EOF => false,
        _ => true,
    }
}

fn properties(tokens: &[Token]) -> BTreeSet<String> {
    let named = tokens.iter().filter_map(|token| match token {
        Token::Word(word) if word.quote_style.is_some() => {
            word.value.strip_prefix(LOGICAL_PREFIX).map(String::from)
        }
        _ => None,
    });
    named.collect()
}

/// Whether tables are joined by what they have in common.
fn is_natural(tokens: &[Token]) -> bool {
    let mut words = tokens.iter().filter_map(|token| match token {
        Token::Word(word) => Some(word.keyword),
        _ => None,
    });
    words.any(|it| it == Keyword::NATURAL)
}

/// Ends where a query may ask for all columns of events.
struct Everything;

impl Visitor for Everything {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        // What is piped begins with all columns.
        match query.pipe_operators.is_empty() {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    }

    fn pre_visit_select(&mut self, select: &ast::Select) -> ControlFlow<()> {
        let is_all = |it: &ast::SelectItem| {
            use ast::SelectItem::{QualifiedWildcard, Wildcard};
            matches!(it, Wildcard(_) | QualifiedWildcard(..))
        };
        let items = &select.projection;
        // `FROM events` alone has no items.
        let asks_for_all = items.is_empty() || items.iter().any(is_all);
        match asks_for_all && select.from.iter().any(may_be_events) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

fn may_be_events(from: &ast::TableWithJoins) -> bool {
    let joined = from.joins.iter().map(|it| &it.relation);
    let mut tables = std::iter::once(&from.relation).chain(joined);
    tables.any(|it| match it {
        ast::TableFactor::Table { name, .. } => {
            let name = name.to_string();
            let name = name.trim_matches(['"', '`']);
            name.eq_ignore_ascii_case(Table::Events.as_str())
        }
        // Its query is visited as well.
        ast::TableFactor::Derived { .. } => false,
        _ => true,
    })
}

/// The query that a statement is.
fn check(statement: &Statement) -> Result<&ast::Query> {
    let query = match statement {
        Statement::Statement(statement) => match statement.as_ref() {
            ast::Statement::Query(query) => query,
            ast::Statement::Explain { statement, .. } => match statement.as_ref() {
                ast::Statement::Query(query) => query,
                _ => return Err(Error::NotAllowed("EXPLAIN is for SELECT only")),
            },
            _ => return Err(Error::NotAllowed("this is another statement")),
        },
        Statement::Explain(explain) => match explain.statement.as_ref() {
            Statement::Statement(inner) => match inner.as_ref() {
                ast::Statement::Query(query) => query,
                _ => return Err(Error::NotAllowed("EXPLAIN is for SELECT only")),
            },
            _ => return Err(Error::NotAllowed("EXPLAIN is for SELECT only")),
        },
        Statement::CreateExternalTable(_) | Statement::CopyTo(_) | Statement::Reset(_) => {
            return Err(Error::NotAllowed("this is another statement"));
        }
    };
    check_query(query)?;
    Ok(query)
}

fn check_query(query: &ast::Query) -> Result<()> {
    if let Some(with) = &query.with {
        if with.recursive {
            return Err(Error::NotAllowed("WITH RECURSIVE is not"));
        }
        with.cte_tables
            .iter()
            .try_for_each(|cte| check_query(&cte.query))?;
    }
    if !query.locks.is_empty() {
        return Err(Error::NotAllowed("FOR UPDATE is not"));
    }
    check_body(&query.body)
}

fn check_body(body: &ast::SetExpr) -> Result<()> {
    match body {
        ast::SetExpr::Select(select) if select.into.is_some() => {
            Err(Error::NotAllowed("SELECT INTO is not"))
        }
        ast::SetExpr::Select(_) | ast::SetExpr::Values(_) => Ok(()),
        ast::SetExpr::Query(query) => check_query(query),
        ast::SetExpr::SetOperation { left, right, .. } => {
            check_body(left)?;
            check_body(right)
        }
        _ => Err(Error::NotAllowed("a query that changes something is not")),
    }
}
