//! The command line is sound, and changes of its help are seen.

use super::account::fields;
use super::output::Paint;
use super::table::{Table, bytes, harmless};
use super::{Arguments, access, account, receipt, volume};
use clap::CommandFactory as _;
use control::VerifiedReceipt;
use expect_test::{expect, expect_file};
use model::RawJson;
use serde_json::json;

#[test]
fn every_command_is_well_formed() {
    Arguments::command().debug_assert();
}

#[test]
fn the_help_of_every_command_is_as_reviewed() {
    fn help(command: &mut clap::Command, text: &mut String) {
        text.push_str(&format!(
            "# {}\n\n",
            command.get_bin_name().unwrap_or("strongroom")
        ));
        text.push_str(&command.render_long_help().to_string());
        text.push('\n');
        for subcommand in command.get_subcommands_mut() {
            if subcommand.get_name() != "help" {
                help(subcommand, text);
            }
        }
    }
    let mut command = Arguments::command().term_width(100);
    command.build();
    let mut text = String::new();
    help(&mut command, &mut text);
    expect_file!["../../testdata/help.txt"].assert_eq(&text);
}

#[test]
fn tables_are_aligned_and_drive_no_terminal() {
    let mut table = Table::new(["NAME", "COUNT"]);
    table.push(["short", "1"]);
    table.push(["a \u{1b}[2J b", "2000"]);
    table.push(["long ".repeat(20), "30".to_owned()]);
    expect![[r#"
        NAME                                                              COUNT
        short                                                                 1
        a �[2J b                                                           2000
        long long long long long long long long long long long long lon…     30
    "#]]
    .assert_eq(&table.render(Paint::off()));
}

#[test]
fn what_somebody_sent_drives_no_terminal() {
    let sent = "a\u{1b}[2J\u{9b}31m\r\u{202e}b\u{2066}c\nd";
    let kept = "a\u{fffd}[2J\u{fffd}31m\u{fffd}\u{fffd}b\u{fffd}c\nd";
    assert_eq!(harmless(sent), kept);
    let shown = fields(&json!({ "body": sent }));
    assert!(shown.ends_with(&format!("  {kept}\n")), "{shown:?}");
    // Columns may be named by who sent the properties.
    let mut table = Table::new([sent]);
    table.push(["1"]);
    let shown = table.render(Paint::off());
    let head = kept.replace('\n', "\u{fffd}");
    assert_eq!(shown.lines().next(), Some(head.as_str()));
}

#[test]
fn bytes_have_a_unit() {
    let cases = [
        (0, "0 B"),
        (1_023, "1023 B"),
        (1_536, "1.5 KiB"),
        (5 << 30, "5.0 GiB"),
    ];
    for (count, text) in cases {
        assert_eq!(bytes(count), text);
    }
}

#[test]
fn a_volumes_state_is_said_in_words() {
    assert_eq!(volume::state(&json!({"state": "in_service"})), "in service");
    let out = json!({"state": "out", "reason": "slow", "since": 1});
    assert_eq!(volume::state(&out), "out: slow");
}

#[test]
fn the_list_of_accounts_fits_a_terminal() {
    let list = json!([{
        "account_id": "AAA-AAA-AAAZ", "name": "Shoes and hats", "time_zone": "Asia/Kolkata",
        "created_at": "2026-09-21T10:00:00.000Z", "retention_days": 365,
        "request_retention_days": 90, "uploads_max": 15, "calls_max": 3,
    }]);
    expect![[r#"
        ACCOUNT       NAME            TIME ZONE     EVENTS, DAYS  LOG, DAYS
        AAA-AAA-AAAZ  Shoes and hats  Asia/Kolkata           365         90
    "#]]
    .assert_eq(&Table::of(&list, account::ACCOUNTS).render(Paint::off()));
}

#[test]
fn a_receipt_for_people_counts_what_was_replaced() {
    let part = json!({"part": "p1", "rows": 9, "path_sha256": "ab"});
    let said = json!({"version": 1, "replaced": [part, part]});
    let shown = receipt::in_short(said);
    assert_eq!(shown, json!({"version": 1, "replaced": 2}));
    // What is no receipt is shown as it is.
    assert_eq!(receipt::in_short(json!(null)), json!(null));
}

#[test]
fn of_a_signer_only_what_is_known_is_said() {
    let says = |found: &VerifiedReceipt| receipt::report(json!(null), found);
    let mut found = VerifiedReceipt {
        receipt: None,
        signer_checked: false,
        findings: vec!["it is no receipt".to_owned()],
    };
    assert_eq!(says(&found), "");
    found.receipt = Some(RawJson::empty_object());
    let unchecked = "The signer was not checked: give the installation's key with --key.\n";
    assert_eq!(says(&found), unchecked);
    // Signed by another key than the one given.
    found.signer_checked = true;
    assert_eq!(says(&found), "");
    found.findings.clear();
    assert!(says(&found).starts_with("The signer is the key given.\n"));
}

#[test]
fn an_empty_list_that_is_asked_is_not_said_to_let_everybody_in() {
    for (console, api, says) in [
        (false, false, "every address may come in"),
        (true, true, "nobody may come in"),
        (true, false, "nobody may sign in"),
        (false, true, "no program may call"),
    ] {
        let list = json!({"account_id": "0", "console": console, "api": api});
        let said = access::without_networks(&list);
        assert!(said.contains(says), "{console} {api}: {said}");
    }
}
