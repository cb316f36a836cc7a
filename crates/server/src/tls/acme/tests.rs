//! Certificates are ordered from a stand-in for a public authority, which checks the proof as a real
//! one does: it connects to the name by `acme-tls/1` and compares the digest.

use super::PROTOCOL;
use crate::config::{Config, Loaded};
use crate::tls::{Certificates, authority};
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use model::record::Plane;
use model::{SeededRandom, Timestamp};
use rcgen::{CertificateSigningRequestParams, Issuer, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{
    CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, ServerName, UnixTime,
};
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use x509_parser::prelude::{FromDer as _, X509Certificate};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const NAME: &str = "data.example.com";
const TOKEN: &str = "a-token-of-the-stand-in";

/// The stand-in's state: one account, one order at a time.
struct StandIn {
    base: String,
    /// Where `NAME` is reached.
    target: SocketAddr,
    /// The digest of the account's public key (RFC 7638).
    thumbprint: Mutex<String>,
    proved: Mutex<bool>,
    chain: Mutex<Option<String>>,
    root: (CertificateDer<'static>, String),
}

/// A certificate that proves nothing to a browser is what a validating authority wants to see.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::RSA_PSS_SHA256,
        ]
    }
}

impl StandIn {
    fn order(&self) -> Value {
        let chain = self.chain.lock().unwrap().is_some();
        let status = match (chain, *self.proved.lock().unwrap()) {
            (true, _) => "valid",
            (false, true) => "ready",
            (false, false) => "pending",
        };
        let mut order = json!({
            "status": status,
            "identifiers": [{"type": "dns", "value": NAME}],
            "authorizations": [format!("{}/authorization", self.base)],
            "finalize": format!("{}/finalize", self.base),
        });
        if chain {
            order["certificate"] = json!(format!("{}/certificate", self.base));
        }
        order
    }

    /// Connects to the name as RFC 8737 says and compares the digest in the certificate.
    async fn validate(&self) -> bool {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate))
            .with_no_client_auth();
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        let tcp = TcpStream::connect(self.target).await.unwrap();
        let name = ServerName::try_from(NAME).unwrap();
        let tls = TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
            .unwrap();
        let (_, session) = tls.get_ref();
        assert_eq!(session.alpn_protocol(), Some(PROTOCOL));
        let der = session.peer_certificates().unwrap()[0].clone();
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        let extension = certificate
            .extensions()
            .iter()
            .find(|it| it.oid.to_id_string() == "1.3.6.1.5.5.7.1.31")
            .unwrap();
        let authorization = format!("{TOKEN}.{}", self.thumbprint.lock().unwrap());
        let digest = aws_lc_digest(authorization.as_bytes());
        extension.critical && extension.value == [&[4, 32][..], &digest].concat()
    }

    fn sign(&self, csr: &str) {
        let csr = CertificateSigningRequestDer::from(BASE64.decode(csr).unwrap());
        let csr = CertificateSigningRequestParams::from_der(&csr).unwrap();
        let key = KeyPair::from_pem(&self.root.1).unwrap();
        let issuer = Issuer::from_ca_cert_der(&self.root.0, key).unwrap();
        let mut csr = csr;
        csr.params.not_before = rcgen::date_time_ymd(2_026, 1, 1);
        csr.params.not_after = rcgen::date_time_ymd(2_028, 1, 1);
        *self.chain.lock().unwrap() = Some(csr.signed_by(&issuer).unwrap().pem());
    }
}

fn aws_lc_digest(bytes: &[u8]) -> Vec<u8> {
    let digest = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let suite = digest.tls13().unwrap();
    suite.common.hash_provider.hash(bytes).as_ref().to_vec()
}

/// A part of a signed message (RFC 7515), unchecked: the client's library is not what is tested.
fn part(body: &Bytes, name: &str) -> Value {
    let message: Value = serde_json::from_slice(body).unwrap();
    let text = BASE64.decode(message[name].as_str().unwrap()).unwrap();
    if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&text).unwrap()
    }
}

type Shared = Arc<StandIn>;

fn answer(status: u16, at: &str, body: Value) -> Response {
    let mut response = Json(body).into_response();
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    response
        .headers_mut()
        .insert("replay-nonce", "bm9uY2U".parse().unwrap());
    response
        .headers_mut()
        .insert("location", at.parse().unwrap());
    response
}

fn router(state: Shared) -> Router {
    Router::new()
        .route("/directory", get(directory))
        .route("/nonce", get(|| async { answer(200, "/", Value::Null) }))
        .route("/account", post(account))
        .route("/order", post(order))
        .route(
            "/order/1",
            post(|State(it): State<Shared>| async move { answer(200, "/", it.order()) }),
        )
        .route("/authorization", post(authorization))
        .route("/challenge", post(challenge))
        .route("/finalize", post(finalize))
        .route("/certificate", post(certificate))
        .with_state(state)
}

async fn directory(State(it): State<Shared>) -> Response {
    let base = &it.base;
    let body = json!({
        "newNonce": format!("{base}/nonce"),
        "newAccount": format!("{base}/account"),
        "newOrder": format!("{base}/order"),
    });
    answer(200, "/", body)
}

