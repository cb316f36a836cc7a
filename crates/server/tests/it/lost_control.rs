//! The control database's files are derived from the volumes: losing them loses nothing.

use serde_json::json;

use crate::harness::{Installation, files};

#[tokio::test]
async fn the_control_database_is_rebuilt_from_the_volumes() {
    let room = Installation::new();
    let (first, second) = (room.account("first"), room.account("second"));
    let server = room.serve();
    let client = server.client(&first);
    let event = |identity: &str| json!({"type":"event","identity":identity,"evtName":"Seen"});
    client
        .upload(vec![event("keep"), event("remove"), event("keep")])
        .await;
    server.client(&second).upload(vec![event("keep")]).await;
    let deleted = client
        .post("/1/delete/profiles.json", json!({"identity": "remove"}))
        .await;
    assert_eq!(deleted.body, json!({"status": "success"}));
    assert!(room.run(&["job", "run", "flush"]).status.success());
    client.upload(vec![event("late")]).await;
    let accounts = room.json(&["account", "list"]);
    server.kill();

    let databases: Vec<_> = files(&room.root())
        .into_iter()
        .filter(|path| !path.starts_with(room.root().join("volumes")))
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.contains(".db") || name.contains(".sqlite")
        })
        .collect();
    assert!(databases.len() >= 2, "{databases:?}");
    for path in databases {
        std::fs::remove_file(path).unwrap();
    }

    let server = room.serve();
    assert_eq!(room.json(&["account", "list"]), accounts);
    assert_eq!(room.count(&first, "SELECT count(*) FROM events"), 3);
    assert_eq!(room.count(&second, "SELECT count(*) FROM events"), 1);
    let client = server.client(&first);
    // The old credentials still open the account, and the deletion still holds.
    client.upload(vec![event("remove")]).await;
    assert_eq!(room.count(&first, "SELECT count(*) FROM events"), 3);
    let shown = client.get("/1/profile.json?identity=remove").await;
    assert!(shown.body["record"].is_null(), "{shown:?}");
}
