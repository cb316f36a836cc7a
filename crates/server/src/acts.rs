//! Every kind of act that the product offers, and what it leaves in the audit log: the routes of the
//! api plane, the pages of the console, the operators' paths, the commands.
//!
//! The rows are made of the tables that the routers are made of, and of the tree of commands; a command
//! without an expectation fails here. The table is written out as `audit_acts.txt`, for review.

use clap::CommandFactory as _;
use control::{Action, Audit, Unaudited};
use expect_test::expect_file;
use std::collections::BTreeSet;

use crate::cli::Arguments;
use crate::listen::OPS_ROUTES;

const fn leaves(action: &'static [Action]) -> Audit {
    Audit::Entries(action)
}

/// What each command leaves. A job that is run by hand leaves what the job itself leaves besides.
#[rustfmt::skip]
const COMMANDS: &[(&str, Audit)] = &[
    ("demo", Audit::NothingAs(Unaudited::OfOthers)),
    ("init", leaves(&[Action::NodeStarted, Action::LinkCreated])),
    ("serve", leaves(&[Action::NodeStarted])),
    ("account create", leaves(&[Action::AccountCreated, Action::LinkCreated])),
    ("account list", Audit::Nothing),
    ("account show", Audit::Nothing),
    ("account domains", leaves(&[Action::DomainsChanged])),
    ("account encryption", leaves(&[Action::EncryptionChanged])),
    ("account sessions", leaves(&[Action::SessionLimitsChanged])),
    ("account reveals", leaves(&[Action::RevealQuotaChanged])),
    ("account retention", leaves(&[Action::RetentionChanged])),
    ("account limits", leaves(&[Action::LimitsChanged])),
    ("account api-key create", leaves(&[Action::ApiKeyCreated])),
    ("account api-key list", Audit::Nothing),
    ("account api-key rotate", leaves(&[Action::ApiKeyCreated, Action::ApiKeyRetired])),
    ("account api-key retire", leaves(&[Action::ApiKeyRetired])),
    ("account api-key answers", leaves(&[Action::ApiEncryptionChanged])),
    ("account api-key policy", leaves(&[Action::ApiEncryptionChanged])),
    ("dictionary show", Audit::Nothing),
    ("dictionary list", Audit::Nothing),
    ("dictionary define", leaves(&[Action::DictionaryChanged])),
    ("dictionary property", leaves(&[Action::DictionaryChanged])),
    ("dictionary forget-property", leaves(&[Action::DictionaryChanged])),
    ("dictionary discard", leaves(&[Action::DictionaryChanged])),
    ("dictionary forget", leaves(&[Action::DictionaryChanged])),
    ("dictionary policy", leaves(&[Action::DictionaryChanged])),
    ("dictionary class", leaves(&[Action::DictionaryChanged])),
    ("dictionary mask", leaves(&[Action::DictionaryChanged])),
    ("errors list", Audit::Nothing),
    ("user list", Audit::Nothing),
    ("user invite", leaves(&[Action::UserInvited])),
    ("user resend", leaves(&[Action::UserInvited])),
    ("user disable", leaves(&[Action::UserDisabled, Action::SessionEnded])),
    ("user enable", leaves(&[Action::UserEnabled])),
    ("user grant", leaves(&[Action::RoleGranted])),
    ("user withdraw", leaves(&[Action::RoleWithdrawn, Action::SessionEnded])),
    ("user revoke", leaves(&[Action::UserRevoked, Action::SessionEnded])),
    ("user unlock", leaves(&[Action::UserUnlocked])),
    ("user reset-factors", leaves(&[Action::FactorReset])),
    ("user setup-link", leaves(&[Action::LinkCreated])),
    ("user outbox", leaves(&[Action::OutboxRead])),
    ("access show", Audit::Nothing),
    ("access change", leaves(&[Action::AllowlistChanged])),
    ("access unlock", leaves(&[Action::AllowlistChanged])),
    ("role list", Audit::Nothing),
    ("role set", leaves(&[Action::RoleChanged])),
    ("role delete", leaves(&[Action::RoleDeleted])),
    ("credential create", leaves(&[Action::PasscodeCreated])),
    ("credential list", Audit::Nothing),
    ("credential rotate-token", leaves(&[Action::SdkTokenRotated])),
    ("credential end-token", leaves(&[Action::SdkTokenEnded])),
    ("credential revoke", leaves(&[Action::PasscodeRevoked])),
    ("query", leaves(&[Action::QueryRun])),
    ("person show", leaves(&[Action::PersonShown])),
    ("person restrict", leaves(&[Action::PersonRestricted])),
    ("person lift", leaves(&[Action::RestrictionLifted])),
    ("person restrictions", Audit::Nothing),
    ("person delete", leaves(&[Action::DeletionRequested])),
    ("person deletions", Audit::Nothing),
    ("person cancel-deletion", leaves(&[Action::DeletionCancelled])),
    ("person receipt", Audit::Nothing),
    ("person verify-receipt", Audit::NothingAs(Unaudited::Offline)),
    ("export", leaves(&[Action::Exported])),
    ("audit list", leaves(&[Action::AuditRead])),
    ("audit export", leaves(&[Action::AuditExported])),
    ("audit verify", Audit::NothingAs(Unaudited::Offline)),
    ("audit key", Audit::Nothing),
    ("audit sinks", Audit::Nothing),
    ("drops list", Audit::Nothing),
    ("drops show", leaves(&[Action::DropsRead])),
    ("drops review", leaves(&[Action::DropsReviewed])),
    ("requests search", leaves(&[Action::RequestsRead])),
    ("quarantine list", leaves(&[Action::QuarantineRead])),
    ("quarantine show", leaves(&[Action::QuarantineRead])),
    ("quarantine replay", leaves(&[Action::QuarantineReplayed])),
    ("quarantine delete", leaves(&[Action::QuarantineDeleted])),
    ("volume status", Audit::Nothing),
    ("job run", leaves(&[Action::JobRun])),
    ("version", Audit::NothingAs(Unaudited::Offline)),
];

