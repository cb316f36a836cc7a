//! What the table of acts says, and what each act left in the audit log.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

use crate::harness::Installation;

const ACTS: &str = include_str!("../../../../audit_acts.txt");

/// What the table says, what was done of it, and how far the logs were read.
pub(super) struct Book<'r> {
    pub(super) room: &'r Installation,
    /// By place and act: the actions; empty when nothing is left.
    pub(super) rows: BTreeMap<(&'static str, &'static str), Vec<&'static str>>,
    pub(super) done: BTreeSet<(&'static str, &'static str)>,
    /// Failures, beside the rows.
    pub(super) failures: usize,
    /// What was not as the table says.
    pub(super) wrong: Vec<String>,
    /// The logs that are looked at, each with the number of the last entry that was seen.
    pub(super) logs: BTreeMap<String, u64>,
}

impl<'r> Book<'r> {
    pub(super) fn new(room: &'r Installation) -> Self {
        // A test of `web` does each operation of the management API.
        let lines = ACTS.lines().filter(|line| !line.contains(" /v2/"));
        let rows = lines.map(|line| {
            let (place, rest) = line.split_once(' ').unwrap();
            let (act, leaves) = rest.trim_start().split_once("  ").unwrap();
            let actions = match leaves.trim_start() {
                words if words.starts_with("none: ") => Vec::new(),
                words => words.split(' ').collect(),
            };
            ((place, act), actions)
        });
        Self {
            room,
            rows: rows.collect(),
            done: BTreeSet::new(),
            failures: 0,
            wrong: Vec::new(),
            logs: BTreeMap::from([("0".to_owned(), 0)]),
        }
    }

    /// What was left in the logs since they were read last, without what jobs leave. Reading leaves an
    /// entry itself, right behind what is read: the first one of the next time.
    pub(super) fn left(&mut self) -> Vec<Value> {
        let mut left = Vec::new();
        for (account, seen) in &mut self.logs {
            let after = seen.to_string();
            let list = ["audit", "list", "--account", account, "--after", &after];
            let Value::Array(found) = self.room.json(&list) else {
                panic!("a list of entries");
            };
            let is_first = *seen == 0;
            *seen = found
                .last()
                .map_or(*seen, |it| it["sequence"].as_u64().unwrap());
            let own = usize::from(!is_first);
            if !is_first {
                assert_eq!(found[0]["action"], "audit.read", "{found:?}");
            }
            left.extend(found.into_iter().skip(own));
        }
        left
    }

    pub(super) fn forget(&mut self) {
        self.left();
    }

    /// An act of the table was done: it left what the table says.
    pub(super) fn expect(&mut self, place: &str, act: &str) {
        let found = self.rows.iter().find(|it| it.0.0 == place && it.0.1 == act);
        let Some((key, actions)) = found.map(|(key, actions)| (*key, actions.clone())) else {
            panic!("`{place} {act}` is not in audit_acts.txt");
        };
        let left = self.left();
        let is_start = matches!(act, "init" | "serve");
        let left: Vec<&Value> = left
            .iter()
            .filter(|it| is_start || it["actor_kind"] != "system")
            .collect();
        let names: Vec<&str> = left
            .iter()
            .map(|it| it["action"].as_str().unwrap())
            .collect();
        for entry in &left {
            check_fields(entry);
        }
        let strange = names.iter().any(|it| !actions.contains(it));
        let is_there = actions.first().is_none_or(|first| {
            left.iter().any(|it| {
                it["action"] == **first && matches!(it["outcome"].as_str(), Some("begun" | "done"))
            })
        });
        if strange || !is_there {
            let line = format!("{place} {act}: {actions:?}, and it left {left:?}");
            self.wrong.push(line);
        }
        self.done.insert(key);
    }

    /// Something was tried and did not succeed: there is one entry of that, in one log.
    pub(super) fn expect_failure(&mut self, what: &str, action: &str, outcome: &str) {
        let left = self.left();
        let left: Vec<&Value> = left
            .iter()
            .filter(|it| it["actor_kind"] != "system")
            .collect();
        let is_so = |it: &Value| it["action"] == action && it["outcome"] == outcome;
        if left.len() != 1 || !left.iter().all(|it| is_so(it)) {
            let line = format!("{what}: {action} {outcome}, and it left {left:?}");
            self.wrong.push(line);
        }
        left.into_iter().for_each(check_fields);
        self.failures += 1;
    }

    /// A command that prints JSON, and what it leaves.
    pub(super) fn command(&mut self, act: &str, words: &[&str]) -> Value {
        let words: Vec<&str> = act.split(' ').chain(words.iter().copied()).collect();
        let printed = self.room.json(&words);
        self.expect("command", act);
        printed
    }
}

/// The six fields of PCI DSS 10.2.2: who, what kind, when, how it ended, from where, to what.
fn check_fields(entry: &Value) {
    let said = |field: &str| entry[field].as_str().is_some_and(|it| !it.is_empty());
    for field in [
        "actor",
        "actor_kind",
        "action",
        "at",
        "outcome",
        "action_id",
    ] {
        assert!(said(field), "no `{field}` in {entry}");
    }
    let at: jiff::Timestamp = entry["at"].as_str().unwrap().parse().unwrap();
    let age = jiff::Timestamp::now().duration_since(at).as_secs();
    assert!((-5..600).contains(&age), "{entry}");
    // Whoever is at the machine itself comes from no address: the kind of actor says so.
    let is_here = matches!(entry["actor_kind"].as_str(), Some("os_user" | "system"));
    assert_eq!(entry["peer"].is_null(), is_here, "{entry}");
}
