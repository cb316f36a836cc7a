//! An installation in a folder of its own, under a clock that a test holds.

use control::Actor;
use model::{Clock, ManualClock, SystemClock, SystemRandom};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use store::{DirPlace, Place};

use crate::compose::{self, Ground, Installation};
use crate::config::{Config, Listen, Loaded};
use crate::init::{Options, Volumes, create};
use crate::lock::Lock;

/// The folder; it outlives the installations that are opened in it.
pub(crate) struct Folder {
    config: PathBuf,
    folder: tempfile::TempDir,
    pub(crate) clock: Arc<ManualClock>,
}

impl Folder {
    /// One volume.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            folder: folder.path().join("room"),
            volumes: Volumes::Number(1),
            data: Some(1),
            parity: Some(0),
            listen: Listen::default(),
            names: Vec::new(),
        };
        let made = Box::pin(create(options)).await.unwrap();
        Self {
            config: made.config,
            folder,
            clock: Arc::new(ManualClock::new(SystemClock::new().now())),
        }
    }

    /// A path in the installation's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("room").join(name)
    }

    /// The configuration as it is changed, opened.
    pub(crate) async fn open(&self, change: impl FnOnce(&mut Config)) -> Installation {
        let mut loaded = Loaded::read(&self.config).unwrap();
        change(&mut loaded.config);
        loaded.config.check().unwrap();
        let place =
            |path: &PathBuf| Arc::new(DirPlace::new(loaded.resolve(path))) as Arc<dyn Place>;
        let keyring = seal::Keyring::load(&loaded.resolve(&loaded.config.keyring.file)).unwrap();
        let settings = &loaded.config.keyring;
        let files = std::iter::once(&settings.file).chain(&settings.copies);
        let files = files.map(|file| loaded.resolve(file)).collect();
        let ground = Ground {
            places: loaded.config.store.volumes.iter().map(place).collect(),
            keyring: Arc::new(control::SharedKeyring::new(keyring, files)),
            store: store::Settings::default(),
            clock: Arc::<ManualClock>::clone(&self.clock),
            random: Arc::new(SystemRandom),
            lock: Some(Lock::try_take(&loaded.folder).unwrap().unwrap()),
        };
        Box::pin(compose::assemble(&loaded, ground)).await.unwrap()
    }

    /// The installation's own certificate, as that of a server beside it.
    pub(crate) fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        use rustls::pki_types::pem::PemObject as _;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let chain = CertificateDer::pem_file_iter(self.path("tls/server-ecdsa.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.path("tls/server-ecdsa.key")).unwrap();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain.map(Result::unwrap).collect(), key)
            .unwrap();
        tokio_rustls::TlsAcceptor::from(Arc::new(config))
    }
}

/// What is logged, kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// What keeps all levels in it.
    pub(crate) fn subscriber(self) -> impl tracing::Subscriber + Send + Sync + 'static {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || self.clone())
            .finish()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Who acts on the host.
pub(crate) fn operator() -> &'static Actor {
    static OLGA: LazyLock<Actor> = LazyLock::new(|| Actor::os_user("olga"));
    &OLGA
}