async fn account(State(it): State<Shared>, body: Bytes) -> Response {
    let jwk = part(&body, "protected")["jwk"].clone();
    let canonical = format!(
        r#"{{"crv":{},"kty":{},"x":{},"y":{}}}"#,
        jwk["crv"], jwk["kty"], jwk["x"], jwk["y"]
    );
    *it.thumbprint.lock().unwrap() = BASE64.encode(aws_lc_digest(canonical.as_bytes()));
    answer(
        201,
        &format!("{}/account/1", it.base),
        json!({"status": "valid"}),
    )
}

async fn order(State(it): State<Shared>) -> Response {
    *it.proved.lock().unwrap() = false;
    *it.chain.lock().unwrap() = None;
    answer(201, &format!("{}/order/1", it.base), it.order())
}

async fn authorization(State(it): State<Shared>) -> Response {
    let status = if *it.proved.lock().unwrap() {
        "valid"
    } else {
        "pending"
    };
    let challenge = |kind: &str| {
        json!({"type": kind, "url": format!("{}/challenge", it.base), "token": TOKEN,
               "status": "pending"})
    };
    let body = json!({
        "identifier": {"type": "dns", "value": NAME},
        "status": status,
        "challenges": [challenge("http-01"), challenge("tls-alpn-01")],
    });
    answer(200, "/", body)
}

async fn challenge(State(it): State<Shared>) -> Response {
    let valid = it.validate().await;
    *it.proved.lock().unwrap() = valid;
    let body = json!({"type": "tls-alpn-01", "url": format!("{}/challenge", it.base),
                      "token": TOKEN, "status": if valid { "valid" } else { "invalid" }});
    answer(200, "/", body)
}

async fn finalize(State(it): State<Shared>, body: Bytes) -> Response {
    let payload = part(&body, "payload");
    it.sign(payload["csr"].as_str().unwrap());
    answer(200, "/", it.order())
}

async fn certificate(State(it): State<Shared>) -> Response {
    let chain = it.chain.lock().unwrap().clone().unwrap();
    let mut response = chain.into_response();
    response
        .headers_mut()
        .insert("replay-nonce", "bm9uY2U".parse().unwrap());
    response
}

/// Serves `router` over TLS with the RSA certificate in `folder`.
fn serve(listener: TcpListener, folder: &Path, router: Router) {
    let pair = &authority::pairs(folder)[0];
    let chain = CertificateDer::pem_file_iter(&pair.certificate).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            chain.collect::<Result<_, _>>().unwrap(),
            PrivateKeyDer::from_pem_file(&pair.key).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tokio::spawn(async move {
                let tls = acceptor.accept(tcp).await.unwrap();
                let service = TowerToHyperService::new(router);
                let http = hyper::server::conn::http1::Builder::new();
                drop(http.serve_connection(TokioIo::new(tls), service).await);
            });
        }
    });
}

#[tokio::test]
async fn certificates_are_ordered_proved_shown_and_not_ordered_again() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("tls");
    let local = vec!["localhost".to_owned()];
    // The stand-in's own certificate must be valid at the machine's time, which the client uses.
    let machine = model::Clock::now(&model::SystemClock::new());
    let theirs = folder.path().join("stand-in");
    authority::create(&theirs, &local, machine, &SeededRandom::new(1)).unwrap();
    authority::create(&own, &local, NOW, &SeededRandom::new(2)).unwrap();
    let plane = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );

    let mut config = Config::default();
    config.tls.names = local;
    config.acme.directory = format!("{base}/directory");
    config.acme.names = vec![NAME.to_owned()];
    config.acme.root = theirs.join("ca.pem");
    let loaded = Loaded {
        config,
        file: folder.path().join("strongroom.toml"),
        folder: folder.path().to_path_buf(),
    };
    let certificates = Certificates::open(&loaded, NOW).unwrap();
    let root = CertificateDer::from_pem_file(theirs.join("ca.pem")).unwrap();
    let root_key = std::fs::read_to_string(theirs.join("root-rsa.key")).unwrap();
    let stand_in = Arc::new(StandIn {
        base,
        target: plane.local_addr().unwrap(),
        thumbprint: Mutex::default(),
        proved: Mutex::default(),
        chain: Mutex::default(),
        root: (root, root_key),
    });
    serve(listener, &theirs, router(stand_in));
    let acceptor = TlsAcceptor::from(Arc::new(
        certificates.server_config(Plane::Collect).unwrap(),
    ));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = plane.accept().await {
            drop(acceptor.accept(tcp).await);
        }
    });

    certificates.renew(NOW).await.unwrap();
    certificates.reload(NOW, false);
    let made = folder.path().join("tls/acme");
    for file in ["server-rsa.pem", "server-ecdsa.pem", "account.key"] {
        let mode = made.join(file).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file}");
    }
    let shown = certificates.planes[0].resolver.chains().ecdsa.unwrap().cert[0].clone();
    let (_, certificate) = X509Certificate::from_der(&shown).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    assert!(format!("{:?}", names.value).contains(NAME));

    // What is there and good is kept; another start finds it.
    let before = std::fs::read(made.join("server-rsa.pem")).unwrap();
    certificates.renew(NOW).await.unwrap();
    assert_eq!(std::fs::read(made.join("server-rsa.pem")).unwrap(), before);
    let again = Certificates::open(&loaded, NOW).unwrap();
    let found = again.planes[0].resolver.chains().ecdsa.unwrap().cert[0].clone();
    assert_eq!(found, shown);
}
