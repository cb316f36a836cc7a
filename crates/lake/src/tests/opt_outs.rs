//! What devices say about opting out travels with the records that say it.

use model::opt_out::OptOut;
use model::record::{Change, ChangeOp, ProfileChange, Record, Source};
use model::{RawJson, Timestamp};

use super::world::{World, account, person, run, small, without};

#[test]
fn what_each_device_said_last_travels_with_the_publication_and_of_hidden_people_too() {
    run(async {
        let world = World::new(small());
        world.catalog.set_ledger(model::LedgerPosition(3));
        let at = |second: i64| Timestamp::from_seconds(1_700_000_000 + second);
        let said = |number: u8, value: &str, second: i64| {
            let step = Change {
                property: "ct_optout".into(),
                op: ChangeOp::Put,
                value: RawJson::parse(value).unwrap(),
            };
            Record::ProfileChange(ProfileChange {
                id: world.id(),
                person: person(number),
                ts: at(second),
                received_at: at(second),
                source: Source::Android,
                changes: vec![step],
            })
        };
        let told = |number: u8, is_out: bool, second: i64| OptOut {
            account: account(1),
            device: person(number),
            is_out,
            at: at(second),
        };
        let records = vec![
            said(2, "true", 1),
            said(1, "true", 2),
            said(2, "false", 3),
            said(2, "true", 0),
            said(2, "true", 3),
            said(2, "false", 3),
        ];
        let keep = without(&[person(1)], 3);
        let report = world.flush(account(1), records, &keep).await.unwrap();
        assert_eq!((report.rows, report.suppressed), (5, 1));
        let expect = [told(1, true, 2), told(2, false, 3)];
        assert_eq!(world.catalog.opt_outs(), expect);
    });
}
