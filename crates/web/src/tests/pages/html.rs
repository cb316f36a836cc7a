//! What must hold of the HTML of every page, whatever is in it.

use std::collections::{BTreeMap, BTreeSet};

/// Elements without an end.
const VOID: [&str; 8] = ["meta", "link", "input", "br", "hr", "img", "wbr", "source"];

/// One start tag.
#[derive(Debug)]
struct Tag<'a> {
    name: &'a str,
    attributes: BTreeMap<&'a str, &'a str>,
}

/// Panics unless the page is well formed and holds nothing that the content policy forbids.
pub(super) fn check(path: &str, page: &str) {
    assert!(page.starts_with("<!doctype html>"), "{path}: {page}");
    let mut open: Vec<&str> = Vec::new();
    let mut ids: BTreeSet<&str> = BTreeSet::new();
    let mut named: Vec<(&str, &str)> = Vec::new();
    let mut forms: Vec<(bool, bool)> = Vec::new();
    let mut labelled = 0_usize;
    for piece in tags(page) {
        match piece {
            Piece::End("form") => {
                assert_eq!(open.pop(), Some("form"), "{path}");
                let (posts, has_csrf) = forms.pop().unwrap();
                assert!(!posts || has_csrf, "{path}: a form without csrf");
            }
            Piece::End(name) => assert_eq!(open.pop(), Some(name), "{path}: nesting"),
            Piece::Start(tag) => {
                look(path, &tag);
                if let Some(id) = tag.attributes.get("id") {
                    assert!(ids.insert(id), "{path}: id `{id}` stands twice");
                }
                for name in [
                    "for",
                    "aria-labelledby",
                    "aria-describedby",
                    "list",
                    "data-copy",
                ] {
                    if let Some(id) = tag.attributes.get(name) {
                        // Some of them are lists.
                        named.extend(id.split(' ').map(|id| (name, id)));
                    }
                }
                if tag.name == "form" {
                    assert!(forms.is_empty(), "{path}: a form in a form");
                    forms.push((tag.attributes.get("method") == Some(&"post"), false));
                }
                if tag.name == "input" && tag.attributes.get("name") == Some(&"csrf") {
                    assert_eq!(tag.attributes.get("value"), Some(&super::visitor::CSRF));
                    forms.last_mut().unwrap().1 = true;
                }
                if tag.name == "h1" {
                    labelled += 1;
                }
                let is_closed = tag.attributes.contains_key("/");
                if !VOID.contains(&tag.name) && !is_closed {
                    open.push(tag.name);
                }
            }
        }
    }
    assert!(open.is_empty(), "{path}: {open:?} stay open");
    assert_eq!(labelled, 1, "{path}: one heading of the first rank");
    for (name, id) in named {
        assert!(
            ids.contains(id),
            "{path}: {name} names `{id}`, which is not there"
        );
    }
}

/// What no element may have.
fn look(path: &str, tag: &Tag<'_>) {
    for (name, value) in &tag.attributes {
        assert!(
            *name != "style" && !name.starts_with("on"),
            "{path}: {tag:?}"
        );
        let leads = matches!(*name, "href" | "src" | "action");
        let is_ours = value.starts_with('/') || value.starts_with('#');
        assert!(!leads || is_ours, "{path}: {tag:?}");
    }
    assert!(
        !matches!(tag.name, "style" | "iframe" | "object" | "embed" | "base"),
        "{path}"
    );
    if tag.name == "script" {
        assert_eq!(
            tag.attributes.get("src"),
            Some(&"/console.js"),
            "{path}: a script"
        );
    }
    if matches!(tag.name, "script" | "link") && tag.attributes.get("rel") != Some(&"icon") {
        let nonce = tag.attributes.get("nonce");
        assert_eq!(nonce, Some(&super::visitor::NONCE), "{path}: {tag:?}");
    }
    if tag.name == "th" {
        assert!(tag.attributes.contains_key("scope"), "{path}: {tag:?}");
    }
    let is_typed = tag.name == "input" && tag.attributes.get("type") != Some(&"hidden");
    if is_typed || matches!(tag.name, "select" | "textarea") {
        let known = ["id", "aria-label"];
        let is_boxed = matches!(tag.attributes.get("type"), Some(&"checkbox" | &"radio"));
        let has_name = known.iter().any(|it| tag.attributes.contains_key(it));
        assert!(is_boxed || has_name, "{path}: {tag:?} has no label");
    }
}

enum Piece<'a> {
    Start(Tag<'a>),
    End(&'a str),
}

fn tags(page: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = page.split_once('>').unwrap().1;
    while let Some((_, after)) = rest.split_once('<') {
        if let Some(end) = after.strip_prefix('/') {
            let (name, after) = end.split_once('>').unwrap();
            pieces.push(Piece::End(name));
            rest = after;
            continue;
        }
        let (tag, after) = start(after);
        pieces.push(Piece::Start(tag));
        rest = after;
    }
    pieces
}

/// A start tag, without its `<`, and what follows it.
fn start(text: &str) -> (Tag<'_>, &str) {
    let end = text.find(|it: char| it.is_whitespace() || matches!(it, '>' | '/'));
    let (name, mut rest) = text.split_at(end.unwrap());
    let mut attributes = BTreeMap::new();
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('>') {
            return (Tag { name, attributes }, after);
        }
        if let Some(after) = rest.strip_prefix('/') {
            attributes.insert("/", "");
            rest = after;
            continue;
        }
        let end = rest.find(|it: char| it.is_whitespace() || matches!(it, '=' | '>' | '/'));
        let (attribute, after) = rest.split_at(end.unwrap());
        let (value, after) = match after.strip_prefix("=\"") {
            Some(quoted) => quoted.split_once('"').unwrap(),
            None => ("", after),
        };
        let before = attributes.insert(attribute, value);
        assert!(before.is_none(), "<{name}> has `{attribute}` twice");
        rest = after;
    }
}
