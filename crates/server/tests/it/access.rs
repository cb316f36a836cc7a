//! Who may do what, as an operator arranges it: passcodes with terms, users, roles.

use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::{Account, Installation, text};

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

/// Follows a link as a browser does, as far as the password: the role counts from then on.
async fn follow(room: &Installation, account: &Account, url: &str) {
    let server = room.serve();
    let address = server.address("console");
    let client = Client::new(address, &room.ca(), account.clone());
    let (_, token) = url.split_once("/link/").unwrap();
    let form = "name=Ann&password=a+lamp+beside+nine+walnuts&terms=yes&csrf=";
    let request = client
        .anonymous("POST", &format!("/link/{token}"))
        .header("Origin", format!("https://{address}"))
        .header("Content-Type", "application/x-www-form-urlencoded");
    let answer = Client::send(request.body(form)).await.unwrap();
    assert!(answer.status < 400, "{answer:?}");
    server.stop();
}

#[tokio::test]
async fn users_and_roles_are_arranged_from_the_host() {
    let room = Installation::new();
    let account = room.account("shop");
    let place = ["--account", &account.id];
    let done = |words: &[&str]| room.json(&[words, &place].concat());
    let refused = |words: &[&str]| {
        let output = room.run(&[words, &place].concat());
        output.status.code()
    };
    let invited = done(&["user", "invite", "ann@example.com", "--role", "admin"]);
    follow(&room, &account, invited["setup_url"].as_str().unwrap()).await;
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
    // Bob has not followed his link: he is no Admin to rely on, whatever he is given.
    done(&["user", "grant", "bob@example.com", "--role", "admin"]);
    assert_eq!(refused(&withdraw), Some(4));
    let again = done(&["user", "invite", "bob@example.com", "--role", "admin"]);
    follow(&room, &account, again["setup_url"].as_str().unwrap()).await;
    done(&withdraw);
    let roles = done(&["role", "list"]);
    assert_eq!(roles.as_array().unwrap().len(), 6);
    let log = done(&["audit", "list", "--action", "role.withdrawn"]);
    assert_eq!(log[0]["description"], "admin");
}
