//! Certificates are made, checked, chosen and swapped as the rules say.

use super::resolver::{Chains, choose};
use super::{Certificates, Pair, authority, check, load, load_pair};
use crate::config::{Config, Loaded};
use model::{SeededRandom, Timestamp};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CipherSuite, SignatureScheme};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use x509_parser::prelude::{FromDer as _, X509Certificate};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const DAY: Duration = Duration::from_secs(86_400);

fn names() -> Vec<String> {
    ["localhost", "127.0.0.1", "::1"]
        .map(str::to_owned)
        .to_vec()
}

fn authority() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    authority::create(
        &folder.path().join("tls"),
        &names(),
        NOW,
        &SeededRandom::new(1),
    )
    .unwrap();
    folder
}

fn chains(folder: &Path) -> Chains {
    load(&authority::pairs(folder), NOW).unwrap()
}

#[test]
fn the_authority_makes_both_kinds_within_a_year_and_keeps_keys_private() {
    let folder = authority();
    let folder = folder.path().join("tls");
    let made = chains(&folder);
    assert!(made.rsa.is_some() && made.ecdsa.is_some());
    let roots = CertificateDer::pem_file_iter(folder.join("ca.pem"))
        .unwrap()
        .count();
    assert_eq!(roots, 2);
    for pair in authority::pairs(&folder) {
        let der = CertificateDer::from_pem_file(&pair.certificate).unwrap();
        let (_, leaf) = X509Certificate::from_der(&der).unwrap();
        let validity = leaf.validity();
        let days = (validity.not_after.timestamp() - validity.not_before.timestamp()) / 86_400;
        assert!(days <= 366, "{days}");
    }
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "key") {
            let mode = path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", path.display());
        }
    }
}

#[test]
fn leaves_are_renewed_before_they_end_and_for_new_names_only() {
    let folder = authority();
    let folder = folder.path().join("tls");
    let later = |days: u32| NOW.plus(DAY * days);
    assert!(!authority::renew_if_due(&folder, &names(), later(300)).unwrap());
    let mut more = names();
    more.push("data.example.com".to_owned());
    assert!(authority::renew_if_due(&folder, &more, later(1)).unwrap());
    assert!(!authority::renew_if_due(&folder, &more, later(1)).unwrap());
    assert!(authority::renew_if_due(&folder, &more, later(340)).unwrap());
    load(&authority::pairs(&folder), later(600)).unwrap();
    load(&authority::pairs(&folder), later(800)).unwrap_err();
}

/// Chains, the client's schemes and suites, and the kind of the certificate it is shown.
type Case<'a> = (
    &'a Chains,
    &'a [SignatureScheme],
    &'a [CipherSuite],
    Option<&'a str>,
);

#[test]
fn a_client_is_shown_what_it_can_verify() {
    use CipherSuite as C;
    use SignatureScheme as S;
    let folder = authority();
    let both = chains(&folder.path().join("tls"));
    let only_rsa = Chains {
        ecdsa: None,
        ..both.clone()
    };
    let rsa = [S::RSA_PSS_SHA256, S::RSA_PKCS1_SHA256];
    let ecdsa = [S::ECDSA_NISTP256_SHA256];
    let all = [&rsa[..], &ecdsa[..]].concat();
    let (rsa12, ecdsa12, tls13) = (
        C::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        C::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        C::TLS13_AES_128_GCM_SHA256,
    );
    let cases: [Case<'_>; 9] = [
        (&both, &all, &[tls13, rsa12, ecdsa12], Some("ECDSA")),
        (&both, &rsa, &[tls13], Some("RSA")),
        (&both, &ecdsa, &[tls13], Some("ECDSA")),
        (&both, &all, &[rsa12], Some("RSA")),
        (&both, &all, &[ecdsa12], Some("ECDSA")),
        (&both, &all, &[tls13, rsa12], Some("RSA")),
        (&both, &ecdsa, &[rsa12], None),
        (&only_rsa, &all, &[tls13, ecdsa12], Some("RSA")),
        (&only_rsa, &ecdsa, &[tls13], None),
    ];
    for (chains, schemes, suites, expected) in cases {
        let chosen = choose(chains, schemes, suites);
        let kind = chosen.as_ref().map(|chosen| {
            let rsa = chains
                .rsa
                .as_ref()
                .is_some_and(|rsa| Arc::ptr_eq(rsa, chosen));
            if rsa { "RSA" } else { "ECDSA" }
        });
        assert_eq!(kind, expected, "{schemes:?} {suites:?}");
    }
}

