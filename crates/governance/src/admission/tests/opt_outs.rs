//! Opting out is a device's, whomever its SDK names beside it.

use model::opt_out::OptOut;
use model::record::{Change, ChangeOp, Source};
use model::submission::{Batch, Content, Submission};
use model::{PersonKey, RawJson, RecordIds, WriterId};

use super::{RECORD, device, identity, named, now, rules, suppressing};
use crate::{AccountRules, Announced, Arrival, Stretch, admit};

/// Whose `ct_optout` a profile of a device with a name beside it changes, as an SDK is understood.
fn said(rules: &AccountRules, source: Source, name: &'static str) -> Vec<PersonKey> {
    let step = Change {
        property: "ct_optout".into(),
        op: ChangeOp::Put,
        value: RawJson::parse("true").unwrap(),
    };
    let content = Content::Profile {
        changes: vec![step],
        alias: None,
    };
    let record = Submission {
        position: 1,
        text: RECORD,
        names: named(name, "d"),
        ts: None,
        content,
    };
    let ids = RecordIds::new(WriterId { node: 1, start: 1 });
    let arrival = Arrival {
        source,
        received_at: now(),
        ids: &ids.batch(),
    };
    let batch = Batch {
        records: vec![record],
        rejections: Vec::new(),
    };
    let admitted = admit(rules, batch, &arrival, &Announced::default());
    let said = admitted.entries().iter().filter_map(OptOut::of);
    said.map(|it| it.device).collect()
}

#[test]
fn what_is_said_beside_an_identity_stands_under_the_device_too() {
    let rules = rules();
    assert_eq!(said(&rules, Source::Web, ""), [device("d")]);
    let both = [identity("u1"), device("d")];
    assert_eq!(said(&rules, Source::Ios, "u1"), both);
    // What a company's own server says of somebody is a property and nothing else.
    assert_eq!(said(&rules, Source::Rest, "u1"), []);
}

#[test]
fn nothing_is_written_under_a_device_that_is_hidden() {
    let rules = suppressing(&[(device("d"), Stretch::WHOLE)]);
    assert_eq!(said(&rules, Source::Web, "u1"), [identity("u1")]);
    assert_eq!(said(&rules, Source::Web, ""), []);
}
