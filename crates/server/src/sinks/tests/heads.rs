//! The names of the batches in which signed heads come.

use super::{Receiver, account, act, open, sink};
use crate::testing::Folder;

/// Those that a receiver took, in their order.
fn taken(receiver: &Receiver) -> Vec<String> {
    let taken = receiver.heads.lock().unwrap();
    let names = taken.iter().map(|it| it["strongroom-batch"].to_str());
    let names = names.map(|it| it.unwrap().to_owned());
    names.filter(|it| it.starts_with("heads")).collect()
}

#[tokio::test]
async fn other_heads_come_under_another_name_and_the_same_ones_under_the_same() {
    let folder = Folder::new().await;
    let (receiver, url) = Receiver::start().await;
    let sinks = [sink("siem", url)];
    let installation = open(&folder, &sinks).await;
    let mut accounts = Vec::new();
    for _ in 0..4 {
        accounts.push(account(&installation).await);
    }
    for _ in 0..2 {
        for account in &accounts {
            act(&installation, *account).await.unwrap();
        }
        installation.heads().publish_all().await.unwrap();
        installation.sinks().turn().await.unwrap();
    }
    installation.close().await.unwrap();
    drop(installation);
    // Which heads it has taken is not written down: all come again.
    let installation = open(&folder, &sinks).await;
    installation.sinks().turn().await.unwrap();
    let names = taken(&receiver);
    let [first, second, again] = &names[..] else {
        panic!("{names:?}");
    };
    assert_ne!(first, second);
    assert_eq!(second, again);
}
