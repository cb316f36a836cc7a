//! Tables that sort, page and download. A page says once which columns a table has; its heads, its
//! order, its foot and its file are made of that and of what the URL asks.
//!
//! What stands in the file is what stands on the page, in the same order and under the same filters,
//! without the cut into pages.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::response::Response;
use std::cmp::Ordering;

use super::csv::Csv;
use super::fields::Fields;
use super::pager::Pager;
use super::words::{Times, count, plural};

/// Rows on a page.
const PAGE: usize = 100;
/// What a link leaves out: it was said of the page before.
const SAID_BEFORE: [&str; 4] = ["done", "n", "error", "id"];

/// A column of rows that are all in memory.
#[derive(Debug)]
pub(crate) struct Column<R> {
    head: Head,
    order: Option<fn(&R, &R) -> Ordering>,
    cell: fn(&R, &Times) -> String,
}

/// The head of a column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    /// In the URL, and in the file.
    name: &'static str,
    /// On the page; a column without a label stands in the file only.
    label: &'static str,
    is_number: bool,
    order: HeadOrder,
}

/// How a click on the head sorts first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HeadOrder {
    /// Not at all.
    None,
    /// A to Z.
    Rising,
    /// The most, or the latest, first.
    Falling,
}

impl Head {
    /// Of a column that does not sort.
    pub(crate) const fn new(name: &'static str, label: &'static str) -> Self {
        Self {
            name,
            label,
            is_number: false,
            order: HeadOrder::None,
        }
    }

    /// Set to the right.
    pub(crate) const fn number(self) -> Self {
        Self {
            is_number: true,
            ..self
        }
    }

    /// Sorts, A to Z first.
    pub(crate) const fn rising(self) -> Self {
        Self {
            order: HeadOrder::Rising,
            ..self
        }
    }

    /// Sorts, the most first.
    pub(crate) const fn falling(self) -> Self {
        Self {
            order: HeadOrder::Falling,
            ..self
        }
    }
}

impl<R> Column<R> {
    /// A column that does not sort; without a label it stands in the file only.
    pub(crate) const fn new(
        name: &'static str,
        label: &'static str,
        cell: fn(&R, &Times) -> String,
    ) -> Self {
        Self {
            head: Head::new(name, label),
            order: None,
            cell,
        }
    }

    /// Sorts, A to Z first.
    pub(crate) const fn by(self, order: fn(&R, &R) -> Ordering) -> Self {
        let head = Head {
            order: HeadOrder::Rising,
            ..self.head
        };
        Self {
            head,
            order: Some(order),
            cell: self.cell,
        }
    }

    /// Sorts, the most or the latest first.
    pub(crate) const fn most(self, order: fn(&R, &R) -> Ordering) -> Self {
        Self {
            head: self.head.falling(),
            order: Some(order),
            cell: self.cell,
        }
    }

    /// Set to the right.
    pub(crate) const fn number(self) -> Self {
        Self {
            head: self.head.number(),
            order: self.order,
            cell: self.cell,
        }
    }
}

/// What the URL asks of one table of a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sheet<'a> {
    asked: &'a Fields,
    path: &'a str,
    /// Sets the fields of a page's further tables apart; empty for its first one.
    name: &'static str,
}

impl<'a> Sheet<'a> {
    /// The first table of the page at `path`.
    pub(crate) const fn new(asked: &'a Fields, path: &'a str) -> Self {
        Self {
            asked,
            path,
            name: "",
        }
    }

    /// A further table of the page.
    pub(crate) const fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// Whether the table is wanted as a file.
    pub(crate) fn is_file(&self) -> bool {
        self.asked.text("format") == "csv" && self.asked.text("table") == self.name
    }

    /// Where the table is downloaded.
    pub(crate) fn csv(&self) -> String {
        let page = self.key("page");
        let mut without = vec!["format", "table", "after", page.as_str()];
        without.extend(SAID_BEFORE);
        let mut more = vec![("format", "csv")];
        if !self.name.is_empty() {
            more.push(("table", self.name));
        }
        self.asked.link(self.path, &without, &more)
    }

    /// By which column, and whether falling.
    pub(crate) fn order(&self) -> Option<(&'a str, bool)> {
        let asked = self.asked.some(&self.key("sort"))?;
        Some(match asked.strip_prefix('-') {
            Some(name) => (name, true),
            None => (asked, false),
        })
    }

