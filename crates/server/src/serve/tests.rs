//! What phones are told.

use super::public_name;
use crate::config::{Config, Loaded, Pair, Tls};
use crate::tls::Certificates;
use model::Timestamp;
use model::record::Plane;
use rcgen::{CertificateParams, KeyPair};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// A configuration under which all planes show a certificate of the operator's own, for these names.
fn with_own(folder: &Path, names: &[&str]) -> Loaded {
    let names: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = rcgen::date_time_ymd(2_020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2_050, 1, 1);
    let key = KeyPair::generate().unwrap();
    let pair = Pair {
        certificate: folder.join("own.pem"),
        key: folder.join("own.key"),
    };
    std::fs::write(&pair.certificate, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&pair.key, key.serialize_pem()).unwrap();
    std::fs::set_permissions(&pair.key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let tls = Tls {
        collect: vec![pair.clone()],
        api: vec![pair.clone()],
        console: vec![pair],
        ..Tls::default()
    };
    Loaded {
        config: Config {
            tls,
            ..Config::default()
        },
        file: folder.join("strongroom.toml"),
        folder: folder.to_path_buf(),
    }
}

#[test]
fn a_configured_name_that_the_certificate_is_for_comes_before_the_others_in_it() {
    let own: &[&str] = &[
        "www.example.com",
        "in.example.com",
        "192.0.2.1",
        "localhost",
    ];
    let wild: &[&str] = &["*.example.com", "example.com"];
    for (names, by_acme, by_tls, told) in [
        (
            own,
            vec![],
            vec!["localhost", "In.example.com"],
            "In.example.com",
        ),
        (
            own,
            vec!["in.example.com"],
            vec!["192.0.2.1"],
            "in.example.com",
        ),
        (own, vec![], vec!["localhost", "192.0.2.1"], "192.0.2.1"),
        // None is in it: the first that is, although several are.
        (
            own,
            vec![],
            vec!["localhost", "in.b.test"],
            "www.example.com",
        ),
        (wild, vec![], vec!["in.example.com"], "in.example.com"),
        (
            wild,
            vec![],
            vec!["*.example.com", "in.example.com"],
            "in.example.com",
        ),
        // A wildcard stands for one label.
        (
            wild,
            vec![],
            vec!["b.test", "a.in.example.com"],
            "example.com",
        ),
        // By a wildcard it may be another plane's: what stands in it comes first.
        (
            &["*.example.com", "in.example.com"],
            vec!["console.example.com"],
            vec![],
            "in.example.com",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut loaded = with_own(folder.path(), names);
        let owned = |it: Vec<&str>| it.into_iter().map(str::to_owned).collect();
        loaded.config.tls.names = owned(by_tls);
        loaded.config.acme.names = owned(by_acme);
        loaded.config.acme.directory = "https://acme.test/directory".to_owned();
        let covered: Vec<Box<str>> = names.iter().map(|it| Box::from(*it)).collect();
        assert_eq!(public_name(&loaded, &covered, 443), told, "{names:?}");
    }
}

#[test]
fn phones_are_told_a_name_that_the_operators_own_certificate_has() {
    for (names, port, told) in [
        (
            vec!["192.0.2.1", "*.example.com", "In.example.com", "b.test"],
            443,
            "in.example.com",
        ),
        (vec!["in.example.com"], 8_441, "in.example.com:8441"),
        // Nothing in it names a host: what is configured is as good.
        (vec!["*.example.com", "192.0.2.1"], 443, "localhost"),
        // What has a wildcard beneath it is mostly a web site, and better than what reaches nobody.
        (vec!["*.example.com", "example.com"], 443, "example.com"),
        (vec!["localhost", "in.example.com"], 443, "in.example.com"),
        (
            vec!["*.b.test", "b.test", "in.example.com"],
            443,
            "in.example.com",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut loaded = with_own(folder.path(), &names);
        let certificates = Certificates::open(&loaded, NOW).unwrap();
        let covered = certificates.names(Plane::Collect);
        assert_eq!(public_name(&loaded, &covered, port), told);
        loaded.config.listen.collect_name = "said.test".to_owned();
        assert_eq!(public_name(&loaded, &covered, port), "said.test");
        // Without files of its own the plane's names are those that are configured.
        let plain = Loaded {
            config: Config::default(),
            ..loaded
        };
        assert_eq!(public_name(&plain, &covered, 8_441), "localhost:8441");
    }
}
