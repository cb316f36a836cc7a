//! A condition on the properties of a person: which people a role with a data filter sees.
//!
//! ```text
//! condition  = all-of { "or" all-of }
//! all-of     = one { "and" one }
//! one        = "not" one | "(" condition ")" | property test
//! test       = ("=" | "!=" | "<" | "<=" | ">" | ">=") value
//!            | "in" "(" value { "," value } ")" | "contains" text | "exists"
//! property   = word | "quoted in double quotes"
//! value      = 'text in single quotes' | number | "true" | "false"
//! ```
//!
//! A quote inside quotes is written twice; words of the grammar may be in capitals. A test of a
//! property that a person does not have, or whose value is of another kind, is unknown: neither it
//! nor its opposite holds. Of a list, one item that passes is enough. It must never hold for somebody
//! because something is not known of them, but where it says so itself (`not VIP exists`).

mod parse;
#[cfg(test)]
mod tests;

use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::fmt;

/// Bytes of a condition's text.
const TEXT_BYTES_MAX: usize = 2_000;
/// Tests in one condition, and values that one compares with.
const TESTS_MAX: usize = 50;
/// Levels of brackets and `not`.
const DEPTH_MAX: usize = 16;

/// A condition on the properties of a person. Two that are written alike are equal.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition(Node);

// Its numbers are finite, so that each equals itself.
impl Eq for Condition {}

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotACondition(String);

impl fmt::Display for NotACondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotACondition {}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Any(Vec<Self>),
    All(Vec<Self>),
    Not(Box<Self>),
    Test(Box<str>, Test),
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Compare(Comparison, Value),
    In(Vec<Value>),
    Contains(Box<str>),
    Exists,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Text(Box<str>),
    Number(f64),
    Boolean(bool),
}

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, NotACondition> {
        parse::condition(text).map(Self)
    }

    /// Whether it holds for a person whose properties `value_of` gives, each as its JSON text. What is
    /// unknown does not hold.
    pub fn holds<'p>(&self, value_of: impl Fn(&str) -> Option<&'p str>) -> bool {
        // A value that cannot be read is none: nobody is seen for it.
        let read = |name: &str| value_of(name).and_then(|it| serde_json::from_str(it).ok());
        self.0.eval(&read) == Some(true)
    }

    /// The properties that it looks at.
    #[must_use]
    pub fn properties(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.0.names(&mut names);
        names
    }
}

impl fmt::Display for Condition {
    /// As it is parsed, with no more brackets than it needs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Node {
    /// True, false, or unknown.
    fn eval(&self, value_of: &dyn Fn(&str) -> Option<Json>) -> Option<bool> {
        let decided = |nodes: &[Self], by: bool| {
            let mut outcome = Some(!by);
            for node in nodes {
                match node.eval(value_of) {
                    Some(it) if it == by => return Some(by),
                    Some(_) => {}
                    None => outcome = None,
                }
            }
            outcome
        };
        match self {
            Self::Any(nodes) => decided(nodes, true),
            Self::All(nodes) => decided(nodes, false),
            Self::Not(node) => node.eval(value_of).map(|it| !it),
            Self::Test(name, test) => {
                // A null that was sent is as good as nothing.
                let value = value_of(name).filter(|it| !it.is_null());
                test.eval(value.as_ref())
            }
        }
    }

    fn names<'n>(&'n self, names: &mut BTreeSet<&'n str>) {
        match self {
            Self::Any(nodes) | Self::All(nodes) => nodes.iter().for_each(|it| it.names(names)),
            Self::Not(node) => node.names(names),
            Self::Test(name, _) => {
                names.insert(name);
            }
        }
    }
}

impl Test {
    fn eval(&self, value: Option<&Json>) -> Option<bool> {
        if *self == Self::Exists {
            return Some(value.is_some());
        }
        match value? {
            Json::Array(items) => {
                let found = items.iter().filter_map(|it| self.eval_one(it));
                found.reduce(|any, it| any || it)
            }
            one => self.eval_one(one),
        }
    }

    /// Of one value; unknown when it is of another kind.
    fn eval_one(&self, value: &Json) -> Option<bool> {
        match self {
            Self::Exists => Some(true),
            Self::Contains(part) => value.as_str().map(|it| it.contains(&**part)),
            Self::Compare(how, with) => with.order(value).map(|it| how.holds(it)),
            Self::In(all) => {
                let found = all.iter().filter_map(|it| it.order(value));
                found
                    .map(std::cmp::Ordering::is_eq)
                    .reduce(|any, it| any || it)
            }
        }
    }
}

impl Comparison {
    const ALL: [(Self, &'static str); 6] = [
        (Self::NotEqual, "!="),
        (Self::LessOrEqual, "<="),
        (Self::GreaterOrEqual, ">="),
        (Self::Equal, "="),
        (Self::Less, "<"),
        (Self::Greater, ">"),
    ];

    fn as_str(self) -> &'static str {
        let found = Self::ALL.into_iter().find(|(it, _)| *it == self);
        found.map_or("=", |(_, text)| text)
    }

    const fn holds(self, value_to_literal: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => value_to_literal.is_eq(),
            Self::NotEqual => value_to_literal.is_ne(),
            Self::Less => value_to_literal.is_lt(),
            Self::LessOrEqual => value_to_literal.is_le(),
            Self::Greater => value_to_literal.is_gt(),
            Self::GreaterOrEqual => value_to_literal.is_ge(),
        }
    }
}

impl Value {
    /// How a person's value compares with it; none when it is of another kind.
    fn order(&self, value: &Json) -> Option<std::cmp::Ordering> {
        match self {
            Self::Text(text) => value.as_str().map(|it| it.cmp(text)),
            Self::Number(number) => value.as_f64()?.partial_cmp(number),
            Self::Boolean(is) => value.as_bool().map(|it| it.cmp(is)),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Self::Number(number) => write!(f, "{number}"),
            Self::Boolean(is) => write!(f, "{is}"),
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, nodes: &[Self], word: &str| {
            for (place, node) in nodes.iter().enumerate() {
                if place > 0 {
                    write!(f, " {word} ")?;
                }
                match node {
                    Self::Any(_) | Self::All(_) => write!(f, "({node})")?,
                    Self::Not(_) | Self::Test(..) => write!(f, "{node}")?,
                }
            }
            Ok(())
        };
        match self {
            Self::Any(nodes) => joined(f, nodes, "or"),
            Self::All(nodes) => joined(f, nodes, "and"),
            Self::Not(node) => match **node {
                Self::Any(_) | Self::All(_) => write!(f, "not ({node})"),
                Self::Not(_) | Self::Test(..) => write!(f, "not {node}"),
            },
            Self::Test(name, test) => {
                match parse::is_plain(name) {
                    true => f.write_str(name)?,
                    false => write!(f, "\"{}\"", name.replace('"', "\"\""))?,
                }
                match test {
                    Test::Compare(how, value) => write!(f, " {} {value}", how.as_str()),
                    Test::Contains(part) => write!(f, " contains {}", Value::Text(part.clone())),
                    Test::Exists => f.write_str(" exists"),
                    Test::In(values) => {
                        let values: Vec<String> = values.iter().map(Value::to_string).collect();
                        write!(f, " in ({})", values.join(", "))
                    }
                }
            }
        }
    }
}
