//! Who has opted out is written down with the parts that hold it, and outlives the disk.

use model::catalog::{Catalog as _, Consumed, Publication};
use model::opt_out::OptOut;
use model::{AccountId, ErrorKind, PersonKey, Timestamp, WriterId};

use super::support::{Faulty, World};
use crate::Control;

const WRITER: WriterId = WriterId { node: 1, start: 1 };

fn said(device: u8, is_out: bool, second: i64) -> OptOut {
    let id: AccountId = "AAA-AAA-AAAZ".parse().unwrap();
    OptOut {
        account: id,
        device: PersonKey([device; 16]),
        is_out,
        at: Timestamp::from_seconds(second),
    }
}

fn publication(from: u64, opt_outs: Vec<OptOut>) -> Publication {
    Publication {
        consumed: vec![Consumed {
            writer: WRITER,
            from,
            to: from + 1,
        }],
        opt_outs,
        ..Publication::default()
    }
}

async fn out(control: &Control) -> Vec<(u8, i64)> {
    let all = control.opted_out().await.unwrap().into_iter();
    let mut all: Vec<_> = all
        .filter(|it| it.is_out)
        .map(|it| (it.device.0[0], it.at.seconds()))
        .collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn who_has_opted_out_stays_so_until_they_opt_in_later() {
    let world = World::new(430);
    let store = Faulty::new();
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    let first = vec![
        said(1, true, 10),
        said(2, true, 10),
        said(2, false, 11),
        said(3, true, 10),
        said(3, true, 9),
        said(4, false, 10),
    ];
    control.publish(publication(0, first)).await.unwrap();
    assert_eq!(out(&control).await, [(1, 10), (3, 10)]);
    // What belongs to a publication that does not happen does not happen either.
    let stale = publication(0, vec![said(5, true, 10), said(1, false, 20)]);
    let error = control.publish(stale).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert_eq!(out(&control).await, [(1, 10), (3, 10)]);
    // A request of before the opting out, sent again, does not end it; one of the same time came after it.
    let second = vec![said(1, false, 9), said(3, false, 10), said(2, true, 12)];
    control.publish(publication(1, second)).await.unwrap();
    // Nor does an opting out of before end an opting in, whether it was known when that came or not.
    let third = vec![said(3, true, 9), said(4, true, 9), said(4, false, 8)];
    control.publish(publication(2, third)).await.unwrap();
    drop(control);
    let elsewhere = tempfile::tempdir().unwrap();
    let (control, _) = world.open(elsewhere.path(), store).await.unwrap();
    assert_eq!(out(&control).await, [(1, 10), (2, 12)]);
}
