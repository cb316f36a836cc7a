//! What keeps parts from being merged.

use model::PersonKey;
use model::catalog::Catalog as _;
use model::record::Table;

use crate::jobs::tests::{account, append, event, lose_part};
use crate::jobs::{self, Job};
use crate::testing::Folder;

#[tokio::test]
async fn a_part_that_is_lost_keeps_the_parts_of_its_account_alone() {
    let folder = Folder::new().await;
    let installation = folder.open(|_| {}).await;
    let mut accounts = [
        account(&installation, "a").await,
        account(&installation, "b").await,
    ];
    accounts.sort_unstable();
    for number in 1..=4 {
        let person = PersonKey([number; 16]);
        let events = accounts.map(|account| event(&folder, account, number.into(), person));
        append(&installation, events.to_vec()).await;
        Box::pin(jobs::run(&installation, Job::Flush))
            .await
            .unwrap();
    }
    // The one whose turn comes first.
    let [broken, sound] = accounts;
    lose_part(&folder, &installation, broken, Table::Events).await;
    let error = Box::pin(jobs::run(&installation, Job::Compaction))
        .await
        .unwrap_err();
    let said = format!("{error:#}");
    assert!(said.contains(broken.as_str()), "{said}");
    let control = installation.control();
    let view = control.view(Some(sound), &[Table::Events]).await.unwrap();
    assert_eq!(view.parts.len(), 1);
}
