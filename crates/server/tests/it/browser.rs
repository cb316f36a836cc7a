//! A real browser: Debian's Chromium, driven through `ChromeDriver`.

use base64::Engine as _;
use fantoccini::error::CmdError;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use totp_rs::{Algorithm, Builder};

use crate::harness::Installation;

/// How long a page may take to show what is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A browser of its own, closed when dropped.
pub(crate) struct Browser {
    pub(crate) client: Client,
    driver: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one that trusts the installation's certificates.
    pub(crate) async fn start(installation: &Installation) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed (Debian: chromium-driver)");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.ok()?;
            let (_, rest) = line.split_once("started successfully on port ")?;
            rest.trim_end_matches('.').parse::<u16>().ok()
        });
        let port = port.expect("chromedriver says its port");
        // What it says later is read and forgotten, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--window-size=1280,900".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
            format!(
                "--ignore-certificate-errors-spki-list={}",
                trusted(&installation.root())
            ),
        ];
        let mut capabilities = Capabilities::new();
        let options = json!({ "args": arguments, "binary": "/usr/bin/chromium" });
        capabilities.insert("goog:chromeOptions".to_owned(), options);
        capabilities.insert("goog:loggingPrefs".to_owned(), json!({"browser": "ALL"}));
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        Self {
            client,
            driver,
            _profile: profile,
        }
    }

    /// Opens a page.
    pub(crate) async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Types into a field of the page.
    pub(crate) async fn fill(&self, id: &str, text: &str) {
        let field = self.wait(&format!("#{id}")).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Presses what the selector finds.
    pub(crate) async fn press(&self, css: &str) {
        self.wait(css).await.click().await.unwrap();
    }

    /// Waits for an element.
    pub(crate) async fn wait(&self, css: &str) -> fantoccini::elements::Element {
        let found = self
            .client
            .wait()
            .at_most(PATIENCE)
            .for_element(Locator::Css(css))
            .await;
        match found {
            Ok(found) => found,
            Err(error) => {
                let text = self.client.source().await.unwrap_or_default();
                panic!("no `{css}`: {error}; {} shows {text}", self.path().await)
            }
        }
    }

    /// The text of an element.
    pub(crate) async fn text(&self, css: &str) -> String {
        self.wait(css).await.text().await.unwrap()
    }

    /// The path of the page that is shown.
    pub(crate) async fn path(&self) -> String {
        self.client.current_url().await.unwrap().path().to_owned()
    }

    /// Waits until a page of that path is shown.
    pub(crate) async fn arrive(&self, path: &str) {
        let end = format!("return location.pathname === {}", json!(path));
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let there = self.client.execute(&end, Vec::new()).await;
            if there.is_ok_and(|it| it == Value::Bool(true)) {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{} instead of {path}: {}",
                self.path().await,
                self.client.source().await.unwrap_or_default()
            );
            tokio::task::yield_now().await;
        }
    }

    /// Puts a security key into the machine that verifies its user.
    pub(crate) async fn add_authenticator(&self) {
        let options = json!({
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": true,
            "hasUserVerification": true, "isUserConsenting": true, "isUserVerified": true,
        });
        let asked = Asked("webauthn/authenticator", options);
        self.client.issue_cmd(asked).await.unwrap();
    }

    /// A picture of the whole page.
    pub(crate) async fn picture(&self, file: &Path) {
        let whole = json!({"format": "png", "captureBeyondViewport": true});
        let shot = self.cdp("Page.captureScreenshot", whole).await;
        let png = base64::engine::general_purpose::STANDARD
            .decode(shot["data"].as_str().unwrap())
            .unwrap();
        std::fs::write(file, png).unwrap();
    }

    /// Asks the browser's own protocol.
    pub(crate) async fn cdp(&self, command: &str, parameters: Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        let asked = Asked("goog/cdp/execute", body);
        self.client.issue_cmd(asked).await.unwrap()
    }

    /// What the browser's console says that is wrong: errors of scripts, and what a policy refused.
    pub(crate) async fn said(&self) -> Vec<String> {
        let asked = Asked("se/log", json!({"type": "browser"}));
        let lines = self.client.issue_cmd(asked).await.unwrap();
        let lines = lines.as_array().cloned().unwrap_or_default();
        lines
            .iter()
            .filter(|line| line["level"] == "SEVERE")
            .map(|line| line["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    pub(crate) async fn close(self) -> Result<(), CmdError> {
        self.client.clone().close().await
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

/// A command beyond those that the driver's client knows: its path in the session, and its body.
#[derive(Debug)]
struct Asked(&'static str, Value);

impl WebDriverCompatibleCommand for Asked {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        let session = session.unwrap_or_default();
        base.join(&format!("session/{session}/{}", self.0))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.1.to_string()))
    }
}

/// The hashes of the installation's own keys, as Chromium wants them.
fn trusted(root: &Path) -> String {
    let hash = |name: &str| {
        let script = "openssl x509 -pubkey -noout -in \"$0\" | openssl pkey -pubin -outform der \
                      | openssl dgst -sha256 -binary | openssl base64 -A";
        let output = Command::new("sh")
            .args(["-c", script])
            .arg(root.join("tls").join(name))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    format!("{},{}", hash("server-rsa.pem"), hash("server-ecdsa.pem"))
}

/// What an authenticator app shows `steps` of 30 seconds from now.
pub(crate) fn code(secret: &str, steps: u64) -> String {
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_secs();
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_secret(totp_rs::Secret::try_from_base32(secret).unwrap())
        .build_noncompliant()
        .generate(now + 30 * steps)
        .to_string()
}
