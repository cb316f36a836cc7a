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
