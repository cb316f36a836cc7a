//! What a deletion leaves behind: everything that is live, and nothing else.

use control::LedgerKey;
use model::PersonKey;
use model::catalog::Catalog as _;
use model::record::Table;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;

use crate::jobs::{self, Job};
use crate::testing::{Folder, operator};

#[tokio::test]
async fn objects_that_no_list_names_go_however_young_and_live_ones_open() {
    let folder = Folder::new().await;
    let installation = folder.open(|_| {}).await;
    let (control, store) = (installation.control(), installation.store());
    let made = control.create_account(operator(), "a", "UTC").await;
    let account = made.unwrap().account_id;
    // As after a kill between the key's being written down and the publication.
    let orphan = Path::from("lake/orphan");
    store.put(&orphan, "x".into()).await.unwrap();
    installation.keys().record().await.unwrap();

    let keys = vec![LedgerKey::whole(PersonKey([1; 16]))];
    let ordered = control.request_deletion(operator(), account, keys, "a test");
    ordered.await.unwrap();
    let report = jobs::run(&installation, Job::Deletion).await.unwrap();
    assert_eq!(report["completed"], 1, "{report}");
    assert_eq!(report["objects"], 1, "{report}");
    assert!(store.get(&orphan).await.is_err());

    // The line of the request log that the job itself wrote, at least.
    let live = control.view(None, &Table::ALL).await.unwrap().parts;
    assert!(!live.is_empty());
    for part in live {
        let found = store.get(&Path::from(part.path.as_str())).await.unwrap();
        assert!(!found.bytes().await.unwrap().is_empty());
    }
    installation.close().await.unwrap();
}
