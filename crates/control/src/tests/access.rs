//! Who may do what.

use crate::Actor;
use crate::authz::{Act, allows};
use model::AccountId;

fn check(actor: &Actor, account: &str, expect: &[Act]) {
    let account: AccountId = account.parse().unwrap();
    let found: Vec<Act> = Act::ALL
        .into_iter()
        .filter(|act| allows(actor, *act, account))
        .collect();
    assert_eq!(found, expect, "{actor:?} in {account}");
}

#[test]
fn the_operator_may_do_everything_everywhere() {
    check(&Actor::os_user("olga"), "AAA", &Act::ALL);
    check(&Actor::os_user("olga"), "0", &Act::ALL);
}

#[test]
fn a_passcode_reads_and_deletes_in_its_own_account_only() {
    let actor = Actor::passcode("AAA".parse().unwrap(), "default");
    check(
        &actor,
        "AAA",
        &[Act::ReadAccount, Act::DeletePeople, Act::ReadPeople],
    );
    check(&actor, "BBB", &[]);
    check(&actor, "0", &[]);
}

#[test]
fn a_job_carries_out_what_people_ordered_and_orders_nothing() {
    let expect = [
        Act::ManageInstallation,
        Act::ReadAccount,
        Act::CarryOutDeletion,
        Act::ReadPeople,
    ];
    check(&Actor::system("deletion"), "AAA", &expect);
}