/// Writes a pair signed by itself.
fn own(folder: &Path, name: &str, key: &KeyPair, not_after_year: i32) -> Pair {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2_020, 1, 1);
    params.not_after = rcgen::date_time_ymd(not_after_year, 1, 1);
    let certificate = folder.join(format!("{name}.pem"));
    let key_file = folder.join(format!("{name}.key"));
    std::fs::write(&certificate, params.self_signed(key).unwrap().pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o600)).unwrap();
    Pair {
        certificate,
        key: key_file,
    }
}

#[test]
fn weak_pairs_are_refused_by_the_name_of_the_rule() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (one, two) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let good = own(folder, "good", &one, 2_050);
    load_pair(&good.certificate, &good.key, NOW).unwrap();
    let refusal = |certificate: &Path, key: &Path, now| {
        format!("{:#}", load_pair(certificate, key, now).unwrap_err())
    };

    let old = own(folder, "old", &one, 2_021);
    assert!(refusal(&old.certificate, &old.key, NOW).contains("rule `validity`"));
    let early = Timestamp::from_seconds(1_000_000_000);
    assert!(refusal(&good.certificate, &good.key, early).contains("rule `validity`"));
    let other = own(folder, "other", &two, 2_050);
    assert!(refusal(&good.certificate, &other.key, NOW).contains("rule `key match`"));
    let curve = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let curve = own(folder, "curve", &curve, 2_050);
    assert!(refusal(&curve.certificate, &curve.key, NOW).contains("rule `key kind`"));
    std::fs::set_permissions(&good.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refusal(&good.certificate, &good.key, NOW).contains("rule `key file mode`"));
    std::fs::write(folder.join("empty.pem"), "").unwrap();
    assert!(refusal(&folder.join("empty.pem"), &other.key, NOW).contains("rule `chain`"));
}

#[test]
fn short_keys_and_old_hashes_are_refused() {
    // Made with `openssl req -x509`, since no library of ours makes such certificates.
    let cases = [
        (
            include_str!("../../testdata/rsa-1024.pem"),
            "rule `key size`",
        ),
        (include_str!("../../testdata/sha-1.pem"), "rule `signature`"),
    ];
    for (pem, rule) in cases {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let complaint = format!("{:#}", check::chain(&[der], NOW).unwrap_err());
        assert!(complaint.contains(rule), "{complaint}");
    }
}

#[test]
fn new_files_are_taken_and_broken_ones_leave_the_old_in_place() {
    let folder = authority();
    let loaded = Loaded {
        config: Config::default(),
        file: folder.path().join("strongroom.toml"),
        folder: folder.path().to_path_buf(),
    };
    let certificates = Certificates::open(&loaded, NOW).unwrap();
    let shown = || {
        let schemes = [SignatureScheme::ECDSA_NISTP256_SHA256];
        let suites = [CipherSuite::TLS13_AES_128_GCM_SHA256];
        let chains = certificates.planes[0].resolver.chains();
        choose(&chains, &schemes, &suites).unwrap().cert[0].clone()
    };
    let first = shown();
    certificates.reload(NOW, true);
    assert_eq!(shown(), first);

    let mut more = names();
    more.push("data.example.com".to_owned());
    authority::renew_if_due(&folder.path().join("tls"), &more, NOW).unwrap();
    certificates.reload(NOW, false);
    let second = shown();
    assert_ne!(second, first);

    std::fs::write(folder.path().join("tls/server-ecdsa.pem"), "broken").unwrap();
    certificates.reload(NOW, false);
    assert_eq!(shown(), second);
}
