//! The rules that a certificate must keep before it is shown to anybody.
//!
//! Each rule has a name that the refusal says. Trust is not judged here: which authority a client
//! trusts is the client's matter.

use anyhow::{Context as _, Result};
use model::Timestamp;
use rustls::pki_types::CertificateDer;
use std::fmt;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry as oid;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;

/// The kind of a certificate's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// RSA.
    Rsa,
    /// ECDSA on P-256 or P-384.
    Ecdsa,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa => "RSA",
            Self::Ecdsa => "ECDSA",
        })
    }
}

/// A rule that is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Weakness {
    /// The file holds no certificate.
    #[error("rule `chain`: the file holds no certificate")]
    Empty,
    /// Signed with a hash that can be forged.
    #[error("rule `signature`: it is signed with {0}; SHA-256 or better is required")]
    Signature(String),
    /// An RSA key that is too short.
    #[error("rule `key size`: its RSA key has {0} bits; at least 2048 are required")]
    RsaBits(usize),
    /// A key that clients do not know.
    #[error("rule `key kind`: its key is neither RSA nor ECDSA on P-256 or P-384")]
    KeyKind,
    /// Not valid any more.
    #[error("rule `validity`: it expired at {0}")]
    Expired(String),
    /// Not valid yet.
    #[error("rule `validity`: it is not valid before {0}")]
    NotYetValid(String),
    /// Another certificate's key.
    #[error("rule `key match`: the key belongs to another certificate")]
    KeyMismatch,
    /// A key that others can read.
    #[error("rule `key file mode`: its mode is {0:o}; others must have no access (chmod 600)")]
    KeyFileMode(u32),
}

/// Checks a chain, the server's own certificate first, and says which kind of key it has.
///
/// # Errors
/// The first rule that is broken, or a certificate that cannot be parsed.
pub(super) fn chain(chain: &[CertificateDer<'_>], now: Timestamp) -> Result<Kind> {
    let mut kind = None;
    for (position, der) in chain.iter().enumerate() {
        let (_, certificate) = X509Certificate::from_der(der).with_context(|| {
            format!("failed to parse certificate {} of the chain", position + 1)
        })?;
        let own = position == 0;
        // Nobody verifies the signature that a root has put on itself.
        if own || certificate.issuer() != certificate.subject() {
            signature(&certificate)?;
        }
        validity(&certificate, now)?;
        let found = key_kind(&certificate)?;
        if own {
            kind = Some(found);
        }
    }
    Ok(kind.ok_or(Weakness::Empty)?)
}

/// The names and addresses that a certificate is for, in lower case.
pub(super) fn names(der: &CertificateDer<'_>) -> Vec<Box<str>> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return Vec::new();
    };
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into_boxed_str()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let v6 = <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            v4.or(v6).ok().map(|it| it.to_string().into_boxed_str())
        }
        _ => None,
    };
    let names = &extension.value.general_names;
    names.iter().filter_map(name).collect()
}

/// When a certificate ends; none when it cannot be read.
pub(super) fn end(der: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let end = certificate.validity().not_after.timestamp();
    Some(Timestamp::from_seconds(end))
}

/// Checks that a key file is its owner's alone (its group may read it).
///
/// # Errors
/// [`Weakness::KeyFileMode`], or the system's error.
pub(super) fn key_file(path: &Path) -> Result<()> {
    let mode = std::fs::metadata(path)
        .context("failed to look at the file")?
        .permissions()
        .mode();
    if mode & 0o037 != 0 {
        return Err(Weakness::KeyFileMode(mode & 0o777).into());
    }
    Ok(())
}

fn signature(certificate: &X509Certificate<'_>) -> Result<(), Weakness> {
    let algorithm = &certificate.signature_algorithm.algorithm;
    let strong = [
        &oid::OID_PKCS1_SHA256WITHRSA,
        &oid::OID_PKCS1_SHA384WITHRSA,
        &oid::OID_PKCS1_SHA512WITHRSA,
        &oid::OID_SIG_ECDSA_WITH_SHA256,
        &oid::OID_SIG_ECDSA_WITH_SHA384,
        &oid::OID_SIG_ECDSA_WITH_SHA512,
        &oid::OID_SIG_ED25519,
    ];
    if strong.contains(&algorithm) {
        return Ok(());
    }
    let named = [
        (&oid::OID_PKCS1_SHA1WITHRSA, "SHA-1"),
        (&oid::OID_PKCS1_MD5WITHRSAENC, "MD5"),
        (
            &oid::OID_PKCS1_RSASSAPSS,
            "RSASSA-PSS, which old clients cannot verify",
        ),
    ];
    let name = named
        .iter()
        .find(|(it, _)| *it == algorithm)
        .map(|(_, name)| (*name).to_owned());
    let name = name.unwrap_or_else(|| match algorithm.to_id_string().as_str() {
        "1.2.840.10045.4.1" => "SHA-1".to_owned(),
        other => format!("the algorithm {other}"),
    });
    Err(Weakness::Signature(name))
}

fn validity(certificate: &X509Certificate<'_>, now: Timestamp) -> Result<()> {
    let now = ASN1Time::from_timestamp(now.seconds()).context("failed to use the clock's time")?;
    let validity = certificate.validity();
    if now > validity.not_after {
        return Err(Weakness::Expired(validity.not_after.to_string()).into());
    }
    if now < validity.not_before {
        return Err(Weakness::NotYetValid(validity.not_before.to_string()).into());
    }
    Ok(())
}

fn key_kind(certificate: &X509Certificate<'_>) -> Result<Kind> {
    let key = certificate.public_key();
    match key.parsed().context("failed to parse the public key")? {
        PublicKey::RSA(rsa) if rsa.key_size() < 2_048 => {
            Err(Weakness::RsaBits(rsa.key_size()).into())
        }
        PublicKey::RSA(_) => Ok(Kind::Rsa),
        PublicKey::EC(point) if [256, 384].contains(&point.key_size()) => Ok(Kind::Ecdsa),
        _ => Err(Weakness::KeyKind.into()),
    }
}
