//! What the listeners offer, judged by programs that are not ours.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::harness::{Installation, peers, text};

#[test]
fn every_tls_listener_is_compliant_with_the_intermediate_profile() {
    let room = Installation::new();
    let server = room.serve();
    for plane in ["collect", "api", "console"] {
        let target = format!("localhost:{}", server.address(plane).port());
        let output = Command::new(peers().join("python/bin/sslyze"))
            .args(["--certinfo", "--certinfo_ca_file"])
            .arg(room.ca())
            .args(["--mozilla_config=intermediate", &target])
            .output()
            .unwrap();
        let report = text(&output.stdout);
        assert!(
            output.status.success(),
            "{plane}\n{report}\n{}",
            text(&output.stderr)
        );
        assert!(report.contains("OK - Compliant"), "{plane}\n{report}");
    }
}

#[test]
fn old_versions_are_refused_and_logged() {
    let room = Installation::new();
    let server = room.serve();
    let account = room.account("tls");
    for version in ["-tls1_1", "-tls1"] {
        let output = openssl(&[
            "s_client",
            "-connect",
            &server.address("api").to_string(),
            version,
            "-cipher",
            "ALL:@SECLEVEL=0",
        ]);
        assert!(output.contains("alert protocol version"), "{output}");
    }
    for version in ["-tls1_2", "-tls1_3"] {
        let output = openssl(&[
            "s_client",
            "-connect",
            &server.address("api").to_string(),
            version,
        ]);
        assert!(output.contains("Cipher is"), "{output}");
    }
    // Lines that nobody waits for ride in the next commit, at the latest when the server stops.
    assert!(server.stop().success());
    let sql = "SELECT tls_version, reason, count(*) AS times FROM requests \
               WHERE outcome = 'dropped' GROUP BY 1, 2 ORDER BY 1";
    let installation = crate::harness::Account {
        id: "0".to_owned(),
        ..account
    };
    let rows = room.query(&installation, sql);
    let versions: Vec<_> = rows
        .iter()
        .filter_map(|row| row["tls_version"].as_str())
        .collect();
    assert!(
        versions.contains(&"1.0") && versions.contains(&"1.1"),
        "{rows:?}"
    );
}

#[test]
fn clients_with_only_rsa_or_only_ecdsa_are_both_served() {
    let room = Installation::new();
    let server = room.serve();
    let connect = server.address("api").to_string();
    for (schemes, kind) in [
        ("RSA-PSS+SHA256:RSA+SHA256", "RSA"),
        ("ECDSA+SHA256", "ECDSA"),
    ] {
        for version in ["-tls1_2", "-tls1_3"] {
            let output = openssl(&[
                "s_client",
                "-connect",
                &connect,
                version,
                "-sigalgs",
                schemes,
                "-CAfile",
                room.ca().to_str().unwrap(),
                "-verify_return_error",
                "-verify_hostname",
                "localhost",
            ]);
            assert!(
                output.contains("Verify return code: 0 (ok)"),
                "{kind} {version}\n{output}"
            );
            assert!(
                output.to_uppercase().contains(kind),
                "{kind} {version}\n{output}"
            );
        }
    }
}

fn openssl(arguments: &[&str]) -> String {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // `Q` ends s_client once it is connected; a refused one has gone already.
    drop(child.stdin.take().unwrap().write_all(b"Q\n"));
    let output = child.wait_with_output().unwrap();
    text(&output.stdout) + &text(&output.stderr)
}
