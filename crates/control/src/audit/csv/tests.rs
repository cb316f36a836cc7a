//! Cells that spreadsheets leave alone.

use super::{cell, line};
use crate::{Action, AuditEntry, AuditOutcome};
use jiff::tz::TimeZone;
use model::Timestamp;

#[test]
fn no_cell_is_a_formula() {
    let cases = [
        ("plain", "plain"),
        ("", ""),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\rx", "\"'\rx\""),
        (
            "=cmd|' /C calc'!A0,\"x\"",
            "\"'=cmd|' /C calc'!A0,\"\"x\"\"\"",
        ),
        ("\u{ff1d}1", "'\u{ff1d}1"),
        ("a,b", "\"a,b\""),
        ("a\nb", "\"a\nb\""),
        ("say \"x\"", "\"say \"\"x\"\"\""),
        ("a=b", "a=b"),
    ];
    for (text, expect) in cases {
        let mut out = String::new();
        cell(text, &mut out);
        assert_eq!(out, expect, "{text:?}");
    }
}

#[test]
fn times_are_told_in_the_accounts_zone() {
    let entry = AuditEntry {
        account: "AAA".parse().unwrap(),
        sequence: 7,
        at: Timestamp::from_ms(1_790_000_000_123),
        actor_kind: "os_user".to_owned(),
        actor: "=olga".to_owned(),
        role: "operator".to_owned(),
        action: Action::LimitsChanged,
        action_id: "AAA".to_owned(),
        description: "uploads 1, calls 2".to_owned(),
        outcome: AuditOutcome::Done,
        peer: Some("192.0.2.1".parse().unwrap()),
    };
    let mut out = String::new();
    line(&entry, &TimeZone::get("Asia/Kolkata").unwrap(), &mut out);
    let expect = "2026-09-21T19:43:20.123+05:30,'=olga,account.limits_changed,AAA,\
                  \"uploads 1, calls 2\",192.0.2.1,done,operator,AAA,7\r\n";
    assert_eq!(out, expect);
}
