//! Makes a new installation in an empty folder.
//!
//! Everything is checked before the first file is written. What a failure in the middle leaves
//! behind holds nobody's data: remove the folder and try again.

use anyhow::{Context as _, Result, bail};
use model::{AccountId, Clock as _, SystemClock, SystemRandom};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{DirPlace, Geometry, Place, Store};

use crate::compose;
use crate::config::{self, Config, Listen, Loaded};
use crate::failure::{Failure, Kind};
use crate::files::{create_folder, write_public};
use crate::lock::Lock;
use crate::tls::authority;

/// What to make.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The folder: empty, or not there yet.
    pub(crate) folder: PathBuf,
    /// The volumes.
    pub(crate) volumes: Volumes,
    /// Data shards; by the number of volumes when not said.
    pub(crate) data: Option<usize>,
    /// Parity shards; by the number of volumes when not said.
    pub(crate) parity: Option<usize>,
    /// Where to listen.
    pub(crate) listen: Listen,
    /// Names of the certificate, besides the usual ones.
    pub(crate) names: Vec<String>,
}

/// Which volumes to make.
#[derive(Debug, Clone)]
pub(crate) enum Volumes {
    /// So many folders in the installation.
    Number(usize),
    /// These folders.
    Folders(Vec<PathBuf>),
}

/// What was made.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    /// The configuration file.
    pub(crate) config: PathBuf,
    /// The keyring.
    pub(crate) keyring: PathBuf,
    /// The local authority's certificates.
    pub(crate) ca: PathBuf,
    /// The volumes, in order.
    pub(crate) volumes: Vec<PathBuf>,
    /// Data shards.
    pub(crate) data: usize,
    /// Parity shards.
    pub(crate) parity: usize,
    /// The link that lets the first Operator in, once.
    pub(crate) setup_url: String,
}

/// Makes an installation.
///
/// # Errors
/// When the folder or a volume is not empty, the numbers do not fit, or a file cannot be written.
pub(crate) async fn create(options: Options) -> Result<Made> {
    let folder = std::path::absolute(&options.folder)
        .with_context(|| format!("failed to locate `{}`", options.folder.display()))?;
    refuse_unless_empty(&folder).await?;
    let volumes = volume_folders(&options.volumes)?;
    let geometry = geometry(volumes.len(), options.data, options.parity)?;
    let mut config = Config {
        listen: options.listen,
        ..Config::default()
    };
    config.store.volumes.clone_from(&volumes);
    let named = options
        .names
        .iter()
        .find(|it| it.parse::<IpAddr>().is_err());
    if let Some(name) = named {
        config.web.console_name.clone_from(name);
    }
    for name in options.names {
        if !config.tls.names.contains(&name) {
            config.tls.names.push(name);
        }
    }
    config.check()?;
    let loaded = Loaded {
        file: folder.join("strongroom.toml"),
        folder,
        config,
    };
    let volumes: Vec<PathBuf> = volumes.iter().map(|path| loaded.resolve(path)).collect();
    for volume in &volumes {
        refuse_unless_empty(volume).await?;
    }

    let (clock, random) = (SystemClock::new(), SystemRandom);
    create_folder(&loaded.folder)?;
    let keyring = seal::Keyring::create(&random);
    let keyring_file = loaded.resolve(&loaded.config.keyring.file);
    keyring
        .save(&keyring_file)
        .with_context(|| format!("failed to write the keyring `{}`", keyring_file.display()))?;
    let tls = &loaded.config.tls;
    let ca = authority::create(
        &loaded.resolve(&tls.folder),
        &tls.names,
        clock.now(),
        &random,
    )
    .context("failed to make the local authority")?;
    for volume in &volumes {
        create_folder(volume)?;
    }
    let places: Vec<Arc<dyn Place>> = volumes
        .iter()
        .map(|path| Arc::new(DirPlace::new(path)) as Arc<dyn Place>)
        .collect();
    Store::create(&places, geometry, &keyring, &random)
        .await
        .context("failed to make the volumes")?;
    write_public(&loaded.file, config::render(&loaded.config)?.as_bytes())?;
    let Some(lock) = Lock::try_take(&loaded.folder)? else {
        bail!("another process took the lock of the new installation");
    };
    let installation = compose::open(&loaded, lock)
        .await
        .context("failed to make the control database")?;
    let setup_url = setup_link(&installation).await;
    installation.close().await?;
    Ok(Made {
        setup_url: setup_url?,
        config: loaded.file,
        keyring: keyring_file,
        ca,
        volumes,
        data: geometry.data,
        parity: geometry.parity,
    })
}

