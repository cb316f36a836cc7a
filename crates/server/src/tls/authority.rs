//! The local authority: two roots that `init` makes, and the leaves that they sign.
//!
//! The RSA root signs the RSA leaf with SHA-256, the ECDSA root the ECDSA leaf, so that a client
//! that knows only one of the two can verify a whole chain. The roots' keys stay in the folder,
//! mode 0600. Leaves live 365 days and are made anew 30 days before they end, or when the names in
//! the configuration change; clients that trust `ca.pem` notice nothing.

use anyhow::{Context as _, Result};
use model::{Random, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::Pair;
use crate::files::{create_folder, write_private, write_public};

/// The file with both roots' certificates: what a client is told to trust.
pub(crate) const ROOTS_FILE: &str = "ca.pem";

/// With the hour before, less than the 366 days that are allowed.
const LEAF_LIFE: Duration = Duration::from_secs(365 * 86_400);
const ROOT_LIFE: Duration = Duration::from_secs(3_650 * 86_400);
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 86_400);

/// A kind of key, with the names of its files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flavour {
    pub(super) name: &'static str,
    root_key: &'static str,
    /// The file of the certificate.
    pub(super) leaf: &'static str,
    leaf_key: &'static str,
    rsa: bool,
}

impl Flavour {
    /// A key for a certificate of this kind.
    pub(super) fn make_key(self) -> Result<KeyPair> {
        key(self, RsaKeySize::_2048)
    }
}

/// In the order in which their roots stand in `ca.pem`.
pub(super) const FLAVOURS: [Flavour; 2] = [
    Flavour {
        name: "RSA",
        root_key: "root-rsa.key",
        leaf: "server-rsa.pem",
        leaf_key: "server-rsa.key",
        rsa: true,
    },
    Flavour {
        name: "ECDSA",
        root_key: "root-ecdsa.key",
        leaf: "server-ecdsa.pem",
        leaf_key: "server-ecdsa.key",
        rsa: false,
    },
];

/// Makes the folder, two roots and two leaves for `names`.
///
/// # Errors
/// When a file cannot be written or a name is not one.
pub(crate) fn create(
    folder: &Path,
    names: &[String],
    now: Timestamp,
    random: &dyn Random,
) -> Result<PathBuf> {
    create_folder(folder)?;
    // Two installations' roots are told apart by a number in their names.
    let number = random.number() >> 32;
    let mut roots = String::new();
    for flavour in FLAVOURS {
        let key = key(flavour, RsaKeySize::_3072)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(
            DnType::CommonName,
            format!("Strongroom {number:08x} {}", flavour.name),
        );
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_life(&mut params, now, ROOT_LIFE);
        let root = params.self_signed(&key).context("failed to sign a root")?;
        roots.push_str(&root.pem());
        write_private(
            &folder.join(flavour.root_key),
            key.serialize_pem().as_bytes(),
        )?;
    }
    let file = folder.join(ROOTS_FILE);
    write_public(&file, roots.as_bytes())?;
    for (position, flavour) in FLAVOURS.into_iter().enumerate() {
        issue(folder, flavour, position, names, now)?;
    }
    Ok(file)
}

/// The leaves' files.
pub(crate) fn pairs(folder: &Path) -> Vec<Pair> {
    FLAVOURS
        .iter()
        .map(|it| Pair {
            certificate: folder.join(it.leaf),
            key: folder.join(it.leaf_key),
        })
        .collect()
}

/// Makes leaves anew that end within 30 days, or that are for other names than `names`.
///
/// # Errors
/// When the authority's files cannot be read or written.
pub(crate) fn renew_if_due(folder: &Path, names: &[String], now: Timestamp) -> Result<bool> {
    let mut renewed = false;
    for (position, flavour) in FLAVOURS.into_iter().enumerate() {
        if is_due(&folder.join(flavour.leaf), names, now, RENEW_BEFORE)? {
            issue(folder, flavour, position, names, now)?;
            tracing::info!(
                kind = flavour.name,
                "the local authority made a new certificate"
            );
            renewed = true;
        }
    }
    Ok(renewed)
}

