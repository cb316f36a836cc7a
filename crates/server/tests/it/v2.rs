//! The management API as a stranger's tool sees it: `schemathesis` reads the document and tries
//! whatever it allows and forbids.

use serde_json::json;
use std::process::Command;

use crate::harness::{Account, Installation, peers, text};

/// Every right but the installation's, and every scope.
const EVERYTHING: &str = "api,analysis=write,people=write,personal_information=write,exports=write,\
    dictionary=write,quarantine=write,privacy_requests=write,audit_log=write,request_log=write,\
    users=write,roles=write,security=write,credentials=write,support=write";

const DOCUMENT: &str = "/v2/openapi.json";
/// Inputs for each operation, unless `STRONGROOM_EXAMPLES` says another number: 200 take minutes.
const EXAMPLES: &str = "50";

#[tokio::test]
async fn what_the_document_says_is_what_is_answered() {
    let room = Installation::new();
    let account = room.account("shop");
    let server = room.serve();
    let client = server.client(&account);
    let upload = json!({"d": [
        {"type": "profile", "identity": "ann", "profileData": {"Name": "Ann", "Email": "ann@example.com"}},
        {"type": "event", "identity": "ann", "evtName": "Bought", "evtData": {"What": "shoe", "Price": 12.5}},
        {"type": "event", "identity": "ann", "evtName": "Old", "ts": 1000, "evtData": {}}
    ]});
    assert_eq!(client.post("/1/upload", upload).await.status, 200);
    let words = [
        "credential",
        "create",
        "--account",
        &account.id,
        "--scopes",
        EVERYTHING,
        "everything",
    ];
    let made = room.json(&words);
    let caller = Account {
        passcode: made["passcode"].as_str().unwrap().to_owned(),
        ..account.clone()
    };

    let folder = tempfile::tempdir().unwrap();
    let configuration = std::fs::canonicalize("tests/clients/schemathesis.toml").unwrap();
    let port = server.address("api").port();
    let examples = std::env::var("STRONGROOM_EXAMPLES");
    let examples = examples.as_deref().unwrap_or(EXAMPLES);
    let output = Command::new(peers().join("python/bin/schemathesis"))
        .current_dir(folder.path())
        .arg("--no-color")
        .arg("--config-file")
        .arg(configuration)
        .arg("run")
        .arg(format!("https://localhost:{port}{DOCUMENT}"))
        .arg("--tls-verify")
        .arg(room.ca())
        .args(["-H", &format!("X-CleverTap-Account-Id:{}", caller.id)])
        .args(["-H", &format!("X-CleverTap-Passcode:{}", caller.passcode)])
        .args(["--checks", "all", "--max-examples", examples])
        .args(["--workers", "2", "--generation-deterministic"])
        .output()
        .unwrap();
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", text(&output.stderr));
    // All but the one that it has read the document by.
    let operations = web::management_routes().filter(|it| it.pattern != DOCUMENT);
    let operations = operations.count();
    assert!(said.contains(&format!("Tested: {operations}")), "{said}");
    let log = room.json(&["audit", "list", "--account", &account.id]);
    assert!(log.as_array().is_some_and(|it| !it.is_empty()));
}
