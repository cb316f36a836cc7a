//! Commands of operators: asked for by the command line, carried out where the data is.
//!
//! While a server runs, a command goes to it through the socket; while none runs, the command opens
//! the installation itself, under the lock. Either way [`execute`] carries it out, so both do the
//! same. The actor in the audit is the operating system's user.

mod access;
mod account;
mod allowlist;
mod api_key;
mod audit;
mod credential;
mod dictionary;
mod drops;
mod execute;
mod frame;
mod framing;
mod learned;
mod quarantine;
mod request;
mod requests;
mod restriction;
#[cfg(test)]
mod reviewing;
mod rows;
mod socket;
#[cfg(test)]
mod tests;

use anyhow::{Result, bail};
use control::Actor;
use std::time::Duration;
use tokio::sync::mpsc;

use crate::compose::{self, Installation};
use crate::config::Loaded;
use crate::failure::{Failure, Kind};
use crate::lock::Lock;
use crate::recall::recall;

pub(crate) use access::{AccessAct, AccessRequest};
pub(crate) use account::AccountRequest;
pub(crate) use allowlist::AllowlistRequest;
pub(crate) use api_key::{AnswersTo, ApiKeyAct, ApiKeyRequest, Policy};
pub(crate) use audit::{AuditFormat, AuditRequest, AuditWanted};
pub(crate) use credential::CredentialRequest;
pub(crate) use drops::DropsRequest;
pub(crate) use execute::execute;
pub(crate) use frame::{Frame, Progress};
pub(crate) use learned::write_left_out;
pub(crate) use quarantine::{QuarantineAct, QuarantineFilter, QuarantineRequest};
pub(crate) use request::{
    Class, DeclaredKind, DeletionsAct, DictionaryChange, DictionaryPolicy, ExportFormat,
    ExportWhat, Mask, PropertyOf, Request, RestrictionAct, Whom,
};
pub(crate) use requests::RequestsSearch;
pub(crate) use socket::{bind, run};

/// How long a command waits for another one, or for a server that is starting.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);
/// Frames that wait to be looked at.
const FRAMES_WAITING_MAX: usize = 8;

/// Whether a server answers on the installation's socket.
pub(crate) async fn is_served(loaded: &Loaded) -> bool {
    matches!(socket::connect(&loaded.folder).await, Ok(Some(_)))
}

/// Has a request carried out, and hands over the pieces of its result as they come.
///
/// # Errors
/// What the request failed with, or what `on_frame` returned.
pub(crate) async fn call(
    loaded: &Loaded,
    request: Request,
    mut on_frame: impl FnMut(Frame) -> Result<()>,
) -> Result<serde_json::Value> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(stream) = socket::connect(&loaded.folder).await? {
            return call_server(stream, request, on_frame).await;
        }
        if let Some(lock) = Lock::try_take(&loaded.folder)? {
            let installation = compose::open(loaded, lock).await?;
            let outcome = call_here(&installation, request, &mut on_frame).await;
            installation.close().await?;
            return outcome;
        }
        if tokio::time::Instant::now() >= deadline {
            let message = "another strongroom process holds the lock of this installation and does \
                           not answer on its socket; wait for it to end, or end it";
            bail!(Failure::new(Kind::Unavailable, message));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn call_server(
    mut stream: tokio::net::UnixStream,
    request: Request,
    mut on_frame: impl FnMut(Frame) -> Result<()>,
) -> Result<serde_json::Value> {
    frame::write_request(&mut stream, &request).await?;
    let mut stream = tokio::io::BufReader::new(stream);
    loop {
        match Frame::read(&mut stream).await? {
            Frame::Done(value) => return Ok(value),
            Frame::Failed(failure) => bail!(failure),
            frame => on_frame(frame)?,
        }
    }
}

async fn call_here(
    installation: &Installation,
    request: Request,
    on_frame: &mut impl FnMut(Frame) -> Result<()>,
) -> Result<serde_json::Value> {
    if replays(&request) {
        // As a server has done when it started.
        recall(installation).await?;
    }
    let actor = this_user();
    let (sender, frames) = mpsc::channel(FRAMES_WAITING_MAX);
    let work = execute(installation, &actor, request, sender);
    let read = async {
        // Owned here, so that the work ends when the reading does.
        let mut frames = frames;
        while let Some(frame) = frames.recv().await {
            on_frame(frame)?;
        }
        anyhow::Ok(())
    };
    let (outcome, read) = tokio::join!(Box::pin(work), read);
    read?;
    outcome
}

/// Whether the request may bring records of devices.
fn replays(request: &Request) -> bool {
    let Request::Quarantine(it) = request else {
        return false;
    };
    matches!(it.act, QuarantineAct::Replay { .. })
}

/// The actor for the user of the operating system who runs this program.
pub(crate) fn this_user() -> Actor {
    operator(rustix::process::getuid().as_raw())
}

/// The actor for a user of the operating system.
fn operator(uid: u32) -> Actor {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    Actor::os_user(&user_name(&passwd, uid))
}

/// A user's name by the password file; the number when it is not there.
fn user_name(passwd: &str, uid: u32) -> String {
    let found = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    found.unwrap_or_else(|| format!("uid {uid}"))
}