/// Whether the certificate in `leaf` is missing, ends within `before`, or is for other names.
pub(super) fn is_due(
    leaf: &Path,
    names: &[String],
    now: Timestamp,
    before: Duration,
) -> Result<bool> {
    if !leaf.exists() {
        return Ok(true);
    }
    let fail = || format!("failed to read the certificate `{}`", leaf.display());
    let der = CertificateDer::from_pem_file(leaf).with_context(fail)?;
    let (_, certificate) = X509Certificate::from_der(&der).with_context(fail)?;
    let end = Timestamp::from_seconds(certificate.validity().not_after.timestamp());
    if now.plus(before) > end {
        return Ok(true);
    }
    let mut held: Vec<String> = Vec::new();
    if let Some(extension) = certificate.subject_alternative_name().with_context(fail)? {
        held.extend(
            extension
                .value
                .general_names
                .iter()
                .filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some((*name).to_owned()),
                    GeneralName::IPAddress([a, b, c, d]) => Some(format!("{a}.{b}.{c}.{d}")),
                    GeneralName::IPAddress(bytes) => {
                        let bytes: [u8; 16] = (*bytes).try_into().ok()?;
                        Some(std::net::Ipv6Addr::from(bytes).to_string())
                    }
                    _ => None,
                }),
        );
    }
    let mut wanted: Vec<_> = names.iter().map(|name| canonical(name)).collect();
    held.sort();
    wanted.sort();
    wanted.dedup();
    Ok(held != wanted)
}

/// A name as it is found again in a certificate: an address in its usual form.
fn canonical(name: &str) -> String {
    name.parse::<std::net::IpAddr>()
        .map_or_else(|_| name.to_owned(), |address| address.to_string())
}

fn issue(
    folder: &Path,
    flavour: Flavour,
    position: usize,
    names: &[String],
    now: Timestamp,
) -> Result<()> {
    let roots_file = folder.join(ROOTS_FILE);
    let root_key_file = folder.join(flavour.root_key);
    let root = CertificateDer::pem_file_iter(&roots_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("failed to read the roots `{}`", roots_file.display()))?
        .into_iter()
        .nth(position)
        .with_context(|| {
            format!(
                "`{}` has lost its {} root",
                roots_file.display(),
                flavour.name
            )
        })?;
    let root_key = std::fs::read_to_string(&root_key_file).with_context(|| {
        format!(
            "failed to read the root's key `{}`",
            root_key_file.display()
        )
    })?;
    let algorithm = if flavour.rsa {
        &PKCS_RSA_SHA256
    } else {
        &PKCS_ECDSA_P256_SHA256
    };
    let root_key = KeyPair::from_pem_and_sign_algo(&root_key, algorithm)
        .with_context(|| format!("failed to use the root's key `{}`", root_key_file.display()))?;
    let issuer = Issuer::from_ca_cert_der(&root, root_key)
        .with_context(|| format!("failed to use the roots `{}`", roots_file.display()))?;

    let mut sorted: Vec<_> = names.iter().map(|name| canonical(name)).collect();
    sorted.sort();
    sorted.dedup();
    let mut params = CertificateParams::new(sorted)
        .context("failed to use the names of the certificate (`tls.names`)")?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "Strongroom");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_life(&mut params, now, LEAF_LIFE);
    let key = flavour.make_key()?;
    let leaf = params
        .signed_by(&key, &issuer)
        .context("failed to sign a certificate")?;
    // The old certificate goes first: after a crash between the steps it is missing, which is due.
    let leaf_file = folder.join(flavour.leaf);
    if leaf_file.exists() {
        std::fs::remove_file(&leaf_file)
            .with_context(|| format!("failed to replace `{}`", leaf_file.display()))?;
    }
    write_private(
        &folder.join(flavour.leaf_key),
        key.serialize_pem().as_bytes(),
    )?;
    write_public(&leaf_file, leaf.pem().as_bytes())
}

fn key(flavour: Flavour, size: RsaKeySize) -> Result<KeyPair> {
    let made = if flavour.rsa {
        KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size)
    } else {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
    };
    made.with_context(|| format!("failed to make an {} key", flavour.name))
}

/// From an hour ago, for clocks that are a little behind, for as long as said.
fn set_life(params: &mut CertificateParams, now: Timestamp, life: Duration) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let seconds =
        |moment: Timestamp| Duration::from_secs(u64::try_from(moment.seconds()).unwrap_or(0));
    params.not_before = epoch + seconds(now.minus(Duration::from_secs(3_600)));
    params.not_after = epoch + seconds(now.plus(life));
}
