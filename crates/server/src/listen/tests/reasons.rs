//! The pages for those who send name every code, every error and every reason that the code gives.

use collect::Refusal;
use control::ErrorName;
use model::submission::{RejectReason, SYSTEM_EVENTS};
use std::collections::BTreeSet;
use std::path::PathBuf;
use web::Reason;

use crate::listen::framing::Fault;

fn docs() -> PathBuf {
    PathBuf::from("../../docs")
}

/// The page about the REST API.
fn rest() -> String {
    std::fs::read_to_string(docs().join("wire/rest.md")).unwrap()
}

/// Every page about what is sent and answered, and the operator's about what becomes of it.
fn pages() -> String {
    let wire = std::fs::read_dir(docs().join("wire")).unwrap();
    let wire = wire.map(|entry| entry.unwrap().path());
    let all = wire.chain([docs().join("operate/drops.md")]);
    all.map(|page| std::fs::read_to_string(page).unwrap())
        .collect()
}

/// The first cells of the rows of a table, without the marks of code; it begins with `head`.
fn rows(page: &str, head: &str) -> Vec<[String; 2]> {
    let (_, table) = page.split_once(head).unwrap_or_else(|| panic!("{head}"));
    let lines = table.lines().skip(2);
    let rows = lines.take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let mut cells = row
            .split('|')
            .skip(1)
            .map(|cell| cell.trim().replace('`', ""));
        [(); 2].map(|()| cells.next().unwrap())
    })
    .collect()
}

#[test]
fn every_reason_stands_on_a_page() {
    let pages = pages();
    let reasons = Refusal::ALL.iter().map(|it| it.reason());
    let reasons = reasons.chain(Reason::ALL.iter().map(|it| it.as_str()));
    let reasons = reasons.chain(Fault::ALL.iter().map(|it| it.reason()));
    let missing: BTreeSet<&str> = reasons
        .filter(|reason| !pages.contains(&format!("`{reason}`")))
        .collect();
    assert_eq!(missing, BTreeSet::new());
}

#[test]
fn every_record_code_stands_on_a_page_with_its_name_and_no_other_does() {
    let page = rest();
    let told: BTreeSet<[String; 2]> = rows(&page, "| code | reason | text |")
        .into_iter()
        .collect();
    let given = RejectReason::ALL.iter();
    let given = given.map(|it| [it.code().to_string(), it.as_str().to_owned()]);
    assert_eq!(told, given.collect());
}

#[test]
fn every_name_of_an_error_stands_on_a_page_and_no_other_does() {
    let page = rest();
    let told = rows(&page, "| error | what became of it |").into_iter();
    // The first row is about the reasons of refusals, and bodies that could not be read.
    let told = told.skip(1).flat_map(|[names, _]| {
        let names = names.split(", ").map(str::to_owned);
        names.collect::<Vec<_>>()
    });
    let told: BTreeSet<String> = told.collect();
    let given = ErrorName::ALL.iter().map(|it| it.as_str().to_owned());
    assert_eq!(told, given.collect());
}

#[test]
fn every_event_of_the_systems_own_stands_on_a_page_and_no_other_does() {
    let page = rest();
    let (_, told) = page.split_once("Reserved event names (exact): ").unwrap();
    let (told, _) = told.split_once(". `Charged`").unwrap();
    let told: BTreeSet<&str> = told.split('`').skip(1).step_by(2).collect();
    assert_eq!(told, BTreeSet::from(SYSTEM_EVENTS));
}
