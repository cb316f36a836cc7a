//! Text into a condition: tokens, then one function a rule of the grammar. Both are bounded.

use super::{Comparison, DEPTH_MAX, Node, NotACondition, TESTS_MAX, TEXT_BYTES_MAX, Test, Value};
use model::limit;

const WORDS: [&str; 8] = [
    "and", "or", "not", "in", "contains", "exists", "true", "false",
];

/// Reads a whole text.
pub(super) fn condition(text: &str) -> Result<Node, NotACondition> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(wrong(format!(
            "a condition has at most {TEXT_BYTES_MAX} bytes"
        )));
    }
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        tests: 0,
    };
    let node = parser.any(0)?;
    match parser.peek() {
        None => Ok(node),
        Some(token) => Err(wrong(format!(
            "{} is not expected there: `and` or `or` joins tests",
            token.words()
        ))),
    }
}

/// Whether a property's name needs no quotes.
pub(super) fn is_plain(name: &str) -> bool {
    let mut letters = name.chars();
    letters
        .next()
        .is_some_and(|it| it.is_ascii_alphabetic() || it == '_')
        && letters.all(|it| it.is_ascii_alphanumeric() || it == '_')
        && !WORDS.iter().any(|it| it.eq_ignore_ascii_case(name))
}

fn wrong(text: impl Into<String>) -> NotACondition {
    NotACondition(text.into())
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(&'static str),
    Property(Box<str>),
    Text(Box<str>),
    Number(f64),
    Compare(Comparison),
    Open,
    Close,
    Comma,
}

impl Token {
    fn words(&self) -> String {
        match self {
            Self::Word(word) => format!("`{word}`"),
            Self::Property(name) => format!("`{name}`"),
            Self::Text(_) => String::from("a text"),
            Self::Number(number) => format!("`{number}`"),
            Self::Compare(how) => format!("`{}`", how.as_str()),
            Self::Open => String::from("`(`"),
            Self::Close => String::from("`)`"),
            Self::Comma => String::from("`,`"),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, NotACondition> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = match first {
            '(' => (Token::Open, rest.get(1..)),
            ')' => (Token::Close, rest.get(1..)),
            ',' => (Token::Comma, rest.get(1..)),
            '\'' | '"' => {
                let (inside, after) = quoted(rest, first)?;
                let token = match first {
                    '"' => Token::Property(legal_name(&inside)?),
                    _ => Token::Text(inside.into_boxed_str()),
                };
                (token, Some(after))
            }
            '=' | '!' | '<' | '>' => {
                let found = Comparison::ALL
                    .into_iter()
                    .find(|(_, text)| rest.starts_with(text));
                let (how, sign) = found.ok_or_else(|| wrong("`!` must be followed by `=`"))?;
                (Token::Compare(how), rest.get(sign.len()..))
            }
            '-' | '0'..='9' => {
                let is_part = |it: char| it.is_ascii_alphanumeric() || "+-.".contains(it);
                let (number, after) = split(rest, is_part);
                (Token::Number(number_of(number)?), Some(after))
            }
            it if it.is_ascii_alphabetic() || it == '_' => {
                let (name, after) = split(rest, |it| it.is_ascii_alphanumeric() || it == '_');
                let word = WORDS.iter().find(|it| it.eq_ignore_ascii_case(name));
                let token = match word {
                    Some(word) => Token::Word(word),
                    None => Token::Property(legal_name(name)?),
                };
                (token, Some(after))
            }
            other => {
                let text = format!(
                    "`{other}` means nothing there: texts stand in single quotes, names with other \
                     letters in double quotes"
                );
                return Err(wrong(text));
            }
        };
        tokens.push(token);
        rest = after.unwrap_or_default().trim_start();
    }
    Ok(tokens)
}

/// What stands between quotes at the beginning of `text`, and what follows.
fn quoted(text: &str, quote: char) -> Result<(String, &str), NotACondition> {
    let mut inside = String::new();
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter != quote {
            inside.push(letter);
        } else if letters.peek().is_some_and(|(_, next)| *next == quote) {
            inside.push(quote);
            letters.next();
        } else {
            let after = at.saturating_add(1);
            return Ok((inside, text.get(after..).unwrap_or_default()));
        }
    }
    Err(wrong(format!("a {quote} is not closed")))
}

fn split(text: &str, is_part: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|it| !is_part(it)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn legal_name(name: &str) -> Result<Box<str>, NotACondition> {
    match (1..=limit::PROPERTY_KEY_CHARS_MAX).contains(&name.chars().count()) {
        true => Ok(Box::from(name)),
        false => Err(wrong("no property can have that name")),
    }
}

/// A number as JSON has it: what else the library reads (`inf`, `1.`) is none.
fn number_of(text: &str) -> Result<f64, NotACondition> {
    let number = serde_json::from_str::<f64>(text).ok();
    number
        .filter(|it| it.is_finite())
        .ok_or_else(|| wrong(format!("`{text}` is not a number")))
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    tests: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at = self.at.saturating_add(1);
        token
    }

    fn takes(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at = self.at.saturating_add(usize::from(found));
        found
    }

    fn expect(&mut self, token: &Token) -> Result<(), NotACondition> {
        if self.takes(token) {
            return Ok(());
        }
        let found = self
            .peek()
            .map_or_else(|| String::from("the end"), Token::words);
        Err(wrong(format!("{} is expected, not {found}", token.words())))
    }

    fn any(&mut self, depth: usize) -> Result<Node, NotACondition> {
        let mut nodes = vec![self.all(depth)?];
        while self.takes(&Token::Word("or")) {
            nodes.push(self.all(depth)?);
        }
        Ok(one_or(nodes, Node::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Node, NotACondition> {
        let mut nodes = vec![self.one(depth)?];
        while self.takes(&Token::Word("and")) {
            nodes.push(self.one(depth)?);
        }
        Ok(one_or(nodes, Node::All))
    }

    fn one(&mut self, depth: usize) -> Result<Node, NotACondition> {
        let depth = depth.saturating_add(1);
        if depth > DEPTH_MAX {
            let text = format!("a condition has at most {DEPTH_MAX} levels");
            return Err(wrong(text));
        }
        if self.takes(&Token::Word("not")) {
            return Ok(Node::Not(Box::new(self.one(depth)?)));
        }
        if self.takes(&Token::Open) {
            let node = self.any(depth)?;
            self.expect(&Token::Close)?;
            return Ok(node);
        }
        match self.next() {
            Some(Token::Property(name)) => Ok(Node::Test(name, self.test()?)),
            Some(other) => Err(wrong(format!(
                "a property's name is expected, not {}",
                other.words()
            ))),
            None => Err(wrong("a property's name is expected at the end")),
        }
    }

    fn test(&mut self) -> Result<Test, NotACondition> {
        self.count()?;
        match self.next() {
            Some(Token::Word("exists")) => Ok(Test::Exists),
            Some(Token::Word("contains")) => match self.next() {
                Some(Token::Text(part)) if !part.is_empty() => Ok(Test::Contains(part)),
                _ => Err(wrong("`contains` needs a text in single quotes")),
            },
            Some(Token::Compare(how)) => Ok(Test::Compare(how, self.value()?)),
            Some(Token::Word("in")) => {
                self.expect(&Token::Open)?;
                let mut values = vec![self.value()?];
                while self.takes(&Token::Comma) {
                    self.count()?;
                    values.push(self.value()?);
                }
                self.expect(&Token::Close)?;
                Ok(Test::In(values))
            }
            _ => Err(wrong(
                "a property is followed by =, !=, <, <=, >, >=, `in`, `contains` or `exists`",
            )),
        }
    }

    fn value(&mut self) -> Result<Value, NotACondition> {
        match self.next() {
            Some(Token::Text(text)) => Ok(Value::Text(text)),
            Some(Token::Number(number)) => Ok(Value::Number(number)),
            Some(Token::Word("true")) => Ok(Value::Boolean(true)),
            Some(Token::Word("false")) => Ok(Value::Boolean(false)),
            _ => Err(wrong(
                "a value is a text in single quotes, a number, `true` or `false`",
            )),
        }
    }

    fn count(&mut self) -> Result<(), NotACondition> {
        self.tests = self.tests.saturating_add(1);
        match self.tests > TESTS_MAX {
            true => Err(wrong(format!(
                "a condition has at most {TESTS_MAX} tests and values"
            ))),
            false => Ok(()),
        }
    }
}

/// The only node, or all under one.
fn one_or(mut nodes: Vec<Node>, of: fn(Vec<Node>) -> Node) -> Node {
    match (nodes.pop(), nodes.is_empty()) {
        (Some(only), true) => only,
        (Some(last), false) => {
            nodes.push(last);
            of(nodes)
        }
        (None, _) => of(nodes),
    }
}
