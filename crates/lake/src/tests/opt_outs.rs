//! What devices say about opting out travels with the records that say it.

use model::opt_out::OptOut;
use model::record::{Change, ChangeOp, ProfileChange, Record, Source};
use model::{RawJson, Timestamp};

use super::world::{World, account, person, run, small, without};

#[test]
fn opting_out_travels_with_the_publication_in_order_and_of_hidden_people_too() {
    run(async {
        let world = World::new(small());
        world.catalog.set_ledger(model::LedgerPosition(3));
        let at = Timestamp::from_seconds(1_700_000_000);
        let said = |number: u8, value: &str| {
            let step = Change {
                property: "ct_optout".into(),
                op: ChangeOp::Put,
                value: RawJson::parse(value).unwrap(),
            };
            Record::ProfileChange(ProfileChange {
                id: world.id(),
                person: person(number),
                ts: at,
                received_at: at,
                source: Source::Android,
                changes: vec![step],
            })
        };
        let told = |number: u8, is_out: bool| OptOut {
            account: account(1),
            device: person(number),
            is_out,
            at,
        };
        let records = vec![said(2, "true"), said(1, "true"), said(2, "false")];
        let keep = without(&[person(1)], 3);
        let report = world.flush(account(1), records, &keep).await.unwrap();
        assert_eq!((report.rows, report.suppressed), (2, 1));
        let expect = [told(2, true), told(1, true), told(2, false)];
        assert_eq!(world.catalog.opt_outs(), expect);
    });
}