/// The link for the first Operator, made by whoever makes the installation.
async fn setup_link(installation: &compose::Installation) -> Result<String> {
    let (actor, everything) = (crate::admin::this_user(), AccountId::installation());
    let link = installation.control().create_setup_link(&actor, everything);
    let link = link.await.context("failed to make the set-up link")?;
    Ok(installation.control().link_url(&link))
}

/// Refuses a folder that holds anything; one that is not there is empty.
async fn refuse_unless_empty(folder: &Path) -> Result<()> {
    use std::io::ErrorKind;
    let vacant = match DirPlace::new(folder).is_vacant().await {
        Ok(vacant) => vacant,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(error)
                .with_context(|| format!("failed to look into `{}`", folder.display()));
        }
    };
    if !vacant {
        bail!(Failure::new(
            Kind::Refused,
            format!(
                "the folder `{}` is not empty: name a new one",
                folder.display()
            )
        ));
    }
    Ok(())
}

/// The volumes as the configuration names them: those in the installation by relative paths, so
/// that it can be moved as a whole.
fn volume_folders(volumes: &Volumes) -> Result<Vec<PathBuf>> {
    match volumes {
        Volumes::Number(count) => Ok((1..=*count)
            .map(|number| PathBuf::from(format!("volumes/vol-{number}")))
            .collect()),
        Volumes::Folders(folders) => {
            let mut all = Vec::new();
            for folder in folders {
                let folder = std::path::absolute(folder)
                    .with_context(|| format!("failed to locate `{}`", folder.display()))?;
                if all.contains(&folder) {
                    bail!(Failure::new(
                        Kind::Invalid,
                        format!("the volume `{}` is named twice", folder.display())
                    ));
                }
                all.push(folder);
            }
            Ok(all)
        }
    }
}

/// How data is coded over so many volumes: a third of them may be lost when nothing is said.
fn geometry(volumes: usize, data: Option<usize>, parity: Option<usize>) -> Result<Geometry> {
    let (data, parity) = match (data, parity) {
        (Some(data), Some(parity)) => (data, parity),
        (Some(data), None) => (data, volumes.saturating_sub(data)),
        (None, Some(parity)) => (volumes.saturating_sub(parity), parity),
        (None, None) => (volumes - volumes / 3, volumes / 3),
    };
    if data.checked_add(parity) != Some(volumes) || data == 0 {
        bail!(Failure::new(
            Kind::Invalid,
            format!(
                "{data} data and {parity} parity shards do not fit on {volumes} volumes: they must add up, with at least 1 for data"
            )
        ));
    }
    Ok(Geometry { data, parity }.check()?)
}

#[cfg(test)]
mod tests {
    use super::{Options, Volumes, create, geometry};
    use crate::config::Listen;
    use crate::failure::{Failure, Kind};
    use store::{Geometry, VOLUMES_MAX};

    #[test]
    fn a_third_may_be_lost_unless_something_else_is_said() {
        let cases = [
            (6, None, None, Some((4, 2))),
            (3, None, None, Some((2, 1))),
            (1, None, None, Some((1, 0))),
            (2, Some(1), Some(1), Some((1, 1))),
            (9, Some(6), None, Some((6, 3))),
            (5, None, Some(2), Some((3, 2))),
            (6, Some(4), Some(1), None),
            (2, None, Some(2), None),
            (0, None, None, None),
            (32, None, None, Some((22, 10))),
            (33, None, None, None),
        ];
        for (volumes, data, parity, expected) in cases {
            let found = geometry(volumes, data, parity).ok();
            let expected = expected.map(|(data, parity)| Geometry { data, parity });
            assert_eq!(found, expected, "{volumes} {data:?} {parity:?}");
        }
    }

    #[tokio::test]
    async fn nothing_is_written_when_the_numbers_do_not_fit() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("room");
        for (volumes, data, parity) in [(3, Some(4), Some(2)), (VOLUMES_MAX + 1, None, None)] {
            let options = Options {
                folder: target.clone(),
                volumes: Volumes::Number(volumes),
                data,
                parity,
                listen: Listen::default(),
                names: Vec::new(),
            };
            let error = Box::pin(create(options)).await.unwrap_err();
            assert_eq!(Failure::of(&error).kind, Kind::Invalid, "{error:#}");
            assert!(!target.exists());
        }
    }
}