/// The commands that do something, each as it is typed.
fn leaf_commands() -> Vec<String> {
    fn walk(command: &clap::Command, before: &str, found: &mut Vec<String>) {
        let mut is_leaf = true;
        for sub in command
            .get_subcommands()
            .filter(|it| it.get_name() != "help")
        {
            is_leaf = false;
            let path = format!("{before} {}", sub.get_name());
            walk(sub, path.trim_start(), found);
        }
        if is_leaf {
            found.push(before.to_owned());
        }
    }
    let mut found = Vec::new();
    walk(&Arguments::command(), "", &mut found);
    found
}

#[test]
fn every_command_states_what_it_leaves_in_the_audit_log() {
    let there: BTreeSet<String> = leaf_commands().into_iter().collect();
    let stated: BTreeSet<String> = COMMANDS.iter().map(|it| it.0.to_owned()).collect();
    assert_eq!(stated.len(), COMMANDS.len(), "each once");
    let missing: Vec<&String> = there.difference(&stated).collect();
    assert!(
        missing.is_empty(),
        "commands without an expectation: {missing:?}"
    );
    let gone: Vec<&String> = stated.difference(&there).collect();
    assert!(
        gone.is_empty(),
        "expectations of commands that are not there: {gone:?}"
    );
}

#[test]
fn the_table_of_acts() {
    let mut lines = Vec::new();
    let of_api = web::ROUTES.into_iter().chain(web::management_routes());
    for route in of_api.chain(web::console_routes()) {
        let act = format!("{} {}", route.method, route.pattern);
        lines.push((route.plane.as_str(), act, route.audit));
    }
    for route in &OPS_ROUTES {
        lines.push(("ops", format!("GET {}", route.path), route.audit));
    }
    for command in leaf_commands() {
        let found = COMMANDS.iter().find(|it| it.0 == command);
        let audit = found.map(|it| it.1);
        lines.push(("command", command, audit.unwrap_or(Audit::Nothing)));
    }
    let lines: Vec<String> = lines
        .into_iter()
        .map(|(place, act, audit)| format!("{place:8}{act:50}  {}\n", audit.words()))
        .collect();
    expect_file!["../audit_acts.txt"].assert_eq(&lines.concat());
}
