//! Who is out, and until when.

use model::opt_out::OptOut;
use model::{AccountId, PersonKey, Timestamp};

use super::OptedOut;

fn account(id: &str) -> AccountId {
    id.parse().unwrap()
}

fn said(device: u8, is_out: bool, second: i64) -> OptOut {
    OptOut {
        account: account("A"),
        device: PersonKey([device; 16]),
        is_out,
        at: Timestamp::from_seconds(second),
    }
}

fn is_out(table: &OptedOut, device: u8) -> bool {
    let key = || PersonKey([device; 16]);
    table.since(account("A"), key).is_some()
}

#[test]
fn a_device_is_out_until_it_opts_in_that_was_not_said_before_it_opted_out() {
    let cases: [(&[(bool, i64)], bool); 11] = [
        (&[], false),
        (&[(true, 5)], true),
        (&[(true, 5), (false, 6)], false),
        (&[(true, 5), (false, 5)], false),
        (&[(true, 5), (false, 5), (true, 5)], true),
        (&[(true, 5), (false, 4)], true),
        (&[(true, 5), (true, 3), (false, 4)], true),
        (&[(true, 5), (false, 6), (true, 7)], true),
        (&[(true, 5), (false, 7), (true, 5), (true, 6)], false),
        (&[(false, 9), (false, 3), (true, 5)], false),
        (&[(false, 9), (true, 5)], false),
    ];
    for (sequence, expect) in cases {
        let table = OptedOut::default();
        for (out, second) in sequence {
            assert_eq!(table.remember(&[said(1, *out, *second)]), 0);
        }
        assert_eq!(is_out(&table, 1), expect, "{sequence:?}");
        let is_back = table.is_back(account("A"), PersonKey([1; 16]));
        assert_eq!(is_back, !sequence.is_empty() && !expect, "{sequence:?}");
        assert!(!is_out(&table, 2), "{sequence:?}");
        let other = || PersonKey([1; 16]);
        assert_eq!(table.since(account("B"), other), None);
    }
}

#[test]
fn a_key_is_worked_out_only_where_somebody_is_out() {
    let table = OptedOut::default();
    let never = || -> PersonKey { panic!("nobody in the account is out") };
    assert_eq!(table.since(account("A"), never), None);
    table.remember(&[said(1, true, 1), said(1, false, 2)]);
    assert_eq!(table.since(account("A"), never), None);
}

#[test]
fn what_finds_no_room_is_counted_and_takes_nobody_s_place() {
    let table = OptedOut::with_room(2);
    let all = [said(1, true, 1), said(2, true, 1), said(3, true, 1)];
    assert_eq!(table.remember(&all), 1);
    assert_eq!([1, 2, 3].map(|it| is_out(&table, it)), [true, true, false]);
    assert_eq!(table.remember(&[said(1, true, 2)]), 0);
    assert_eq!(table.remember(&[said(1, false, 3), said(3, true, 3)]), 0);
    assert_eq!([1, 2, 3].map(|it| is_out(&table, it)), [false, true, true]);
    // Whoever opts in takes no place of theirs, and is not counted.
    let back = [4, 5, 6].map(|it| said(it, false, 4));
    assert_eq!(table.remember(&back), 0);
    assert_eq!([1, 2, 3].map(|it| is_out(&table, it)), [false, true, true]);
}
