//! The socket in the installation's folder, mode 0600: how commands reach the running server.

use anyhow::{Context as _, Result};
use std::fs::{File, Permissions};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::frame::{self, Frame};
use super::{Request, execute, operator};
use crate::compose::Installation;
use crate::failure::{Failure, Kind};

/// The socket's name in the installation's folder.
const NAME: &str = "strongroom.sock";
/// What the system allows for the name of a socket, less a little.
const PATH_BYTES_MAX: usize = 100;
/// Commands at a time.
const COMMANDS_MAX: usize = 16;
/// Frames that wait to be written.
const FRAMES_WAITING_MAX: usize = 8;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// A path to the socket that the system takes however long the folder's own path is.
struct Address {
    path: PathBuf,
    /// Keeps the folder open while `path` goes through it.
    _folder: Option<File>,
}

impl Address {
    fn of(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        if path.as_os_str().len() <= PATH_BYTES_MAX {
            return Ok(Self {
                path,
                _folder: None,
            });
        }
        let open = File::open(folder)
            .with_context(|| format!("failed to open the folder `{}`", folder.display()))?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", open.as_raw_fd()));
        Ok(Self {
            path,
            _folder: Some(open),
        })
    }
}

/// Connects to a running server; `None` when there is none.
///
/// # Errors
/// When the socket is there but may not be used.
pub(super) async fn connect(folder: &Path) -> Result<Option<UnixStream>> {
    use std::io::ErrorKind;
    let address = Address::of(folder)?;
    match UnixStream::connect(&address.path).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| {
            format!(
                "failed to reach the running server through `{}` (only the user that runs it, and \
                 root, may)",
                folder.join(NAME).display()
            )
        }),
    }
}

/// Makes the socket. The caller holds the installation's lock, so a socket that is there is a dead
/// one.
///
/// # Errors
/// The system's.
pub(crate) fn bind(folder: &Path) -> Result<UnixListener> {
    let address = Address::of(folder)?;
    let fail = || {
        format!(
            "failed to make the socket `{}`",
            folder.join(NAME).display()
        )
    };
    if folder.join(NAME).exists() {
        std::fs::remove_file(folder.join(NAME)).with_context(fail)?;
    }
    let listener = UnixListener::bind(&address.path).with_context(fail)?;
    std::fs::set_permissions(&address.path, Permissions::from_mode(0o600)).with_context(fail)?;
    Ok(listener)
}

/// Serves commands until `stop`, then removes the socket.
pub(crate) async fn run(
    listener: UnixListener,
    installation: Arc<Installation>,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(COMMANDS_MAX));
    let commands = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            break;
        };
        let (installation, stop) = (Arc::clone(&installation), stop.clone());
        commands.spawn(async move {
            tokio::select! {
                served = serve(stream, &installation) => {
                    if let Err(error) = served {
                        tracing::debug!("a command ended early: {error:#}");
                    }
                }
                () = stop.cancelled() => {}
            }
            drop(slot);
        });
    }
    drop(listener);
    commands.close();
    commands.wait().await;
    // A socket that stays behind is removed by the next start.
    drop(std::fs::remove_file(installation.folder().join(NAME)));
}

async fn serve(mut stream: UnixStream, installation: &Installation) -> Result<()> {
    let peer = stream
        .peer_cred()
        .context("failed to learn who is at the socket")?;
    let own = rustix::process::geteuid().as_raw();
    let (mut reader, mut writer) = stream.split();
    if peer.uid() != own && peer.uid() != 0 {
        let failure = Failure::new(
            Kind::Refused,
            "only the user that runs the server, and root, may",
        );
        return Frame::Failed(failure).write(&mut writer).await;
    }
    let actor = operator(peer.uid());
    let request: Request = tokio::time::timeout(REQUEST_TIMEOUT, frame::read_request(&mut reader))
        .await
        .context("no request came")??;
    let (sender, frames) = mpsc::channel(FRAMES_WAITING_MAX);
    let work = execute(installation, &actor, request, sender);
    let write = async {
        // Owned here, so that the work ends when whoever asked has gone.
        let mut frames = frames;
        while let Some(frame) = frames.recv().await {
            frame.write(&mut writer).await?;
        }
        anyhow::Ok(())
    };
    let (outcome, written) = tokio::join!(Box::pin(work), write);
    written?;
    let end = match outcome {
        Ok(value) => Frame::Done(value),
        Err(error) => Frame::Failed(Failure::of(&error)),
    };
    end.write(&mut writer).await
}
