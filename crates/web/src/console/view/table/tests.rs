//! Tables of two columns.

use jiff::tz::TimeZone;
use model::Timestamp;

use super::{Column, Sheet, file, things};
use crate::console::view::{Fields, Times};

struct Row(&'static str, u64);

const COLUMNS: &[Column<Row>] = &[
    Column::new("name", "Name", |it: &Row, _| it.0.to_owned()).by(|a, b| a.0.cmp(b.0)),
    Column::new("size", "Size", |it: &Row, _| it.1.to_string())
        .most(|a, b| a.1.cmp(&b.1))
        .number(),
    Column::new("twice", "", |it: &Row, _| (it.1 * 2).to_string()),
];

fn rows() -> Vec<Row> {
    vec![Row("b", 2), Row("a", 2), Row("c", 9)]
}

#[track_caller]
fn check(query: &str, expect: &str) {
    let asked = Fields::parse(query.as_bytes());
    let mut found = rows();
    Sheet::new(&asked, "/x").sort(COLUMNS, None, &mut found);
    let names: Vec<&str> = found.iter().map(|it| it.0).collect();
    assert_eq!(names.concat(), expect, "{query}");
}

#[test]
fn rows_stand_in_the_order_that_is_asked_for() {
    check("", "bac");
    check("sort=name", "abc");
    check("sort=-name", "cba");
    check("sort=-size", "cba");
    check("sort=size", "bac");
    check("sort=twice", "bac");
    check("sort=nothing", "bac");
    check("other_sort=name", "bac");
}

#[test]
fn heads_lead_to_the_other_order_and_say_which_is_in_force() {
    let asked = Fields::parse(b"q=x&sort=-size&page=100&done=saved");
    let heads = Sheet::new(&asked, "/x").sort(COLUMNS, Some(("name", false)), &mut rows());
    assert_eq!(
        heads.to_string(),
        "<th scope=\"col\"><a href=\"/x?q=x&#38;sort=name\">Name</a></th>\
         <th scope=\"col\" class=\"number\" aria-sort=\"descending\">\
         <a href=\"/x?q=x&#38;sort=size\">Size</a></th>"
    );
    let asked = Fields::default();
    let heads = Sheet::new(&asked, "/x").sort(COLUMNS, Some(("name", false)), &mut rows());
    assert_eq!(
        heads.to_string(),
        "<th scope=\"col\" aria-sort=\"ascending\"><a href=\"/x?sort=-name\">Name</a></th>\
         <th scope=\"col\" class=\"number\"><a href=\"/x?sort=-size\">Size</a></th>"
    );
}

#[test]
fn pages_are_cut_and_the_foot_says_where_one_is() {
    let all: Vec<usize> = (0..250).collect();
    let asked = Fields::parse(b"q=x&two_page=100&page=7");
    let sheet = Sheet::new(&asked, "/x").named("two");
    let (shown, foot) = sheet.cut(all.clone(), "entry");
    assert_eq!((shown.first(), shown.len()), (Some(&100), 100));
    assert_eq!(foot.note, "101 to 200 of 250 entries");
    assert_eq!(foot.first.as_deref(), Some("/x?q=x&page=7"));
    assert_eq!(foot.next.as_deref(), Some("/x?q=x&page=7&two_page=200"));
    let asked = Fields::parse(b"page=999");
    let (shown, foot) = Sheet::new(&asked, "/x").cut(all, "entry");
    assert_eq!((shown.first(), foot.first), (Some(&0), None));
    assert_eq!(things(1, "entry"), "1 entry");
    assert_eq!(things(2, "person"), "2 people");
}

#[test]
fn the_file_is_of_the_table_that_is_named() {
    let asked = Fields::parse(b"sort=name&format=csv&table=two&page=3");
    let first = Sheet::new(&asked, "/x");
    assert!(!first.is_file() && first.named("two").is_file());
    assert_eq!(first.csv(), "/x?sort=name&format=csv");
    let two = first.named("two").csv();
    assert_eq!(two, "/x?sort=name&page=3&format=csv&table=two");
    let times = Times::new(TimeZone::UTC, Timestamp::from_ms(0));
    let file = file(COLUMNS, &rows(), &times, "rows.csv");
    let attached = file.headers()["content-disposition"].to_str().unwrap();
    assert_eq!(attached, "attachment; filename=\"rows.csv\"");
}
