//! The published programs that the end-to-end tests run against the product, unmodified.
//!
//! They are installed by their package managers into `peers/` in the target directory, at the exact
//! versions named here. Nothing of them is part of the project.

use anyhow::{Context as _, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{is_installed, run, target_directory};

/// npm packages: the vendor's server-side client, its web SDK, what drives a browser, and what judges
/// its pages.
const NPM: [&str; 4] = [
    "axe-core@4.14.1",
    "clevertap@1.3.0",
    "clevertap-web-sdk@2.5.2",
    "playwright-core@1.65.1",
];
/// PyPI packages: a reader of the vendor's export API, what tries an API against its own document, a
/// TLS scanner, and two implementations of HPKE, the second the one that the vendor names.
const PYPI: [&str; 5] = [
    "quickhouse==0.21.0",
    "schemathesis==4.32.5",
    "sslyze==6.3.1",
    "pyhpke==0.6.5",
    "tink==1.16.1",
];
/// Programs that the tests call, and the Debian package of each.
const DEBIAN: [(&str, &str); 12] = [
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("python3", "python3-venv"),
    ("openssl", "openssl"),
    ("strace", "strace"),
    ("faketime", "faketime"),
    ("prlimit", "util-linux"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
];

/// Makes sure that everything is there; returns the folder that holds `node_modules` and `python`.
///
/// # Errors
/// When something is missing and cannot be installed: the message says which command does it.
pub(crate) fn prepare() -> anyhow::Result<PathBuf> {
    programs(&DEBIAN)?;
    let folder = target_directory()?.join("peers");
    fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let wanted = format!("{NPM:?} {PYPI:?}");
    let stamp = folder.join("installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    install_npm_packages(&folder)?;
    install_pypi_packages(&folder)?;
    fs::write(&stamp, wanted).with_context(|| format!("failed to write {}", stamp.display()))?;
    Ok(folder)
}

/// Makes sure that programs are there: each with its Debian package.
///
/// # Errors
/// As [`prepare`].
pub(crate) fn programs(wanted: &[(&str, &'static str)]) -> anyhow::Result<()> {
    install_debian_packages(&missing_debian_packages(wanted))
}

fn missing_debian_packages(wanted: &[(&str, &'static str)]) -> Vec<&'static str> {
    wanted
        .iter()
        .filter(|(program, _)| !is_installed(program))
        .map(|(_, package)| *package)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

fn install_debian_packages(packages: &[&str]) -> anyhow::Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let by_hand = format!(
        "apt-get install --no-install-recommends {}",
        packages.join(" ")
    );
    if !is_installed("apt-get") {
        bail!(
            "the tests need {}: install them with your package manager",
            packages.join(", ")
        );
    }
    // RUNLEVEL=1 keeps services from being started by their packages.
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .args(arguments)
            .env("RUNLEVEL", "1")
            .env("DEBIAN_FRONTEND", "noninteractive");
        run(&mut command)
    };
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend_from_slice(packages);
    apt(&["update"])
        .and_then(|()| apt(&arguments))
        .with_context(|| format!("the tests need more programs; as root: {by_hand}"))
}

fn install_npm_packages(folder: &Path) -> anyhow::Result<()> {
    let mut npm = Command::new("npm");
    npm.args([
        "install",
        "--no-audit",
        "--no-fund",
        "--no-save",
        "--prefix",
    ])
    .arg(folder)
    .args(NPM);
    run(&mut npm).context("failed to install the npm packages that the tests run")
}

fn install_pypi_packages(folder: &Path) -> anyhow::Result<()> {
    let environment = folder.join("python");
    run(Command::new("python3")
        .args(["-m", "venv"])
        .arg(&environment))
    .context("failed to make a Python environment; as root: apt-get install python3-venv")?;
    let mut pip = Command::new(environment.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"])
        .args(PYPI);
    run(&mut pip).context("failed to install the PyPI packages that the tests run")
}
