//! Which certificate a client is shown: one that it can verify, by what it offers.

use model::Timestamp;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, SignatureScheme};
use std::sync::{Arc, PoisonError, RwLock};

use super::acme::{self, Challenges};

/// The chains of one plane, by the kind of their key.
#[derive(Debug, Default, Clone)]
pub(super) struct Chains {
    /// For clients that verify RSA.
    pub(super) rsa: Option<Arc<CertifiedKey>>,
    /// For clients that verify ECDSA; preferred, since it costs less.
    pub(super) ecdsa: Option<Arc<CertifiedKey>>,
    /// The names and addresses in them, in lower case.
    pub(super) names: Arc<[Box<str>]>,
    /// When the first of them ends.
    pub(super) ends_at: Option<Timestamp>,
}

/// Chooses by the client's offer; its chains can be swapped at any time.
#[derive(Debug)]
pub(super) struct Resolver {
    chains: RwLock<Chains>,
    /// Proofs for a validating authority.
    challenges: Arc<Challenges>,
}

impl Resolver {
    /// Shows `chains`.
    pub(super) const fn new(chains: Chains, challenges: Arc<Challenges>) -> Self {
        Self {
            chains: RwLock::new(chains),
            challenges,
        }
    }

    /// What is shown now.
    pub(super) fn chains(&self) -> Chains {
        self.chains
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Shows `chains` from the next handshake on.
    pub(super) fn swap(&self, chains: Chains) {
        *self.chains.write().unwrap_or_else(PoisonError::into_inner) = chains;
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if hello
            .alpn()
            .is_some_and(|mut offered| offered.any(|it| it == acme::PROTOCOL))
        {
            return self.challenges.find(&hello.server_name()?.to_lowercase());
        }
        let chains = self.chains();
        // A client that can verify nothing of ours is refused by the library, which then says why;
        // without any chain it could only say that it has none.
        choose(&chains, hello.signature_schemes(), hello.cipher_suites())
            .or_else(|| chains.rsa.or(chains.ecdsa))
    }
}

/// The chain for a client with these schemes and suites.
///
/// In TLS 1.3 the schemes alone decide; in TLS 1.2 a suite must go with the key as well. The version
/// is not known here, so a chain that fits both comes first, then one that fits the schemes alone.
pub(super) fn choose(
    chains: &Chains,
    schemes: &[SignatureScheme],
    suites: &[CipherSuite],
) -> Option<Arc<CertifiedKey>> {
    let offers = |wanted: &[CipherSuite]| suites.iter().any(|suite| wanted.contains(suite));
    let candidates = [
        (&chains.ecdsa, offers(&ECDSA_SUITES)),
        (&chains.rsa, offers(&RSA_SUITES)),
    ];
    let verifiable = candidates.iter().filter_map(|(chain, suite)| {
        let chain = chain.as_ref()?;
        chain.key.choose_scheme(schemes).map(|_| (chain, *suite))
    });
    let tls13 = offers(&TLS13_SUITES);
    verifiable
        .clone()
        .find(|(_, suite)| *suite)
        .or_else(|| verifiable.clone().find(|_| tls13))
        .map(|(chain, _)| Arc::clone(chain))
}

const ECDSA_SUITES: [CipherSuite; 3] = [
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
];

const RSA_SUITES: [CipherSuite; 3] = [
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

const TLS13_SUITES: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
];