    /// The heads of the columns. `usual` is how the rows stand when the URL says nothing of it.
    pub(crate) fn heads<'h>(
        &self,
        heads: impl IntoIterator<Item = &'h Head>,
        usual: Option<(&str, bool)>,
    ) -> Heads {
        let now = self.order().or(usual);
        let shown = heads.into_iter().filter(|it| !it.label.is_empty());
        let shown = shown.map(|head| {
            let sorted = now.filter(|(name, _)| *name == head.name).map(|it| it.1);
            let falls = match (head.order, sorted) {
                (HeadOrder::None, _) => None,
                (HeadOrder::Rising, None) | (_, Some(true)) => Some(false),
                (HeadOrder::Falling, None) | (_, Some(false)) => Some(true),
            };
            HeadView {
                label: head.label,
                is_number: head.is_number,
                sorted: sorted.map(|falls| if falls { "descending" } else { "ascending" }),
                href: falls.map(|falls| self.sorted(head.name, falls)),
            }
        });
        Heads(shown.collect())
    }

    fn sorted(&self, name: &str, falls: bool) -> String {
        let (sort, page) = (self.key("sort"), self.key("page"));
        let order = format!("{}{name}", if falls { "-" } else { "" });
        let mut without = vec!["format", "table", "after", &sort, &page];
        without.extend(SAID_BEFORE);
        self.asked
            .link(self.path, &without, &[(&sort, order.as_str())])
    }

    fn key(&self, field: &str) -> String {
        match self.name {
            "" => field.to_owned(),
            name => format!("{name}_{field}"),
        }
    }

    /// Rows in the order that is asked for, and the heads over them. Rows that are alike stay as
    /// they were.
    pub(crate) fn sort<R>(
        &self,
        columns: &[Column<R>],
        usual: Option<(&str, bool)>,
        rows: &mut [R],
    ) -> Heads {
        if let Some((name, falls)) = self.order() {
            let column = columns.iter().find(|it| it.head.name == name);
            match (column.and_then(|it| it.order), falls) {
                (Some(order), false) => rows.sort_by(order),
                (Some(order), true) => rows.sort_by(|a, b| order(b, a)),
                (None, _) => {}
            }
        }
        self.heads(columns.iter().map(|it| &it.head), usual)
    }

    /// One page of the rows, and the foot under it. `thing` is one row, in a word.
    pub(crate) fn cut<R>(&self, rows: Vec<R>, thing: &str) -> (Vec<R>, Pager) {
        let key = self.key("page");
        let all = rows.len();
        let from = self.asked.text(&key).parse::<usize>().unwrap_or(0);
        let from = if from < all { from } else { 0 };
        let next = from.saturating_add(PAGE);
        let mut without = vec!["format", "table", key.as_str()];
        without.extend(SAID_BEFORE);
        let link = |more: &[(&str, &str)]| self.asked.link(self.path, &without, more);
        let number = |it: usize| u64::try_from(it).unwrap_or(u64::MAX);
        let things = things(number(all), thing);
        let pager = Pager {
            note: match all > PAGE {
                true => format!(
                    "{} to {} of {things}",
                    count(number(from.saturating_add(1))),
                    count(number(next.min(all)))
                ),
                false => things,
            },
            first: (from > 0).then(|| link(&[])),
            next: (next < all).then(|| link(&[(key.as_str(), &next.to_string())])),
        };
        let shown = rows.into_iter().skip(from).take(PAGE);
        (shown.collect(), pager)
    }
}

/// A number of things, in English that is not ashamed of itself.
fn things(number: u64, thing: &str) -> String {
    match (thing.strip_suffix('y'), thing) {
        (_, "person") if number != 1 => format!("{} people", count(number)),
        (Some(stem), _) if number != 1 => format!("{} {stem}ies", count(number)),
        _ => plural(number, thing),
    }
}

/// The rows as a file.
pub(crate) fn file<R>(columns: &[Column<R>], rows: &[R], times: &Times, name: &str) -> Response {
    let names: Vec<&str> = columns.iter().map(|it| it.head.name).collect();
    let mut csv = Csv::new(&names);
    for row in rows {
        let cells: Vec<String> = columns.iter().map(|it| (it.cell)(row, times)).collect();
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        csv.line(&cells);
    }
    csv.file(name)
}

/// The heads of a table's columns: those that sort are links.
#[derive(Debug, Clone, Default, Template)]
#[template(
    ext = "html",
    source = r#"{% for it in self.0 %}<th scope="col"{% if it.is_number %} class="number"{% endif %}{% if let Some(sorted) = it.sorted %} aria-sort="{{ sorted }}"{% endif %}>{% if let Some(href) = it.href %}<a href="{{ href }}">{{ it.label }}</a>{% else %}{{ it.label }}{% endif %}</th>{% endfor %}"#
)]
pub(crate) struct Heads(Vec<HeadView>);

impl HtmlSafe for Heads {}

#[derive(Debug, Clone)]
struct HeadView {
    label: &'static str,
    is_number: bool,
    sorted: Option<&'static str>,
    href: Option<String>,
}

#[cfg(test)]
mod tests;
