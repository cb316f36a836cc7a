//! Who may do what, as an operator arranges it: passcodes with terms, users, roles.

use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::{Installation, text};

#[tokio::test]
async fn a_passcode_is_held_to_its_terms_and_its_end_is_seen_at_once() {
    let room = Installation::new();
    let account = room.account("shop");
    let server = room.serve();
    let make = |name: &str, words: &[&str]| {
        let common = ["credential", "create", "--account", &account.id, name];
        let made = room.json(&[&common[..], words].concat());
        made["passcode"].as_str().unwrap().to_owned()
    };
    let status = async |passcode: &str, path: &str| {
        let client = server.client(&account);
        let request = client
            .anonymous("POST", path)
            .header("X-CleverTap-Account-Id", &account.id)
            .header("X-CleverTap-Passcode", passcode.to_owned())
            .body(r#"{"d":[]}"#);
        Client::send(request).await.unwrap().status
    };
    let loopback = make("here", &["--network", "127.0.0.0/8", "--network", "::1"]);
    let elsewhere = make("elsewhere", &["--network", "192.0.2.0/24"]);
    let reader = make("reader", &["--scopes", "read", "--days", "30"]);
    assert_eq!(status(&loopback, "/1/upload").await, 200);
    assert_eq!(status(&elsewhere, "/1/upload").await, 401);
    assert_eq!(status(&reader, "/1/upload").await, 403);
    assert_eq!(status(&reader, "/1/delete/profiles.json").await, 403);

    let revoke = ["credential", "revoke", "--account", &account.id, "here"];
    room.json(&revoke);
    assert_eq!(status(&loopback, "/1/upload").await, 401);
    let list = room.json(&["credential", "list", "--account", &account.id]);
    let shown: Vec<(&Value, &Value)> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (&it["name"], &it["scopes"]))
        .collect();
    assert_eq!(shown[3], (&json!("reader"), &json!("read")));
    assert!(!list.to_string().contains(&reader));
    let wrong = ["credential", "create", "--account", &account.id, "x"];
    for words in [["--network", "nowhere"], ["--scopes", "everything"]] {
        let output = room.run(&[&wrong[..], &words].concat());
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    }
}

#[test]
fn users_and_roles_are_arranged_from_the_host() {
    let room = Installation::new();
    let account = room.account("shop");
    let place = ["--account", &account.id];
    let done = |words: &[&str]| room.json(&[words, &place].concat());
    let refused = |words: &[&str]| {
        let output = room.run(&[words, &place].concat());
        output.status.code()
    };
    done(&["user", "invite", "ann@example.com", "--role", "admin"]);
    done(&["role", "set", "desk", "people=read,quarantine=write"]);
    done(&[
        "user",
        "invite",
        "bob@example.com",
        "--name",
        "Bob",
        "--role",
        "desk",
        "--days",
        "7",
    ]);
    let users = done(&["user", "list"]);
    assert_eq!(users[0]["grants"][0]["role"], "admin");
    assert_eq!(users[1]["name"], "Bob");
    assert!(users[1]["grants"][0]["expires_at"].is_string());
    // The last Admin stays; a role that somebody has stays.
    let withdraw = ["user", "withdraw", "ann@example.com", "--role", "admin"];
    assert_eq!(refused(&withdraw), Some(4));
    assert_eq!(refused(&["user", "revoke", "ann@example.com"]), Some(4));
    assert_eq!(refused(&["role", "delete", "desk"]), Some(4));
    assert_eq!(refused(&["role", "set", "x", "everything"]), Some(2));
    assert_eq!(
        refused(&["user", "invite", "x@example.com", "--role", "operator"]),
        Some(2)
    );
    assert_eq!(refused(&["user", "revoke", "nobody@example.com"]), Some(3));
    done(&["user", "grant", "bob@example.com", "--role", "admin"]);
    done(&withdraw);
    let roles = done(&["role", "list"]);
    assert_eq!(roles.as_array().unwrap().len(), 6);
    let log = done(&["audit", "list", "--action", "role.withdrawn"]);
    assert_eq!(log[0]["description"], "admin");
}
